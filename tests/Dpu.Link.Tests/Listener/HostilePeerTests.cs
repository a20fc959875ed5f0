using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using Dpu.Link.Handshake;
using Dpu.Proto.V1;
using Google.Protobuf;

namespace Dpu.Link.Tests.Listener;

[TestClass]
public sealed class HostilePeerTests
{
    private static readonly TimeSpan Limit = TimeSpan.FromMilliseconds(400);

    [TestMethod, TestCategory("unit")]
    [DataRow("garbage", "SSH-2.0-OpenSSH_9.2\r\n")]
    [DataRow("oversized", "DPUL\uffff")]
    [DataRow("empty message", "DPUL\0\0\0\0")]
    [DataRow("not a message", "DPUL\0\0\0\u0003\u0008\u0008\u0008")]
    public void Listen_MalformedHello_IsAnsweredAndOthersUntouched(string what, string bytes)
    {
        using var lab = new LinkLab();
        var (listener, echo) = Unix(lab);
        using var other = lab.Dialer(null).Dial(listener.Bound[0], "host1", "fs", LinkLab.Session);
        using var hostile = LinkLab.RawUnix(listener.Bound[0]);
        hostile.Send(bytes.SelectMany(c => c == '\uffff' ? new byte[] { 0xff, 0xff, 0xff, 0xff } : [(byte)c]).ToArray());
        var reply = ReadReply(hostile);
        Assert.AreEqual(HelloStatus.Malformed, reply.Status, what);
        Assert.AreEqual(0, hostile.Receive(new byte[1]));
        Assert.AreEqual(LinkError.Protocol, lab.NextRefusal().Kind);
        LinkLab.AssertEchoes(other);
        Assert.AreEqual(1, echo.Peers.Count);
    }

    [TestMethod, TestCategory("unit")]
    public void Listen_TruncatedHello_EndsTheConnectionOnly()
    {
        using var lab = new LinkLab();
        var (listener, _) = Unix(lab);
        using (var hostile = LinkLab.RawUnix(listener.Bound[0]))
        {
            hostile.Send(UnixLinkTests.HelloFrame().AsSpan(0, 20));
            hostile.Shutdown(SocketShutdown.Send);
            Assert.AreEqual(0, hostile.Receive(new byte[1]));
        }

        Assert.AreEqual(LinkError.Closed, lab.NextRefusal().Kind);
        using var link = lab.Dialer(null).Dial(listener.Bound[0], "host1", "fs", LinkLab.Session);
        LinkLab.AssertEchoes(link);
    }

    [TestMethod, TestCategory("unit")]
    [DataRow(0)]
    [DataRow(4)]
    [DataRow(8)]
    [DataRow(30)]
    public void Listen_UnixPeerStallsAfterSomeBytes_IsCutAtTheLimit(int sent)
    {
        using var lab = new LinkLab();
        var (listener, _) = Unix(lab);
        using var hostile = LinkLab.RawUnix(listener.Bound[0]);
        var watch = Stopwatch.StartNew();
        hostile.Send(UnixLinkTests.HelloFrame().AsSpan(0, sent));
        Assert.AreEqual(0, hostile.Receive(new byte[1]));
        AssertTimedOut(lab, watch);
    }

    [TestMethod, TestCategory("unit")]
    public void Listen_UnixPeerSendsAByteNowAndThen_IsCutAtTheSameLimit()
    {
        using var lab = new LinkLab();
        var (listener, _) = Unix(lab);
        using var hostile = LinkLab.RawUnix(listener.Bound[0]);
        Drip(lab, hostile, UnixLinkTests.HelloFrame());
    }

    [TestMethod, TestCategory("unit")]
    [DataRow(0)]
    [DataRow(1)]
    [DataRow(5)]
    [DataRow(60)]
    public void Listen_TlsPeerStallsAfterSomeBytes_IsCutAtTheLimit(int sent)
    {
        using var lab = new LinkLab();
        var listener = lab.Listen(lab.Credentials(LinkRole.Host, "host1"), change: o => o with { HandshakeLimit = Limit });
        using var hostile = LinkLab.RawTcp(listener.Bound[0]);
        var watch = Stopwatch.StartNew();
        hostile.Send(ClientHelloStart().AsSpan(0, sent));
        Assert.AreEqual(0, hostile.Receive(new byte[1]));
        AssertTimedOut(lab, watch);
    }

    [TestMethod, TestCategory("unit")]
    public void Listen_TlsPeerSendsAByteNowAndThen_IsCutAtTheSameLimit()
    {
        using var lab = new LinkLab();
        var listener = lab.Listen(lab.Credentials(LinkRole.Host, "host1"), change: o => o with { HandshakeLimit = Limit });
        using var hostile = LinkLab.RawTcp(listener.Bound[0]);
        Drip(lab, hostile, ClientHelloStart());
    }

    [TestMethod, TestCategory("unit")]
    public void Listen_ManyStallingFromOneAddress_CannotFillTheListener()
    {
        using var lab = new LinkLab();
        var path = UnixLinkTests.Endpoint(lab);
        var listener = lab.Listen(lab.Credentials(LinkRole.Host, "host1"), change: o => o with
        {
            Endpoints = [LinkEndpoint.Tcp("127.0.0.1", 0), path],
            MaxHandshakesPerOrigin = 2,
            HandshakeLimit = TimeSpan.FromSeconds(20),
        });
        using var first = LinkLab.RawTcp(listener.Bound[0]);
        using var second = LinkLab.RawTcp(listener.Bound[0]);
        LinkLab.Eventually(() => listener.Handshakes == 2, "two are being set up");
        Assert.IsTrue(IsCutAtOnce(listener.Bound[0]));
        using var link = lab.Dialer(null).Dial(path, "host1", "fs", LinkLab.Session);
        LinkLab.AssertEchoes(link);
    }

