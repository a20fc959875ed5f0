using System.Globalization;

namespace Dpu.EndToEnd.Tests;

// File systems of the host with something of their own.
public sealed partial class SemanticsTests
{
    [TestMethod]
    [TestCategory("root")]
    public void SharedExtents_OfTheHostsFileSystem_ComeByCopyFileRangeNotByFiclone()
    {
        OnFileSystem("btrfs", "128M", "mkfs.btrfs -q", (onHost, there) =>
        {
            Shell.Check("head -c 4M /dev/urandom > f && sync f && cp --reflink=always f local", onHost);
            ProgramResult clone = Shell.Run("cp --reflink=always f clone", there);
            Assert.AreNotEqual(0, clone.ExitCode);
            Assert.Contains("Operation not supported", clone.Error);

            Shell.Check("python3 -c 'import os; a = os.open(\"f\", os.O_RDONLY); b = os.open(\"copy\", os.O_CREAT | os.O_RDWR); assert os.copy_file_range(a, b, 4 << 20) == 4 << 20'; cmp f copy", there);

            // The columns of total and exclusive bytes: nothing of the copy is its own.
            Assert.AreEqual("4194304 0", Shell.Check("btrfs filesystem du --raw -s copy | awk 'NR == 2 {print $1, $2}'", onHost));
            Assert.AreEqual("C", Shell.Check("mkdir d && chattr +C d && lsattr -d d | cut -d' ' -f1 | tr -d -", there), "flags that only this file system has");
            Assert.AreEqual("C", Shell.Check("touch d/f && lsattr d/f | cut -d' ' -f1 | tr -d -", there));
        });
    }

    [TestMethod]
    [TestCategory("root")]
    public void ReservedBlocks_AUserWrites_AreLeftToRoot() => OnFileSystem("ext4", "16M", "mkfs.ext4 -q -m 40", (onHost, there) =>
    {
        const string fill = "head -c 16M /dev/zero > f 2>/dev/null; stat -c %s f";
        Shell.Check("chmod 777 .", onHost);
        long expected = long.Parse(Shell.Check(fill + "; rm f", onHost, uid: 1000), CultureInfo.InvariantCulture);
        long seen = long.Parse(Shell.Check(fill, there, uid: 1000), CultureInfo.InvariantCulture);
        long byRoot = long.Parse(Shell.Check("cat /dev/zero >> f 2>/dev/null; stat -c %s f", there), CultureInfo.InvariantCulture);

        // The two differ by what a write may end with: a megabyte here, a page there.
        Assert.IsLessThanOrEqualTo(1 << 20, Math.Abs(expected - seen), $"{expected} on the host, {seen} through the mount");
        Assert.IsGreaterThan(seen + (4 << 20), byRoot, "what was kept for root");
    });

    private static void OnFileSystem(string name, string size, string make, Action<string, string> test)
    {
        string onHost = Directory.CreateDirectory(Path.Combine(s_pair.ExportRoot, name)).FullName;
        string image = Path.Combine(s_pair.Folder, name + ".img");
        Shell.Check($"truncate -s {size} {image} && {make} {image} && mount -o loop {image} {onHost}", "/");
        try
        {
            test(onHost, Path.Combine(MountFolder(Trusting), name));
        }
        finally
        {
            // The mount holds nodes of it.
            Shell.Check($"umount -l {onHost}", "/");
        }
    }
}
