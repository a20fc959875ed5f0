using Dpu.Hosting.Lifetime;

namespace Dpu.Hosting.Tests.Lifetime;

[TestClass]
public sealed class DaemonCommandLineTests
{
    [TestMethod]
    [TestCategory("unit")]
    public void Parse_Nothing_RunsWithTheDefaultFile()
    {
        DaemonCommandLine command = DaemonCommandLine.Parse([], "/etc/x.json");
        Assert.AreEqual(DaemonAction.Run, command.Action);
        Assert.AreEqual("/etc/x.json", command.ConfigurationFile);
        Assert.IsNull(command.Error);
    }

    [TestMethod]
    [TestCategory("unit")]
    public void Parse_AllOptions_AreTaken()
    {
        DaemonCommandLine command = DaemonCommandLine.Parse(
            ["--config=/a", "--set", "x=1", "--set=y=2", "--check-config"], "/etc/x.json");
        Assert.AreEqual(DaemonAction.CheckConfiguration, command.Action);
        Assert.AreEqual("/a", command.ConfigurationFile);
        CollectionAssert.AreEqual((string[])["x=1", "y=2"], command.Overrides.ToArray());
        Assert.IsNull(command.Error);
    }

    [TestMethod]
    [TestCategory("unit")]
    [DataRow("--cofnig", "'--cofnig' is not an option; did you mean --config?")]
    [DataRow("--config", "--config needs a value")]
    [DataRow("run", "'run' is not an option")]
    [DataRow("--version=1", "'--version=1' is not an option")]
    public void Parse_Bad_SaysWhatIsWrong(string argument, string expected) =>
        Assert.StartsWith(expected, DaemonCommandLine.Parse([argument], "/x").Error!);
}