    [TestMethod, TestCategory("unit")]
    public void Dial_ListenerThatNeverAnswers_TimesOut()
    {
        using var lab = new LinkLab();
        using var silent = new TcpListener(IPAddress.Loopback, 0);
        silent.Start();
        var endpoint = LinkEndpoint.Tcp("127.0.0.1", ((IPEndPoint)silent.LocalEndpoint).Port);
        var dialer = lab.Dialer(lab.Credentials(LinkRole.Dpu, "dpu1"), o => o with { HandshakeLimit = Limit });
        var watch = Stopwatch.StartNew();
        var e = LinkLab.Fails(() => dialer.Dial(endpoint, "host1", "fs", LinkLab.Session));
        Assert.AreEqual(LinkError.Timeout, e.Kind);
        Assert.IsTrue(watch.Elapsed < TimeSpan.FromSeconds(10), $"took {watch.Elapsed}");
    }

    [TestMethod, TestCategory("unit")]
    public void Dial_ListenerThatAnswersGarbage_IsAProtocolError()
    {
        using var lab = new LinkLab();
        var path = UnixLinkTests.Endpoint(lab);
        using var foreign = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        foreign.Bind(new UnixDomainSocketEndPoint(path.Host));
        foreign.Listen();
        var answering = Task.Run(() =>
        {
            using var peer = foreign.Accept();
            peer.Receive(new byte[4096]);
            peer.Send("HTTP/1.1 400 Bad Request\r\n\r\n"u8);
        });
        var e = LinkLab.Fails(() => lab.Dialer(null).Dial(path, "host1", "fs", LinkLab.Session));
        Assert.AreEqual(LinkError.Protocol, e.Kind);
        StringAssert.Contains(e.Message, "DPUL");
        Assert.IsTrue(answering.Wait(TimeSpan.FromSeconds(20)));
    }

    [TestMethod, TestCategory("unit")]
    public void Dial_Cancelled_EndsAtOnce()
    {
        using var lab = new LinkLab();
        using var silent = new TcpListener(IPAddress.Loopback, 0);
        silent.Start();
        var endpoint = LinkEndpoint.Tcp("127.0.0.1", ((IPEndPoint)silent.LocalEndpoint).Port);
        var dialer = lab.Dialer(lab.Credentials(LinkRole.Dpu, "dpu1"), o => o with { HandshakeLimit = TimeSpan.FromSeconds(60) });
        using var cancel = new CancellationTokenSource();
        var dialling = Task.Run(() => dialer.Dial(endpoint, "host1", "fs", LinkLab.Session, cancellation: cancel.Token));
        using (var accepted = silent.AcceptSocket())
        {
            cancel.Cancel();
            Assert.ThrowsExactly<OperationCanceledException>(() => dialling.WaitAsync(TimeSpan.FromSeconds(20)).GetAwaiter().GetResult());
        }
    }

    private static bool IsCutAtOnce(LinkEndpoint endpoint)
    {
        try
        {
            using var socket = LinkLab.RawTcp(endpoint);
            return IsCut(socket);
        }
        catch (SocketException e) when (e.SocketErrorCode == SocketError.ConnectionReset)
        {
            // Expected: cut before connect(2) has returned.
            return true;
        }
    }

    private static bool IsCut(Socket socket)
    {
        try
        {
            return socket.Receive(new byte[1]) == 0;
        }
        catch (SocketException e) when (e.SocketErrorCode == SocketError.ConnectionReset)
        {
            // Expected: closed without a word.
            return true;
        }
    }

    private static (LinkListener Listener, EchoService Echo) Unix(LinkLab lab)
    {
        var echo = new EchoService();
        return (lab.Listen(null, UnixLinkTests.Endpoint(lab), o => o with { HandshakeLimit = Limit }, echo), echo);
    }

    private static void Drip(LinkLab lab, Socket hostile, byte[] bytes)
    {
        var watch = Stopwatch.StartNew();
        var sent = 0;
        try
        {
            // Readable means ended: the listener says nothing before it has the whole.
            while (!hostile.Poll(TimeSpan.FromMilliseconds(50), SelectMode.SelectRead) && sent < bytes.Length)
            {
                hostile.Send(bytes, sent++, 1, SocketFlags.None);
            }
        }
        catch (SocketException)
        {
            // Expected: cut between two bytes.
        }

        Assert.IsTrue(sent < bytes.Length, "the listener took a byte at a time for longer than its limit");
        AssertTimedOut(lab, watch);
    }

    private static void AssertTimedOut(LinkLab lab, Stopwatch watch)
    {
        var refusal = lab.NextRefusal();
        Assert.AreEqual(LinkError.Timeout, refusal.Kind, refusal.Reason);
        Assert.IsTrue(watch.Elapsed >= Limit - TimeSpan.FromMilliseconds(50) && watch.Elapsed < TimeSpan.FromSeconds(10), $"took {watch.Elapsed}");
    }

    private static HelloReply ReadReply(Socket socket)
    {
        using var stream = new NetworkStream(socket);
        return HelloReply.Parser.ParseFrom(LinkFrame.Read(stream, out _));
    }

    // A TLS record of a handshake message ClientHello that claims 508 bytes (RFC 8446 5.1, 4).
    private static byte[] ClientHelloStart()
    {
        var bytes = new byte[400];
        ((ReadOnlySpan<byte>)[0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc, 0x03, 0x03]).CopyTo(bytes);
        return bytes;
    }
}
