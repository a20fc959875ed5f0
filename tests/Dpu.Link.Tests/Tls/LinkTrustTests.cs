using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;
using Dpu.Proto.V1;

namespace Dpu.Link.Tests.Tls;

[TestClass]
public sealed class LinkTrustTests
{
    [TestMethod, TestCategory("unit")]
    public void Dial_GoodCertificates_BothKnowOneAnother()
    {
        using var lab = new LinkLab();
        var echo = new EchoService();
        var (listener, dialer) = lab.Pair(echo);
        using var link = dialer.Dial(listener.Bound[0], "host1", "fs", LinkLab.Session, h => h.Fs = new FsParameters { Export = "home" });
        LinkLab.AssertEchoes(link);
        Assert.AreEqual(LinkRole.Host, link.Peer.Role);
        Assert.AreEqual("host1", link.Peer.Name);
        Assert.IsTrue(link.Reply.Fs.ReadOnly);
        Assert.AreEqual(3u, link.Reply.Fs.MaxLanes);
        Assert.AreEqual(0b0111UL, link.Features);
        Assert.IsTrue(echo.Peers.TryDequeue(out var peer));
        Assert.AreEqual("dpu1", peer.Name);
        Assert.AreEqual(LinkRole.Dpu, peer.Role);
        Assert.AreEqual("127.0.0.1", peer.Origin);
        Assert.IsTrue(echo.Hellos.TryDequeue(out var hello));
        Assert.AreEqual("home", hello.Fs.Export);
        CollectionAssert.AreEqual(LinkLab.Session, hello.SessionId.ToByteArray());
        Assert.AreEqual(SslProtocols.Tls13, ((SslStream)link.Stream).SslProtocol);
        Assert.IsTrue(link.Socket.Blocking);
    }

    [TestMethod, TestCategory("unit")]
    public void Dial_ListenerOfAnotherAuthority_IsWrongAuthority()
    {
        using var lab = new LinkLab();
        var listener = lab.Listen(lab.Credentials(LinkRole.Host, "host1", authority: lab.OtherAuthority()));
        var e = Dial(lab, listener, "dpu1");
        Assert.AreEqual(LinkError.WrongAuthority, e.Kind);
        StringAssert.Contains(e.Message, "not signed by our authority");
        StringAssert.Contains(e.Message, "dpu://host/host1");
    }

    [TestMethod, TestCategory("unit")]
    public void Listen_DiallerOfAnotherAuthority_BothEndsSayWhy()
    {
        using var lab = new LinkLab();
        var echo = new EchoService();
        var listener = lab.Listen(lab.Credentials(LinkRole.Host, "host1"), services: echo);

        // The dialler trusts the listener's authority, but its own certificate is another's.
        var files = lab.Files(LinkRole.Dpu, "dpu1", authority: lab.OtherAuthority());
        var both = Path.Combine(lab.Folder, "both.crt");
        File.WriteAllText(both, File.ReadAllText(files.Authority) + File.ReadAllText(lab.Authority.CertificatePath));
        using var credentials = LinkCredentials.Load(files with { Authority = both });
        var e = LinkLab.Fails(() => lab.Dialer(credentials).Dial(listener.Bound[0], "host1", "fs", LinkLab.Session));
        Assert.AreEqual(LinkError.CertificateRefused, e.Kind, e.ToString());
        StringAssert.Contains(e.Message, "dpu://dpu/dpu1");
        var refusal = lab.NextRefusal();
        Assert.AreEqual(LinkError.WrongAuthority, refusal.Kind);
        Assert.AreEqual(0, echo.Peers.Count);
    }

    [TestMethod, TestCategory("unit")]
    public void Dial_ExpiredListener_SaysWhen()
    {
        using var lab = new LinkLab(-10 * LinkLab.Day);
        var listener = lab.Listen(lab.Credentials(LinkRole.Host, "host1", LinkLab.Day, -5 * LinkLab.Day));
        var e = Dial(lab, listener, "dpu1");
        Assert.AreEqual(LinkError.Expired, e.Kind);
        StringAssert.Contains(e.Message, "certificate expired on 20");
    }

