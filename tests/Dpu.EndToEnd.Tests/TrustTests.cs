using System.Globalization;
using System.Net.Http;
using System.Text.Json.Nodes;
using Dpu.Link;

namespace Dpu.EndToEnd.Tests;

/// <summary>
/// Certificates that are wrong, too old or too new, between the real daemons: the operator is told why, and the link
/// comes up by itself once the files are right, without a restart.
/// </summary>
[TestClass]
public sealed class TrustTests
{
    private static readonly TimeSpan Minute = TimeSpan.FromMinutes(1);

    [TestMethod]
    [TestCategory("root")]
    [DataRow("another authority", "not signed by our authority")]
    [DataRow("expired", "certificate expired on ")]
    [DataRow("not yet valid", "certificate not yet valid (valid from ")]
    [DataRow("another host", "dpu://host/other")]
    public void HostsCertificate_Wrong_IsExplainedAndHealsWithTheFiles(string what, string expected)
    {
        using var pair = new Pair(LinkKind.Tls);
        string pki = Path.Combine(pair.Folder, "pki"), used = Directory.CreateDirectory(Path.Combine(pair.Folder, "used")).FullName;
        switch (what)
        {
            case "another authority":
                CertificateAuthority.Init(used, "other", TimeSpan.FromDays(1)).Issue(LinkRole.Host, "host1", TimeSpan.FromHours(1));
                Rename(used, "host1");
                break;
            case "expired":
                CertificateAuthority.Open(pki, new ShiftedTime(-4 * Minute)).Issue(LinkRole.Host, "host1", Minute, rotate: true);
                Use(pki, "host1", used);
                break;
            case "not yet valid":
                CertificateAuthority.Open(pki, new ShiftedTime(60 * Minute)).Issue(LinkRole.Host, "host1", 60 * Minute, rotate: true);
                Use(pki, "host1", used);
                break;
            default:
                pair.Authority.Issue(LinkRole.Host, "other", 60 * Minute);
                Use(pki, "other", used);
                break;
        }

        pair.AgentConfiguration["tls"] = new JsonObject
        {
            ["certificate"] = Path.Combine(used, "own.crt"),
            ["key"] = Path.Combine(used, "own.key"),
            ["authority"] = Path.Combine(used, "ca.crt"),
        };
        File.WriteAllText(Path.Combine(pair.ExportRoot, "f"), "x");
        pair.StartAgent();
        JsonObject configuration = pair.RuntimeConfiguration(), mount = pair.Mount("data", "data");
        configuration["mounts"]!.AsArray().Add(mount);
        Daemon runtime = pair.StartRuntime(configuration);

        string shown = "";
        Assert.IsTrue(
            Eventually.Within(() => (shown = runtime.Ctl("host", "show", "host1").Output).Contains(expected, StringComparison.Ordinal), Pair.Limit),
            $"'{expected}' is not in 'dpuctl host show': {shown}");
        if (what is "expired" or "not yet valid")
        {
            Assert.Contains("local time is " + TimeProvider.System.GetUtcNow().ToString("yyyy-MM-dd", CultureInfo.InvariantCulture), shown);
        }

        Assert.DoesNotContain(mount["target"]!.GetValue<string>(), MountTable.Targets());

        pair.Authority.Issue(LinkRole.Host, "host1", 60 * Minute, rotate: true);
        Use(pki, "host1", used);
        Pair.WaitMounted(mount["target"]!.GetValue<string>());
        Assert.AreEqual("x", File.ReadAllText(Path.Combine(mount["target"]!.GetValue<string>(), "f")));
    }

    [TestMethod]
    [TestCategory("root")]
    [DataRow("Dpu.HostAgent", "dpu-host-agent", "dpu1", "needs a certificate of the role host")]
    [DataRow("Dpu.Runtime", "dpu-runtime", "host1", "needs a certificate of the role dpu")]
    public void CertificateOfTheOtherRole_AtTheStart_IsAnErrorInOneLine(string project, string program, string name, string expected)
    {
        using var pair = new Pair(LinkKind.Tls);
        JsonObject configuration = project == "Dpu.Runtime" ? pair.RuntimeConfiguration() : pair.AgentConfiguration;
        configuration["tls"] = pair.Tls(name);
        configuration["log"] = new JsonObject { ["level"] = "Information" };
        string file = Path.Combine(pair.Folder, "wrong.json");
        File.WriteAllText(file, configuration.ToJsonString());
        ProgramResult result = ExternalProgram.Run(Repository.Program(project, program), ["--config", file], Pair.Limit);
        Assert.AreEqual(1, result.ExitCode, result.Error);
        Assert.Contains(expected, result.Error);
        Assert.Contains("dpuctl pki issue", result.Error);
        Assert.DoesNotContain("   at ", result.Error);
    }

