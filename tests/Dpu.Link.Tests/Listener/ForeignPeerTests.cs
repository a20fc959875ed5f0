using System.Diagnostics;
using System.Globalization;
using Dpu.Proto.V1;

namespace Dpu.Link.Tests.Listener;

/// <summary>The link's listener seen by programs that are not ours.</summary>
[TestClass]
public sealed class ForeignPeerTests
{
    // Dials with TLS 1.3, says the hello in argv, prints the reply, and then holds the connection without a word.
    private const string PythonPeer = """
        import socket, ssl, sys
        host, port, folder, hello = sys.argv[1], int(sys.argv[2]), sys.argv[3], bytes.fromhex(sys.argv[4])
        print('ready', flush=True)
        sys.stdin.readline()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.load_verify_locations(folder + '/ca.crt')
        context.load_cert_chain(folder + '/dpu1.crt', folder + '/dpu1.key')
        link = context.wrap_socket(socket.create_connection((host, port), 20), server_hostname='host1')
        link.sendall(hello)
        print(link.version(), link.recv(4096).hex(), flush=True)
        sys.stdin.readline()
        """;

    [TestMethod, TestCategory("interop")]
    public void OpensslClient_WithItsCertificate_SpeaksTls13AndIsAskedForOne()
    {
        using var lab = new LinkLab();
        var listener = lab.Listen(lab.Credentials(LinkRole.Host, "host1"));
        var files = lab.Files(LinkRole.Dpu, "dpu1");
        var (_, output) = Openssl(listener, "-CAfile", files.Authority, "-cert", files.Certificate, "-key", files.Key, "-verify_return_error", "-verify_hostname", "host1");
        StringAssert.Contains(output, "New, TLSv1.3");
        StringAssert.Contains(output, "Verify return code: 0 (ok)");
        StringAssert.Contains(output, "Requested Signature Algorithms");
    }

    [TestMethod, TestCategory("interop")]
    public void OpensslClient_WithASessionOfBefore_IsNotResumed()
    {
        using var lab = new LinkLab();
        var host = lab.Credentials(LinkRole.Host, "host1");
        var listener = lab.Listen(host);
        var files = lab.Files(LinkRole.Dpu, "dpu1");
        string session = Path.Combine(lab.Folder, "session"), hello = Path.Combine(lab.Folder, "hello");
        File.WriteAllBytes(hello, UnixLinkTests.HelloFrame());
        string[] peer = ["-CAfile", files.Authority, "-cert", files.Certificate, "-key", files.Key];

        // The session's ticket follows the handshake: the client must stay until it has read the reply.
        var (_, first) = Tool.Run("sh", ["-c", "hello=$1; shift; (cat \"$hello\"; sleep 1) | timeout 20 openssl s_client \"$@\"", "sh", hello,
            "-connect", $"127.0.0.1:{listener.Bound[0].Port}", "-servername", "host1", "-sess_out", session, .. peer]);
        StringAssert.Contains(first, "New, TLSv1.3");
        Assert.IsTrue(File.Exists(session), "openssl kept the session of a ticket; without tickets there is nothing to resume and this test may go");
        var (_, second) = Openssl(listener, [.. peer, "-sess_in", session]);
        Assert.IsFalse(second.Contains("Reused", StringComparison.Ordinal), "a resumed session would outlive a revocation: " + second);
        StringAssert.Contains(second, "New, TLSv1.3");

        lab.Authority.Revoke("dpu1");
        Assert.IsTrue(host.CheckForChanges());
        Openssl(listener, [.. peer, "-sess_in", session]);
        LinkLab.Eventually(() => lab.Refusals.Any(r => r.Kind == LinkError.Revoked), "the revoked peer is refused whatever session it brings");
    }

    [TestMethod, TestCategory("interop")]
    public void OpensslClient_WithoutCertificate_IsCut()
    {
        using var lab = new LinkLab();
        var echo = new EchoService();
        var listener = lab.Listen(lab.Credentials(LinkRole.Host, "host1"), services: echo);
        Openssl(listener);
        Assert.AreEqual(LinkError.NoCertificate, lab.NextRefusal().Kind);
        Assert.AreEqual(0, echo.Peers.Count);
    }

    [TestMethod, TestCategory("interop")]
    public void OpensslClient_Tls12_GetsAProtocolVersionAlert()
    {
        using var lab = new LinkLab();
        var listener = lab.Listen(lab.Credentials(LinkRole.Host, "host1"));
        var (exit, output) = Openssl(listener, "-tls1_2");
        Assert.AreNotEqual(0, exit);
        StringAssert.Contains(output, "alert protocol version");
    }

