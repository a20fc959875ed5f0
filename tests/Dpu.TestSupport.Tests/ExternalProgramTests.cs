using System.Globalization;

namespace Dpu.TestSupport.Tests;

[TestClass]
public sealed class ExternalProgramTests
{
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(20);

    [TestMethod]
    [TestCategory("unit")]
    public void Run_Program_ReturnsOutputsAndExitCode()
    {
        ProgramResult result = ExternalProgram.Run("sh", ["-c", "cat; echo bad >&2; exit 3"], Limit, input: "good\n");
        Assert.AreEqual("good\n", result.Output);
        Assert.AreEqual("bad\n", result.Error);
        Assert.AreEqual(3, result.ExitCode);
        Assert.IsFalse(result.TimedOut);
    }

    [TestMethod]
    [TestCategory("unit")]
    public void Run_ProgramOverItsLimit_IsKilledWithItsChildren()
    {
        ProgramResult result = ExternalProgram.Run("sh", ["-c", "sleep 300 & echo $!; wait"], TimeSpan.FromSeconds(1));
        Assert.IsTrue(result.TimedOut);
        Assert.AreEqual(ProgramResult.TimeoutExitCode, result.ExitCode);
        int child = int.Parse(result.Output, CultureInfo.InvariantCulture);
        Eventually.True(() => !IsRunning(child), Limit, "the end of the child");
    }

    [TestMethod]
    [TestCategory("unit")]
    public void Check_FailingProgram_ThrowsWithAllItWrote()
    {
        ProgramException e = Assert.ThrowsExactly<ProgramException>(() => ExternalProgram.Check("sh", ["-c", "echo seen; exit 1"], Limit));
        StringAssert.Contains(e.Message, "seen", StringComparison.Ordinal);
    }

    [TestMethod]
    [TestCategory("unit")]
    public void WaitForLine_ProgramThatEndsWithoutIt_ThrowsAtOnce()
    {
        using RunningProgram program = RunningProgram.Start("sh", ["-c", "echo other"]);
        Assert.ThrowsExactly<ProgramException>(() => program.WaitForLine(l => l == "wanted", Limit));
    }

    [TestMethod]
    [TestCategory("unit")]
    public void Run_EnvironmentAndDirectory_ReachTheProgram()
    {
        using TemporaryDirectory folder = new();
        string output = ExternalProgram.Check("sh", ["-c", "echo $DPU_SAMPLE; pwd"], Limit, directory: folder.FullPath, environment: new Dictionary<string, string?> { ["DPU_SAMPLE"] = "x" });
        Assert.AreEqual($"x\n{folder.FullPath}\n", output);
    }

    // A zombie has ended; its parent reaps it when it likes.
    private static bool IsRunning(int id)
    {
        try
        {
            return !File.ReadAllText($"/proc/{id}/stat").Split(") ")[1].StartsWith('Z');
        }
        catch (IOException)
        {
            return false;
        }
    }
}