    [TestMethod, TestCategory("unit")]
    public void Listen_ExpiredDialler_IsRefused()
    {
        using var lab = new LinkLab(-10 * LinkLab.Day);
        var listener = lab.Listen(lab.Credentials(LinkRole.Host, "host1"));

        // Its clock is wrong, so that it does not see its own certificate's end.
        var behind = new ShiftedTime(-5 * LinkLab.Day + TimeSpan.FromHours(1));
        var credentials = lab.Credentials(LinkRole.Dpu, "dpu1", LinkLab.Day, -5 * LinkLab.Day, time: behind);
        var e = LinkLab.Fails(() => lab.Dialer(credentials).Dial(listener.Bound[0], "host1", "fs", LinkLab.Session));
        Assert.AreEqual(LinkError.CertificateRefused, e.Kind, e.ToString());
        Assert.AreEqual(LinkError.Expired, lab.NextRefusal().Kind);
    }

    [TestMethod, TestCategory("unit")]
    public void Dial_OwnCertificateExpired_SaysSoBeforeConnecting()
    {
        using var lab = new LinkLab(-10 * LinkLab.Day);
        var credentials = lab.Credentials(LinkRole.Dpu, "dpu1", LinkLab.Day, -5 * LinkLab.Day);
        var e = LinkLab.Fails(() => lab.Dialer(credentials).Dial(LinkEndpoint.Tcp("127.0.0.1", 1), "host1", "fs", LinkLab.Session));
        Assert.AreEqual(LinkError.Expired, e.Kind);
        StringAssert.Contains(e.Message, "Our own certificate (dpu://dpu/dpu1)");
    }

    [TestMethod, TestCategory("unit")]
    public void Dial_ListenerNotYetValid_NamesTheClockAndIsTransient()
    {
        using var lab = new LinkLab();
        var listener = lab.Listen(lab.Credentials(LinkRole.Host, "host1", shift: 2 * LinkLab.Day));
        var e = Dial(lab, listener, "dpu1");
        Assert.AreEqual(LinkError.ClockSkew, e.Kind);
        Assert.IsTrue(e.IsTransient);
        StringAssert.Contains(e.Message, "certificate not yet valid");
        StringAssert.Contains(e.Message, "local time is 20");
        StringAssert.Contains(e.Message, "check the clock");
    }

    [TestMethod, TestCategory("unit")]
    public void Dial_OtherHostsCertificate_SaysExpectedAndGot()
    {
        using var lab = new LinkLab();
        var listener = lab.Listen(lab.Credentials(LinkRole.Host, "host2"));
        var e = Dial(lab, listener, "dpu1");
        Assert.AreEqual(LinkError.NameMismatch, e.Kind);
        StringAssert.Contains(e.Message, "dpu://host/host2");
        StringAssert.Contains(e.Message, "expected dpu://host/host1");
    }

    [TestMethod, TestCategory("unit")]
    public void Constructor_ListenerWithDpuCertificate_IsRefused()
    {
        using var lab = new LinkLab();
        var credentials = lab.Credentials(LinkRole.Dpu, "host1");
        Assert.ThrowsExactly<ArgumentException>(() => lab.Listen(credentials));
    }

    [TestMethod, TestCategory("unit")]
    public void Dial_DpuCertificateAtTheListener_IsARoleMismatch()
    {
        using var lab = new LinkLab();
        var trust = lab.Credentials(LinkRole.Dpu, "host1").Current;
        using var impostor = new TcpListenerOf(trust);
        var e = LinkLab.Fails(() => lab.Dialer(lab.Credentials(LinkRole.Dpu, "dpu1")).Dial(impostor.Endpoint, "host1", "fs", LinkLab.Session));
        Assert.AreEqual(LinkError.NameMismatch, e.Kind);
        StringAssert.Contains(e.Message, "dpu://dpu/host1");
    }

    [TestMethod, TestCategory("unit")]
    [DataRow(LinkRole.Host, "dpu1")]
    [DataRow(LinkRole.Operator, "dpu1")]
    [DataRow(LinkRole.Dpu, "dpu3")]
    public void Listen_RoleOrNameNotInThePolicy_IsToldNotPermitted(LinkRole role, string name)
    {
        using var lab = new LinkLab();
        var echo = new EchoService();
        var listener = lab.Listen(lab.Credentials(LinkRole.Host, "host1"), services: echo);
        var credentials = lab.Credentials(role, name);
        var e = LinkLab.Fails(() => lab.Dialer(credentials).Dial(listener.Bound[0], "host1", "fs", LinkLab.Session));
        Assert.AreEqual(LinkError.Refused, e.Kind, e.ToString());
        Assert.AreEqual(HelloStatus.NotPermitted, e.Status);
        Assert.IsFalse(e.IsTransient);
        StringAssert.Contains(e.Message, $"dpu://{PeerIdentity.RoleText(role)}/{name}");
        Assert.AreEqual(0, echo.Peers.Count);
    }

