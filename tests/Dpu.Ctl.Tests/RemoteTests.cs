using System.Net;
using System.Net.Sockets;
using Dpu.Hosting;
using Dpu.Link;
using Dpu.TestSupport;

namespace Dpu.Ctl.Tests;

[TestClass]
public sealed class RemoteTests
{
    [TestMethod]
    [TestCategory("root")]
    public void Address_OperatorCertificate_IsServedAndMistakesAreExplained()
    {
        using var folder = new TemporaryDirectory();
        string pki = folder["pki"];
        CertificateAuthority authority = CertificateAuthority.Init(pki, "test", TimeSpan.FromDays(100));
        _ = authority.Issue(LinkRole.Dpu, "dpu1", TimeSpan.FromDays(90));
        _ = authority.Issue(LinkRole.Operator, "alice", TimeSpan.FromDays(90));
        _ = authority.Issue(LinkRole.Operator, "mallory", TimeSpan.FromDays(90));
        _ = CertificateAuthority.Init(folder["other"], "other", TimeSpan.FromDays(100)).Issue(LinkRole.Operator, "alice", TimeSpan.FromDays(90));
        int port = FreePort();
        using var fixture = new CtlFixture(
            $$"""
            "tls": { "certificate": "{{pki}}/dpu1.crt", "key": "{{pki}}/dpu1.key", "authority": "{{pki}}/ca.crt" },
            """,
            $"\"listen\": [\"tcp://127.0.0.1:{port}\"], \"operators\": [\"alice\"],");
        string[] Line(string dir, string name, string server) =>
        [
            "status", "--address", $"tcp://127.0.0.1:{port}", "--server", server,
            "--cert", $"{dir}/{name}.crt", "--key", $"{dir}/{name}.key", "--ca", $"{dir}/ca.crt",
        ];

        (int code, string output, string error) = CtlFixture.RunAlone(Line(pki, "alice", "dpu1"));
        Assert.AreEqual(ExitCodes.Success, code, error);
        Assert.Contains("dpu-runtime 9.9.9", output);

        (code, _, error) = CtlFixture.RunAlone(Line(pki, "alice", "dpu7"));
        Assert.AreEqual(ExitCodes.Refused, code, error);
        Assert.Contains("is dpu://dpu/dpu1, not dpu://dpu/dpu7: name it with --server", error);

        (code, _, error) = CtlFixture.RunAlone(Line(folder["other"], "alice", "dpu1"));
        Assert.AreEqual(ExitCodes.Refused, code, error);
        Assert.Contains("cannot be trusted", error);

        (code, _, error) = CtlFixture.RunAlone(Line(pki, "mallory", "dpu1"));
        Assert.AreNotEqual(ExitCodes.Success, code, error);
        Assert.Contains("control.operators", error);
        Assert.DoesNotContain("   at ", error);

        string[] nobody = Line(pki, "alice", "dpu1");
        nobody[2] = "tcp://127.0.0.1:1";
        (code, _, error) = CtlFixture.RunAlone(nobody);
        Assert.AreEqual(ExitCodes.Unreachable, code, error);
        Assert.Contains("cannot reach tcp://127.0.0.1:1", error);
    }

    private static int FreePort()
    {
        using var socket = new Socket(SocketType.Stream, ProtocolType.Tcp);
        socket.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        return ((IPEndPoint)socket.LocalEndPoint!).Port;
    }
}
