using System.Globalization;

namespace Dpu.EndToEnd.Tests;

/// <summary>
/// Random operations in the manner of fsx and fsstress (<c>Stress/</c>), on mounts of both caching modes, compared with a
/// model and with the host's own view. Each prints its seed.
/// </summary>
[TestClass]
public sealed class StressTests
{
    private const int Short = 5;

    // The host's change is there at once for who asks each time, and soon for who is told.
    private const int SoonMilliseconds = 5000;
    private static readonly TimeSpan Limit = TimeSpan.FromMinutes(2);

    private static ThreeMounts s_mounts = null!;
    private static int s_runs;

    [ClassInitialize]
    public static void Start(TestContext _) => s_mounts = new ThreeMounts();

    [ClassCleanup]
    public static void Stop() => s_mounts.Dispose();

    [TestMethod]
    [TestCategory("root")]
    [DataRow(ThreeMounts.None)]
    [DataRow(ThreeMounts.Coherent)]
    public void OneFile_EveryWayToReadAndWrite_IsAsTheModel(string cache) => OneFile(cache, Short);

    [TestMethod]
    [TestCategory("soak")]
    [DataRow(ThreeMounts.None)]
    [DataRow(ThreeMounts.Coherent)]
    public void OneFile_ForLong_IsAsTheModel(string cache) => OneFile(cache, StressPrograms.SoakSeconds, "--size", "4194304");

    [TestMethod]
    [TestCategory("root")]
    [DataRow(ThreeMounts.None, 0)]
    [DataRow(ThreeMounts.Coherent, SoonMilliseconds)]
    public void OneFile_ThatTheHostChangesToo_IsAsTheModel(string cache, int settle) =>
        OneFile(cache, Short, "--host-writes", settle.ToString(CultureInfo.InvariantCulture));

    [TestMethod]
    [TestCategory("soak")]
    [DataRow(ThreeMounts.None, 0)]
    [DataRow(ThreeMounts.Coherent, SoonMilliseconds)]
    public void OneFile_ThatTheHostChangesTooForLong_IsAsTheModel(string cache, int settle) =>
        OneFile(cache, StressPrograms.SoakSeconds, "--host-writes", settle.ToString(CultureInfo.InvariantCulture));

    [TestMethod]
    [TestCategory("root")]
    [DataRow(ThreeMounts.None)]
    [DataRow(ThreeMounts.Coherent)]
    public void Tree_OfManyProcesses_IsAsTheHostHasIt(string cache) => Tree(cache, Short, withHost: false);

    [TestMethod]
    [TestCategory("soak")]
    [DataRow(ThreeMounts.None)]
    [DataRow(ThreeMounts.Coherent)]
    public void Tree_OfManyProcessesForLong_IsAsTheHostHasIt(string cache) => Tree(cache, StressPrograms.SoakSeconds, withHost: false);

    [TestMethod]
    [TestCategory("root")]
    [DataRow(ThreeMounts.None)]
    [DataRow(ThreeMounts.Coherent)]
    public void Tree_OfProcessesOnBothSides_IsTheSameEverywhere(string cache) => Tree(cache, Short, withHost: true);

    [TestMethod]
    [TestCategory("soak")]
    [DataRow(ThreeMounts.None)]
    [DataRow(ThreeMounts.Coherent)]
    public void Tree_OfProcessesOnBothSidesForLong_IsTheSameEverywhere(string cache) => Tree(cache, StressPrograms.SoakSeconds, withHost: true);