    [TestMethod, TestCategory("unit")]
    public void Listen_RevokedDialler_IsRefusedAndItsOpenLinkCut()
    {
        using var lab = new LinkLab();
        var host = lab.Credentials(LinkRole.Host, "host1");
        var echo = new EchoService();
        var listener = lab.Listen(host, services: echo);

        // The DPU itself has no revocation list: the host's must do.
        using var credentials = LinkCredentials.Load(lab.Files(LinkRole.Dpu, "dpu1") with { Revocations = null });
        var dialer = lab.Dialer(credentials);
        using var open = dialer.Dial(listener.Bound[0], "host1", "fs", LinkLab.Session);
        LinkLab.AssertEchoes(open);
        using var other = lab.Dialer(lab.Credentials(LinkRole.Dpu, "dpu2")).Dial(listener.Bound[0], "host1", "fs", LinkLab.Session);

        Assert.HasCount(1, lab.Authority.Revoke("dpu1"));
        Assert.IsTrue(host.CheckForChanges());
        LinkLab.Eventually(() => echo.Active == 1, "the revoked peer's link is cut");
        Assert.AreEqual(0, Ending(open));
        var e = LinkLab.Fails(() => dialer.Dial(listener.Bound[0], "host1", "fs", LinkLab.Session));
        Assert.AreEqual(LinkError.CertificateRefused, e.Kind, e.ToString());
        Assert.AreEqual(LinkError.Revoked, lab.NextRefusal().Kind);
        LinkLab.AssertEchoes(other);
    }

    [TestMethod, TestCategory("unit")]
    public void Dial_RevokedListener_IsRevoked()
    {
        using var lab = new LinkLab();
        var listener = lab.Listen(lab.Credentials(LinkRole.Host, "host1"));
        lab.Authority.Revoke("host1");
        var e = Dial(lab, listener, "dpu1");
        Assert.AreEqual(LinkError.Revoked, e.Kind);
        StringAssert.Contains(e.Message, "was revoked");
    }

    [TestMethod, TestCategory("unit")]
    public void Listen_NewCertificateFiles_AreUsedWithoutRestart()
    {
        using var lab = new LinkLab();
        var host = lab.Credentials(LinkRole.Host, "host1");
        var (listener, dialer) = (lab.Listen(host), lab.Dialer(lab.Credentials(LinkRole.Dpu, "dpu1")));
        using var before = dialer.Dial(listener.Bound[0], "host1", "fs", LinkLab.Session);
        lab.Authority.Issue(LinkRole.Host, "host1", 60 * LinkLab.Day, rotate: true);
        Assert.IsTrue(host.CheckForChanges());
        using var after = dialer.Dial(listener.Bound[0], "host1", "fs", LinkLab.Session);
        Assert.AreNotEqual(before.Peer.Certificate!.SerialNumber, after.Peer.Certificate!.SerialNumber);
        LinkLab.AssertEchoes(before);
        LinkLab.AssertEchoes(after);
    }

    [TestMethod, TestCategory("unit")]
    public void Listen_ClientWithoutCertificate_IsRefused()
    {
        using var lab = new LinkLab();
        var echo = new EchoService();
        var listener = lab.Listen(lab.Credentials(LinkRole.Host, "host1"), services: echo);
        AssertRefusedAfterHandshake(listener, new SslClientAuthenticationOptions { TargetHost = "host1", EnabledSslProtocols = SslProtocols.Tls13 });
        Assert.AreEqual(LinkError.NoCertificate, lab.NextRefusal().Kind);
        Assert.AreEqual(0, echo.Peers.Count);
    }

    [TestMethod, TestCategory("unit")]
    public void Listen_Tls12Client_IsRefused()
    {
        using var lab = new LinkLab();
        var listener = lab.Listen(lab.Credentials(LinkRole.Host, "host1"));
        var trust = lab.Credentials(LinkRole.Dpu, "dpu1").Current;
        using var stream = new NetworkStream(LinkLab.RawTcp(listener.Bound[0]), ownsSocket: true);
        using var tls = new SslStream(stream);
        var options = LinkTls.ClientOptions(trust, TimeProvider.System, "host1", _ => true);
#pragma warning disable CA5398 // The old version is what is tested.
        options.EnabledSslProtocols = SslProtocols.Tls12;
#pragma warning restore CA5398
        Assert.ThrowsExactly<AuthenticationException>(() => tls.AuthenticateAsClient(options));
        Assert.AreEqual(LinkError.Protocol, lab.NextRefusal().Kind);
    }

