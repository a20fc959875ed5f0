using System.Text.Json;
using Dpu.Hosting;

namespace Dpu.Ctl.Tests;

[TestClass]
public sealed class CommandTests
{
    [TestMethod]
    [TestCategory("root")]
    public void MountListUmount_OverTheSocket_DoWhatTheySay()
    {
        using var fixture = new CtlFixture();
        (int code, string output, string error) = fixture.Run(
            "mount", "host1:/srv/a:b", "/mnt/x/", "--read-only", "--allow-dev", "--cache-timeout", "1.5s", "--lanes", "4", "--give-up-after", "2m", "--locks", "host", "--kind", "proc", "--processes", "/run/view/proc", "--transport", "io_uring");
        Assert.AreEqual(ExitCodes.Success, code, error);
        Assert.AreEqual("Mounted host1:/srv/a:b on /mnt/x read-only\n", output);
        Proto.V1.Mount asked = fixture.Runtime.Created!.Mount;
        Assert.AreEqual(("host1", "/srv/a:b", "/mnt/x"), (asked.Host, asked.Export, asked.Target));
        Assert.AreEqual((true, false, true, 4), (asked.ReadOnly, asked.AllowSuid, asked.AllowDev, asked.Lanes));
        Assert.AreEqual(TimeSpan.FromSeconds(1.5), asked.CacheTimeout.ToTimeSpan());
        Assert.AreEqual(TimeSpan.FromMinutes(2), asked.GiveUpAfter.ToTimeSpan());
        Assert.AreEqual(("host", "proc", "/run/view/proc"), (asked.Locks, asked.Kind, asked.Processes));
        Assert.AreEqual("io_uring", asked.Transport);

        Assert.AreEqual(ExitCodes.Success, fixture.Run("mount", "host1:home", "/mnt/second", "-q").ExitCode);
        (code, output, _) = fixture.Run("mounts");
        Assert.AreEqual(ExitCodes.Success, code);
        string[] lines = output.TrimEnd('\n').Split('\n');
        Assert.HasCount(3, lines, "both pages were read");
        int column = lines[0].IndexOf("STATE", StringComparison.Ordinal);
        Assert.IsTrue(lines[1..].All(l => l[column..].StartsWith("mounted", StringComparison.Ordinal)), output);
        Assert.Contains("3 MiB", output);

        (code, output, _) = fixture.Run("umount", "/mnt/x", "--lazy");
        Assert.AreEqual((ExitCodes.Success, "Detached /mnt/x\n"), (code, output));
        Assert.IsTrue(fixture.Runtime.Deleted!.Lazy);
        Assert.AreEqual("mounts/-", fixture.Runtime.Deleted.Name);
    }

    [TestMethod]
    [TestCategory("root")]
    public void Status_HostileWords_CannotSteerTheTerminal()
    {
        using var fixture = new CtlFixture();
        (int code, string output, _) = fixture.Run("status");
        Assert.AreEqual(ExitCodes.Success, code);
        Assert.IsFalse(output.Any(c => char.IsControl(c) && c != '\n') || output.Contains('\u202e', StringComparison.Ordinal), output);
        Assert.Contains("dpu-runtime 9.9.9, name dpu1, pid 42", output);
        Assert.Contains("warning: dpu-runtime: The certificate expires in 3 days. [certificate-expires]", output);
        Assert.Contains("evil \\x1b[31m\\x202etext", output);
        Assert.Contains("1.5ms", output);
        Assert.Contains("3h 0m", output);
    }

    [TestMethod]
    [TestCategory("root")]
    public void Json_EveryVerb_IsOneObject()
    {
        using var fixture = new CtlFixture();
        string mount = fixture.Run("mount", "host1:home", "/mnt/x", "--json").Output;
        Assert.AreEqual("mounted", Root(mount).GetProperty("state").GetString());
        Assert.AreEqual(7, Root(mount).GetProperty("counters").GetProperty("requests").GetInt32());
        Assert.AreEqual(60.0, Root(mount).GetProperty("giveUpAfter").GetDouble());
        JsonElement status = Root(fixture.Run("status", "--json").Output);
        Assert.AreEqual("up", status.GetProperty("hosts")[0].GetProperty("state").GetString());
        Assert.AreEqual(0.0015, status.GetProperty("hosts")[0].GetProperty("roundTrip").GetDouble());
        Assert.AreEqual("certificate-expires", status.GetProperty("runtime").GetProperty("notices")[0].GetProperty("code").GetString());
        Assert.AreEqual(JsonValueKind.Null, status.GetProperty("runtime").GetProperty("certificate").ValueKind);
        Assert.AreEqual("host1", Root(fixture.Run("host", "show", "host1", "--json").Output).GetProperty("name").GetString());
        Assert.AreEqual(1, Root(fixture.Run("host", "list", "--json").Output).GetProperty("hosts").GetArrayLength());
        Assert.AreEqual(1, Root(fixture.Run("mounts", "--json").Output).GetProperty("mounts").GetArrayLength());
        Assert.IsTrue(Root(fixture.Run("health", "--json").Output).GetProperty("serving").GetBoolean());
        Assert.AreEqual("9.9.9", Root(fixture.Run("version", "--json").Output).GetProperty("runtime").GetString());
        Assert.AreEqual("/mnt/x", Root(fixture.Run("umount", "/mnt/x", "--json").Output).GetProperty("target").GetString());
        string[] events = fixture.Run("events", "--json").Output.TrimEnd('\n').Split('\n');
        Assert.HasCount(2, events);
        Assert.AreEqual(2102, Root(events[1]).GetProperty("id").GetInt32());
        Assert.AreEqual("host1", Root(events[1]).GetProperty("host").GetString());
    }

