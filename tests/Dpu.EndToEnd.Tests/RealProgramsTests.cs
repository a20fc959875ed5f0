namespace Dpu.EndToEnd.Tests;

/// <summary>
/// Programs nobody here wrote, on mounts of both caching modes: what they did is compared with the host's own view, by
/// checksum or by the program's own check.
/// </summary>
[TestClass]
public sealed partial class RealProgramsTests
{
    private static readonly TimeSpan Limit = TimeSpan.FromMinutes(3);

    private static ThreeMounts s_mounts = null!;

    [ClassInitialize]
    public static void Start(TestContext _) => s_mounts = new ThreeMounts();

    [ClassCleanup]
    public static void Stop() => s_mounts.Dispose();

    [TestMethod]
    [TestCategory("interop")]
    [DataRow(LinkKind.Unix)]
    [DataRow(LinkKind.Tls)]
    public void FindTarAndGit_ThroughMount_SeeWhatTheHostHas(LinkKind kind)
    {
        using var pair = new Pair(kind);
        string mount = pair.Up();

        // A real tree with links, modes and many small files: C and C++ headers, kept in a git repository.
        string source = Directory.CreateDirectory(Path.Combine(pair.Folder, "source")).FullName;
        Sh("cp -a /usr/include/linux /usr/include/c++ /usr/include/*.h .", source);
        Sh($"cp -a {source} tree && cd tree && git init -q . && git -c user.name=t -c user.email=t@example.org add -A && git -c user.name=t -c user.email=t@example.org commit -q -m tree", pair.ExportRoot);
        string find = "find tree -path tree/.git -prune -o -printf '%p %y %m %U:%G %s %T@ %l\\n' | LC_ALL=C sort | grep -v '^tree d' | sha256sum";
        Assert.AreEqual(Sh(find, pair.ExportRoot), Sh(find, mount), "find");
        string tar = "tar --sort=name --exclude=.git -cf - tree | sha256sum";
        Assert.AreEqual(Sh(tar, pair.ExportRoot), Sh(tar, mount), "tar");

        Assert.AreEqual("", Sh("git -c safe.directory='*' -C tree status --porcelain", mount), "git status through the mount");
        Sh("cd tree && git -c safe.directory='*' rm -q -r --cached linux && echo changed >> stdio.h && git -c safe.directory='*' -c user.name=t -c user.email=t@example.org commit -q -a -m changed && git -c safe.directory='*' fsck --strict", mount);
        Assert.AreEqual("", Sh("git -C tree fsck --strict", pair.ExportRoot), "the host's fsck of what git wrote through the mount");
        Assert.StartsWith("changed", Sh("git -C tree log -1 --format=%s", pair.ExportRoot));

        // Written from the DPU side, read on the host.
        Sh($"mkdir copy && tar -cf - -C {source} . | tar -xpf - -C copy", mount);
        string sums = "find . -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum";
        Assert.AreEqual(Sh(sums, source), Sh(sums, Path.Combine(pair.ExportRoot, "copy")), "what tar wrote");
    }

    private static string Sh(string program, string where) =>
        ExternalProgram.Check("bash", ["-o", "pipefail", "-ec", program], Limit, directory: where);
}