    [TestMethod, TestCategory("unit")]
    public void Listen_PlaintextToTlsEndpoint_IsRefused()
    {
        using var lab = new LinkLab();
        var (listener, dialer) = lab.Pair();
        using var socket = LinkLab.RawTcp(listener.Bound[0]);
        socket.Send("GET / HTTP/1.1\r\nHost: x\r\n\r\n"u8);
        Assert.AreEqual(LinkError.Protocol, lab.NextRefusal().Kind);
        using var link = dialer.Dial(listener.Bound[0], "host1", "fs", LinkLab.Session);
        LinkLab.AssertEchoes(link);
    }

    [TestMethod, TestCategory("unit")]
    public void Listen_HelloClaimsAnotherName_IsNotPermitted()
    {
        using var lab = new LinkLab();
        var (listener, dialer) = lab.Pair();
        var e = LinkLab.Fails(() => dialer.Dial(listener.Bound[0], "host1", "fs", LinkLab.Session, h => h.Name = "dpu2"));
        Assert.AreEqual(HelloStatus.NotPermitted, e.Status);
        Assert.AreEqual(LinkError.NameMismatch, lab.NextRefusal().Kind);
    }

    [TestMethod, TestCategory("unit")]
    public void SetPolicy_WithoutAPeer_CutsItsLinks()
    {
        using var lab = new LinkLab();
        var echo = new EchoService();
        var (listener, dialer) = lab.Pair(echo);
        using var link = dialer.Dial(listener.Bound[0], "host1", "fs", LinkLab.Session);
        LinkLab.AssertEchoes(link);
        listener.SetPolicy(new LinkPeerPolicy(new LinkPeerRule("dpu2")));
        Assert.AreEqual(0, Ending(link));
        LinkLab.Eventually(() => listener.Connections == 0, "the link of a peer no longer listed is cut");
    }

    private static LinkException Dial(LinkLab lab, LinkListener listener, string name)
    {
        // Loaded once the listener stands, so that a revocation made before is seen.
        var credentials = lab.Credentials(LinkRole.Dpu, name);
        return LinkLab.Fails(() => lab.Dialer(credentials).Dial(listener.Bound[0], "host1", "fs", LinkLab.Session));
    }

    private static void AssertRefusedAfterHandshake(LinkListener listener, SslClientAuthenticationOptions options)
    {
        using var stream = new NetworkStream(LinkLab.RawTcp(listener.Bound[0]), ownsSocket: true);
#pragma warning disable CA5359 // The client under test does not care; the listener must.
        using var tls = new SslStream(stream, false, (_, _, _, _) => true);
#pragma warning restore CA5359
        try
        {
            // TLS 1.3: the client's handshake ends before its certificate is judged.
            tls.AuthenticateAsClient(options);
            Assert.AreEqual(0, tls.Read(new byte[1]));
        }
        catch (Exception e) when (e is IOException or AuthenticationException)
        {
            // Expected: the listener's alert.
        }
    }

    private static int Ending(LinkConnection link)
    {
        link.SetTimeouts(TimeSpan.FromSeconds(20), TimeSpan.FromSeconds(20));
        return link.Stream.Read(new byte[1]);
    }

    /// <summary>A TLS listener with any certificate, without our own listener's checks of its role.</summary>
    private sealed class TcpListenerOf : IDisposable
    {
        private readonly TcpListener _listener = new(System.Net.IPAddress.Loopback, 0);
        private readonly Thread _thread;

        internal TcpListenerOf(CredentialSnapshot trust)
        {
            _listener.Start();
            _thread = new Thread(() =>
            {
                using var client = _listener.AcceptTcpClient();
                using var tls = new SslStream(client.GetStream());
                try
                {
                    tls.AuthenticateAsServer(LinkTls.ServerOptions(trust, TimeProvider.System, _ => true));
                    _ = tls.Read(new byte[1]);
                }
                catch (Exception e) when (e is IOException or AuthenticationException)
                {
                    // Expected: the dialler goes away.
                }
            })
            { IsBackground = true };
            _thread.Start();
        }

        internal LinkEndpoint Endpoint => LinkEndpoint.Tcp("127.0.0.1", ((System.Net.IPEndPoint)_listener.LocalEndpoint).Port);

        public void Dispose()
        {
            _listener.Dispose();
            Assert.IsTrue(_thread.Join(TimeSpan.FromSeconds(20)));
        }
    }
}