    [TestMethod]
    [TestCategory("root")]
    public void Failures_EachKind_HasItsExitCode()
    {
        using var fixture = new CtlFixture();
        Expect(fixture.Run("mount", "nohost:e", "/mnt/x"), ExitCodes.NotFound, "there is no host nohost");
        Assert.AreEqual(ExitCodes.Success, fixture.Run("mount", "host1:e", "/mnt/x").ExitCode);
        Expect(fixture.Run("mount", "host1:e", "/mnt/x"), ExitCodes.Refused, "/mnt/x is mounted already");
        Expect(fixture.Run("umount", "/mnt/y"), ExitCodes.NotFound, "nothing of ours is mounted on /mnt/y");
        Expect(fixture.Run("host", "show", "h9"), ExitCodes.NotFound, "there is no hosts/h9");
        Expect(fixture.Run("reload", "--timeout", "300ms"), ExitCodes.Timeout, "no answer within 300ms; give it more time with --timeout");
        Expect(fixture.Run("mount", "justhost", "/x"), ExitCodes.Usage, "write HOST:EXPORT");
    }

    [TestMethod]
    [TestCategory("unit")]
    [DataRow("statsu", "'statsu' is not known here; did you mean 'status'?")]
    [DataRow("mounts --jsno", "'--jsno' is not an option here; did you mean '--json'?")]
    [DataRow("", "'dpuctl' needs a command: status, host,")]
    [DataRow("pki", "'dpuctl pki' needs a command: init, issue,")]
    [DataRow("mount a:b /x --cache-timeout 5", "'5' is no duration; allowed: a number and a unit")]
    [DataRow("mount a:b /x --lanes 65", "--lanes is a number of 1 to 32")]
    [DataRow("stats --count 3", "--count needs --watch")]
    [DataRow("stats --watch 1s --count 0", "'0' is no number of reports; allowed: 1 or more")]
    [DataRow("stats --watch 0s", "must be longer than 0")]
    [DataRow("top --interval soon", "'soon' is no duration")]
    [DataRow("pki issue router r1", "router")]
    [DataRow("mounts --address tcp://127.0.0.1:1", "--address needs --cert")]
    [DataRow("mounts --address unix:///x", "no TCP endpoint")]
    public void Usage_Wrong_ExitsWithTwoAndSaysWhat(string line, string expected) =>
        Expect(CtlFixture.RunAlone(line.Split(' ', StringSplitOptions.RemoveEmptyEntries)), ExitCodes.Usage, expected);

    [TestMethod]
    [TestCategory("unit")]
    public void Runtime_NotThere_IsUnreachableInOneLine()
    {
        (int code, string output, string error) = CtlFixture.RunAlone("status", "--socket", "/nonexistent/runtime.sock");
        Assert.AreEqual(ExitCodes.Unreachable, code);
        Assert.AreEqual(string.Empty, output);
        Assert.AreEqual("dpuctl: /nonexistent/runtime.sock does not exist: is dpu-runtime running? systemctl start dpu-runtime (another socket: --socket PATH)\n", error);
        (code, output, _) = CtlFixture.RunAlone("version", "--socket", "/nonexistent/runtime.sock");
        Assert.AreEqual(ExitCodes.Success, code);
        Assert.Contains("no daemon reachable", output);
    }

    private static JsonElement Root(string json)
    {
        using JsonDocument document = JsonDocument.Parse(json);
        return document.RootElement.Clone();
    }

    private static void Expect((int ExitCode, string Output, string Error) result, int code, string error)
    {
        Assert.AreEqual(code, result.ExitCode, result.Error);
        Assert.Contains(error, result.Error);
        Assert.StartsWith("dpuctl: ", result.Error);
        Assert.DoesNotContain("   at ", result.Error, "no stack trace");
    }
}
