namespace Dpu.EndToEnd.Tests;

/// <summary>
/// A directory that the host moved while the DPU's kernel knows it by its old name: Linux cannot take a directory that
/// it finds in another place while it renames (d_splice_alias, <c>fs/dcache.c</c>), and says ESTALE, as for NFS.
/// </summary>
[TestClass]
public sealed class MovedDirectoryTests
{
    [TestMethod]
    [TestCategory("root")]
    public void RenamedOnTheDpuBeforeItWasLookedUp_IsStale_ThenFound()
    {
        using var mounts = new ThreeMounts();
        foreach (string cache in (string[])[ThreeMounts.None, ThreeMounts.Coherent])
        {
            (string there, string onHost) = mounts.Place(cache, "moved");
            Shell.Check("mkdir -p a/x b c && touch a/x/f", onHost);
            Eventually.True(() => File.Exists(Path.Combine(there, "a/x/f")) && Directory.Exists(Path.Combine(there, "b")) && Directory.Exists(Path.Combine(there, "c")), Pair.Limit, "the tree");
            string[] seen = Shell.Python(
                $"""
                os.rename('{onHost}/a/x', '{onHost}/b/x')
                attempt('rename', lambda: os.rename('b/x', 'c/x'))
                attempt('stat', lambda: os.stat('b/x/f'))
                attempt('rename', lambda: os.rename('b/x', 'c/x'))
                attempt('stat', lambda: os.stat('c/x/f'))
                attempt('old', lambda: os.stat('a/x'))
                """,
                there);
            CollectionAssert.AreEqual(new[] { "rename ESTALE", "stat OK", "rename OK", "stat OK", "old ENOENT" }, seen, $"{cache}: {string.Join(", ", seen)}");
            Assert.IsTrue(File.Exists(Path.Combine(onHost, "c/x/f")));
        }
    }
}
