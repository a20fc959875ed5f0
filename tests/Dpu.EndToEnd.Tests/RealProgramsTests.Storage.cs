namespace Dpu.EndToEnd.Tests;

// fio(1): random writes in its four ways, and checksums of every block.
public sealed partial class RealProgramsTests
{
    [TestMethod]
    [TestCategory("interop")]
    [DataRow(ThreeMounts.None)]
    [DataRow(ThreeMounts.Coherent)]
    public void Fio_RandomWrites_AreVerifiedThroughTheMountAndOnTheHost(string cache)
    {
        (string there, string onHost) = s_mounts.Place(cache, "fio");
        int seed = Random.Shared.Next();
        Console.WriteLine($"randseed {seed}");
        string job = Path.Combine(s_mounts.Folder, $"fio-{cache}.job");
        FioJob.Write(job, megabytes: 8, seed);

        Sh($"fio --output=/dev/null {job}", there);
        Sh($"fio --output=/dev/null --verify_only {job}", onHost);

        // The check is one: a byte that the host changes is found by it, through the mount.
        foreach (string name in FioJob.Files)
        {
            Sh($"printf X | dd of={name} bs=1 seek=1048700 conv=notrunc status=none", onHost);
            Assert.IsTrue(
                Eventually.Within(
                    () => ExternalProgram.Run("fio", ["--output=/dev/null", "--verify_only", $"--section={name}", job], Limit, directory: there).ExitCode != 0,
                    TimeSpan.FromSeconds(5)),
                $"{name}: what the host damaged is unseen");
        }
    }
}