    // The stress programs find what is wrong: a change behind the model's back, and a name that goes while it must stay.
    [TestMethod]
    [TestCategory("root")]
    public void Program_WhereSomethingIsWrong_SaysWhatAndWithWhichSeed()
    {
        (string there, string onHost) = s_mounts.Place(ThreeMounts.None, "wrong");
        using RunningProgram stress = RunningProgram.Start(StressPrograms.File, ["--file", Path.Combine(there, "f"), "--seconds", "60", "--seed", "7"]);
        Eventually.True(
            () =>
            {
                Shell.Check("test ! -s f || printf XXXXXXXX | dd of=f bs=1 seek=5000 conv=notrunc status=none", onHost);
                return stress.HasExited;
            },
            Limit,
            "the program to notice");
        Assert.IsTrue(stress.WaitForExit(Limit));
        Assert.AreEqual(1, stress.ExitCode, stress.Output);
        Assert.Contains("FAILED: ", stress.Output);
        Assert.Contains("--seed 7 --operations ", stress.Output);

        using RunningProgram tree = RunningProgram.Start(StressPrograms.Tree, ["run", "--seed", "8", "--seconds", "60", "2", there]);
        Eventually.True(() => File.Exists(Path.Combine(onHost, ".stays3")), Limit, "the names that stay");
        File.Delete(Path.Combine(onHost, ".stays3"));
        Assert.IsTrue(tree.WaitForExit(Limit));
        Assert.AreEqual(1, tree.ExitCode, tree.Output);
        Assert.Contains("'.stays3' is listed 0 times", tree.Output);
        Assert.Contains("(seed 8)", tree.Output);
    }

    private static void OneFile(string cache, int seconds, params string[] options)
    {
        (string there, string onHost) = s_mounts.Place(cache, $"file{Interlocked.Increment(ref s_runs)}");
        StressPrograms.Run(
            StressPrograms.File,
            seconds,
            ["--file", Path.Combine(there, "f"), "--host", Path.Combine(onHost, "f"), "--seconds", seconds.ToString(CultureInfo.InvariantCulture), .. options]);
    }

    // The host's processes rest between two operations, or the DPU's would see a new tree each time.
    private static void Tree(string cache, int seconds, bool withHost)
    {
        (string there, string onHost) = s_mounts.Place(cache, $"tree{Interlocked.Increment(ref s_runs)}");
        string[] places = ["3", there];
        string[] seen = [there];
        if (withHost && cache == ThreeMounts.Coherent)
        {
            string second = Path.Combine(s_mounts.SecondMount, Path.GetFileName(onHost));
            Eventually.True(() => Directory.Exists(second), Limit, "the folder on the second mount");
            (places, seen) = (["2", there, "2", second, "2:200", onHost], [there, second]);
        }
        else if (withHost)
        {
            places = ["2", there, "2:200", onHost];
        }

        StressPrograms.Run(StressPrograms.Tree, seconds, ["run", "--seconds", seconds.ToString(CultureInfo.InvariantCulture), .. places]);
        string expected = Describe(onHost);
        Assert.IsGreaterThan(20, expected.Split('\n').Length, "the tree is nearly empty");
        foreach (string place in seen)
        {
            string last = "";
            bool same = Eventually.Within(() => (last = Describe(place)) == expected, TimeSpan.FromSeconds(5));
            Assert.IsTrue(same, $"{place} differs from what the host has:\n{Difference(expected, last)}");
        }

        // What is gone is forgotten at both ends.
        Shell.Check($"rm -rf {there}", "/");
        Assert.IsFalse(Directory.Exists(onHost));
        foreach (string place in seen)
        {
            Eventually.True(() => !Directory.Exists(place), Pair.Limit, $"the end of {place}");
        }

        long before = s_mounts.Nodes();
        Assert.IsTrue(Eventually.Within(() => s_mounts.Nodes() < 500, Pair.Limit), $"of {before} references {s_mounts.Nodes()} stay");
    }

    private static string Describe(string root) => ExternalProgram.Check(StressPrograms.Tree, ["describe", root], Limit);

    private static string Difference(string expected, string actual)
    {
        string[] first = expected.Split('\n'), second = actual.Split('\n');
        return string.Join('\n', first.Except(second).Take(10).Select(line => $"host:  {line}").Concat(second.Except(first).Take(10).Select(line => $"mount: {line}")));
    }
}
