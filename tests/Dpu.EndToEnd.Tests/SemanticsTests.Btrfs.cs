namespace Dpu.EndToEnd.Tests;

// A host's file system that shares extents.
public sealed partial class SemanticsTests
{
    [TestMethod]
    [TestCategory("root")]
    public void SharedExtents_OfTheHostsFileSystem_ComeByCopyFileRangeNotByFiclone()
    {
        string onHost = Directory.CreateDirectory(Path.Combine(s_pair.ExportRoot, "btrfs")).FullName;
        string there = Path.Combine(MountFolder(Trusting), "btrfs");
        string image = Path.Combine(s_pair.Folder, "btrfs.img");
        Shell.Check($"truncate -s 128M {image} && mkfs.btrfs -q {image} && mount -o loop {image} {onHost}", "/");
        try
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
        }
        finally
        {
            // The mount holds nodes of it.
            Shell.Check($"umount -l {onHost}", "/");
        }
    }
}