    [TestMethod, TestCategory("interop")]
    public void OpensslVerify_IssuedCertificateAndRevocation_Agree()
    {
        using var lab = new LinkLab();
        var files = lab.Files(LinkRole.Dpu, "dpu1");
        Tool.Must("openssl", "verify", "-x509_strict", "-crl_check", "-CRLfile", files.Revocations!, "-CAfile", files.Authority, "-purpose", "sslclient", files.Certificate);
        lab.Authority.Revoke("dpu1");
        var (exit, output) = Tool.Run("openssl", "verify", "-crl_check", "-CRLfile", files.Revocations!, "-CAfile", files.Authority, files.Certificate);
        Assert.AreNotEqual(0, exit);
        StringAssert.Contains(output, "certificate revoked");
    }

    [TestMethod, TestCategory("interop")]
    public void PythonPeer_SpeakingTheHello_IsServed()
    {
        using var lab = new LinkLab();
        var listener = lab.Listen(lab.Credentials(LinkRole.Host, "host1"));
        using var peer = Python(lab, listener.Bound[0].Host, listener.Bound[0].Port);
        Greet(peer);
    }

    [TestMethod, TestCategory("root")]
    public void TcpPeer_WhoseNetworkVanishes_IsNoticedInBoundedTime()
    {
        using var lab = new LinkLab();
        var echo = new EchoService();
        using var holder = new Tool("unshare", "--net", "cat");

        // Until then a cable to it would have both ends here.
        LinkLab.Eventually(() => NetworkOf($"{holder.Id}") != NetworkOf("self"), "its own network");
        using var cable = new Cable(holder.Id);
        var listener = lab.Listen(lab.Credentials(LinkRole.Host, "host1"), LinkEndpoint.Tcp(cable.Address, 0), o => o with { DeadPeerAfter = TimeSpan.FromSeconds(2) }, echo);
        using var peer = Python(lab, cable.Address, listener.Bound[0].Port, "nsenter", "--net", $"--target={holder.Id}");
        Greet(peer);
        LinkLab.Eventually(() => echo.Active == 1, "the peer is served");
        var watch = Stopwatch.StartNew();
        Tool.Must("nsenter", "--net", $"--target={holder.Id}", "ip", "link", "set", "peer0", "down");
        LinkLab.Eventually(() => echo.Active == 0, "the dead peer is noticed");
        Assert.IsTrue(watch.Elapsed < TimeSpan.FromSeconds(10), $"took {watch.Elapsed}");
        LinkLab.Eventually(() => listener.Connections == 0, "its connection is given back");
    }

    private static string? NetworkOf(string process) => File.ResolveLinkTarget($"/proc/{process}/ns/net", returnFinalTarget: false)?.Name;

    private static void Greet(Tool peer)
    {
        Assert.AreEqual("ready", peer.Line());
        peer.Say("go");
        var words = peer.Line().Split(' ');
        Assert.AreEqual("TLSv1.3", words[0]);
        var reply = HelloReply.Parser.ParseFrom(Convert.FromHexString(words[1]).AsSpan(8));
        Assert.AreEqual(HelloStatus.Ok, reply.Status);
        Assert.AreEqual("host1", reply.Name);
    }

    private static Tool Python(LinkLab lab, string host, uint port, params string[] prefix)
    {
        var files = lab.Files(LinkRole.Dpu, "dpu1");
        string[] command = [.. prefix, "/usr/bin/python3", "-c", PythonPeer, host, port.ToString(CultureInfo.InvariantCulture), Path.GetDirectoryName(files.Key)!, Convert.ToHexString(UnixLinkTests.HelloFrame())];
        return new Tool(command[0], command[1..]);
    }

    private static (int Exit, string Output) Openssl(LinkListener listener, params string[] more) =>
        Tool.Run("openssl", ["s_client", "-connect", $"127.0.0.1:{listener.Bound[0].Port}", "-servername", "host1", .. more]);

    /// <summary>A veth pair from here into another network namespace, gone with that.</summary>
    private sealed class Cable : IDisposable
    {
        private readonly string _name = $"dlk{Environment.ProcessId % 100000}";

        internal Cable(int process)
        {
            // 198.18.0.0/15 is for tests (RFC 2544); a /30 of it by chance, as other runs on this machine have theirs.
            var subnet = Random.Shared.Next(1 << 14);
            var prefix = string.Create(CultureInfo.InvariantCulture, $"198.{18 + (subnet >> 13)}.{(subnet >> 6) & 127}");
            Address = $"{prefix}.{((subnet & 63) * 4) + 1}";
            Tool.Must("ip", "link", "add", _name, "type", "veth", "peer", "name", "peer0", "netns", $"{process}");
            Tool.Must("ip", "addr", "add", $"{Address}/30", "dev", _name);
            Tool.Must("ip", "link", "set", _name, "up");
            Tool.Must("nsenter", "--net", $"--target={process}", "ip", "addr", "add", $"{prefix}.{((subnet & 63) * 4) + 2}/30", "dev", "peer0");
            Tool.Must("nsenter", "--net", $"--target={process}", "ip", "link", "set", "peer0", "up");
        }

        internal string Address { get; }

        public void Dispose() => Tool.Run("ip", "link", "del", _name);
    }
}