    [TestMethod]
    [TestCategory("root")]
    public void RevokedDpu_IsCutAndToldWhy_AndComesBackWithANewCertificate()
    {
        using var pair = new Pair(LinkKind.Tls);
        File.WriteAllText(Path.Combine(pair.ExportRoot, "f"), "x");
        string mount = pair.Up(entry => entry["giveUpAfter"] = "1s");
        Assert.AreEqual("x", File.ReadAllText(Path.Combine(mount, "f")));

        pair.Authority.Revoke("dpu1");
        string log() => pair.Agent.Log;
        Eventually.True(() => log().Contains("revoked", StringComparison.Ordinal), Pair.Limit, "the revocation in the agent's log");
        Eventually.True(() => pair.Runtime.Ctl("host", "show", "host1").Output.Contains("down", StringComparison.Ordinal), Pair.Limit, "the link's end");
        Assert.Contains("Input/output error", Shell.Run($"cat {mount}/f", "/").Error);

        pair.Authority.Issue(LinkRole.Dpu, "dpu1", 60 * Minute, rotate: true);
        Assert.IsTrue(
            Eventually.Within(() => Shell.Run($"cat {mount}/f", "/").Output.TrimEnd() == "x", Pair.Limit),
            $"the mount under the new certificate; the agent's log: {pair.Agent.Log}; the runtime's: {pair.Runtime.Log}");
    }

    [TestMethod]
    [TestCategory("root")]
    public async Task CertificateThatEndsSoon_IsWarnedOfInStatus_AndAMetric()
    {
        using var pair = new Pair(LinkKind.Tls);
        pair.StartAgent();
        JsonObject configuration = pair.RuntimeConfiguration();
        int port = FreePort.Take();
        configuration["metrics"] = new JsonObject { ["listen"] = $"127.0.0.1:{port}" };
        Daemon runtime = pair.StartRuntime(configuration);
        Eventually.True(() => runtime.Ctl("status", "--json").Output.Contains("\"up\"", StringComparison.Ordinal), Pair.Limit, "the link");

        string[] lines = runtime.Ctl("status").EnsureSuccess().Output.Split('\n');
        Assert.Contains(line => line.StartsWith("warning: dpu-runtime: the certificate of 'dpu1' expires on ", StringComparison.Ordinal) && line.Contains("dpuctl pki rotate dpu1", StringComparison.Ordinal), lines);
        Assert.Contains(line => line.StartsWith("warning: host host1: the certificate of 'host1' expires on ", StringComparison.Ordinal), lines, "the agent's, seen from the DPU");

        JsonNode status = JsonNode.Parse(runtime.Ctl("status", "--json").EnsureSuccess().Output)!["runtime"]!;
        DateTimeOffset end = DateTimeOffset.Parse(status["certificate"]!["notAfter"]!.GetValue<string>(), CultureInfo.InvariantCulture);
        using var client = new HttpClient { Timeout = Pair.Limit };
        string metrics = await client.GetStringAsync($"http://127.0.0.1:{port}/metrics");
        string line = metrics.Split('\n').Single(text => text.StartsWith("dpu_certificate_not_after_seconds ", StringComparison.Ordinal));
        Assert.AreEqual(end.ToUnixTimeSeconds(), (long)double.Parse(line.Split(' ')[1], CultureInfo.InvariantCulture));
        Assert.Contains("dpu_host_up{host=\"host1\"} 1", metrics);
    }

    private static void Use(string pki, string name, string used)
    {
        foreach (string kind in new[] { "crt", "key" })
        {
            File.Copy(Path.Combine(pki, $"{name}.{kind}"), Path.Combine(used, $"own.{kind}"), overwrite: true);
        }

        File.Copy(Path.Combine(pki, "ca.crt"), Path.Combine(used, "ca.crt"), overwrite: true);
    }

    private static void Rename(string folder, string name)
    {
        foreach (string kind in new[] { "crt", "key" })
        {
            File.Move(Path.Combine(folder, $"{name}.{kind}"), Path.Combine(folder, $"own.{kind}"));
        }
    }
}
