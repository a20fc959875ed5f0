using System.Text.Json;
using Dpu.Hosting;
using Dpu.TestSupport;

namespace Dpu.Ctl.Tests;

[TestClass]
public sealed class PkiTests
{
    [TestMethod]
    [TestCategory("unit")]
    public void Pki_InitIssueRotateRevokeShow_TellsOneStory()
    {
        using var folder = new TemporaryDirectory();
        string dir = folder["pki"];
        Assert.AreEqual(ExitCodes.Success, CtlFixture.RunAlone("pki", "init", "--dir", dir, "--validity", "100d").ExitCode);
        Assert.AreEqual(ExitCodes.Failure, CtlFixture.RunAlone("pki", "init", "--dir", dir).ExitCode, "not over an authority that is there");
        foreach ((string role, string name) in new[] { ("host", "host1"), ("dpu", "dpu1"), ("operator", "alice") })
        {
            (int code, string output, string error) = CtlFixture.RunAlone("pki", "issue", role, name, "--dir", dir, "--validity", "50d");
            Assert.AreEqual(ExitCodes.Success, code, error);
            Assert.Contains($"dpu://{role}/{name}", output);
            Assert.AreEqual(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode($"{dir}/{name}.key"));
        }

        Assert.AreEqual(ExitCodes.Failure, CtlFixture.RunAlone("pki", "issue", "host", "host1", "--dir", dir).ExitCode);
        string before = File.ReadAllText($"{dir}/host1.crt");
        Assert.AreEqual(ExitCodes.Success, CtlFixture.RunAlone("pki", "rotate", "host1", "--dir", dir).ExitCode);
        Assert.AreNotEqual(before, File.ReadAllText($"{dir}/host1.crt"));
        Assert.AreEqual(ExitCodes.NotFound, CtlFixture.RunAlone("pki", "rotate", "host9", "--dir", dir).ExitCode);
        Assert.AreEqual(ExitCodes.Success, CtlFixture.RunAlone("pki", "revoke", "dpu1", "--dir", dir).ExitCode);

        using JsonDocument json = JsonDocument.Parse(CtlFixture.RunAlone("pki", "show", "--dir", dir, "--json").Output);
        var all = json.RootElement.GetProperty("certificates").EnumerateArray().ToList();
        Assert.HasCount(4, all);
        Assert.AreEqual("revoked", all.Single(c => c.GetProperty("name").GetString() == "dpu1").GetProperty("status").GetString());
        Assert.AreEqual(1, all.Count(c => c.GetProperty("name").GetString() == "host1" && c.GetProperty("newest").GetBoolean()));
        Assert.Contains("alice", CtlFixture.RunAlone("pki", "show", "--dir", dir).Output);
    }

    [TestMethod]
    [TestCategory("unit")]
    public void Pki_NoAuthority_SaysHowToMakeOne()
    {
        (int code, _, string error) = CtlFixture.RunAlone("pki", "issue", "host", "h", "--dir", "/nonexistent");
        Assert.AreEqual(ExitCodes.Failure, code);
        Assert.Contains("dpuctl pki init", error);
    }
}
