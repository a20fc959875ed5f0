using System.Collections.Concurrent;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using System.Text;
using Dpu.Link;
using Dpu.Linux;
using Dpu.Proto.V1;
using Dpu.Relay.Flow;
using Dpu.Relay.Wire;
using Dpu.TestSupport;
using Google.Protobuf;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Win32.SafeHandles;

namespace Dpu.Relay.Tests;

/// <summary>Connections of a real link, with real listeners and certificates, that carry one relay after another.</summary>
[TestClass]
public sealed class SpareConnectionTests : IDisposable
{
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(20);
    private static readonly byte[] Session = [.. Enumerable.Range(1, 16).Select(i => (byte)i)];

    private readonly TemporaryDirectory _folder = new();
    private readonly ManualTime _time = new();
    private readonly RelayHub _dpu = new(TimeProvider.System, NullLogger<RelayHub>.Instance);
    private readonly RelayHub _host;
    private readonly EchoTargets _targets = new();
    private readonly RelayService _service;
    private readonly SpareConnections _spares;
    private LinkListener? _listener;
    private LinkCredentials? _credentials;
    private LinkCredentials? _hostCredentials;
    private LinkDialer _dialer = null!;
    private CountingService _counting = null!;

    public SpareConnectionTests()
    {
        _host = new RelayHub(_time, NullLogger<RelayHub>.Instance);
        _service = new RelayService(_host, _targets);
        _spares = new SpareConnections(_time);
    }

    public void Dispose()
    {
        _spares.Dispose();
        _dpu.Dispose();
        _listener?.Dispose();
        _host.Dispose();
        _service.Dispose();
        _credentials?.Dispose();
        _hostCredentials?.Dispose();
        _folder.Dispose();
    }

    [TestMethod]
    [TestCategory("unit")]
    [DataRow(false)]
    [DataRow(true)]
    public void RelaysOneAfterAnother_TakeOneConnection_EachAsItsOwnProgram(bool tls)
    {
        Listen(tls);
        for (uint i = 0; i < 30; i++)
        {
            Assert.AreEqual($"HELLO {i}", Echo($"hello {i}", Asked(i)));
            Eventually.True(() => _spares.Count == 1, Limit, "the connection to be spare");
        }

        Assert.AreEqual(1, _counting.Served, "connections of the link");
        Assert.AreEqual(29, _dpu.Reused);
        CollectionAssert.AreEqual(Enumerable.Range(0, 30).Select(i => $"dpu1 {Convert.ToHexString(Session)} {i}").ToArray(), _targets.Connected.ToArray());
        Eventually.True(() => _host.Count == 0 && _service.SpareCount == 1, Limit, "the host to wait for the next");
        Assert.AreEqual(0, _dpu.Broken + _host.Broken, "nothing broke off");
    }

    [TestMethod]
    [TestCategory("unit")]
    [DataRow(false)]
    [DataRow(true)]
    public void ManyAtOnce_AgainAndAgain_AreWholeAndInOrder(bool tls)
    {
        Listen(tls);
        Exception? failure = null;
        Thread[] threads = [.. Enumerable.Range(0, 8).Select(number => new Thread(() =>
        {
            try
            {
                for (int i = 0; i < 25; i++)
                {
                    string text = new string((char)('a' + number), 1 + (i * 5000)) + i;
                    Assert.AreEqual(text.ToUpperInvariant(), Echo(text, Asked((uint)number)));
                }
            }
            catch (Exception e)
            {
                failure = e;
            }
        }))];
        Array.ForEach(threads, thread => thread.Start());
        Array.ForEach(threads, thread => thread.Join());
        Assert.IsNull(failure, failure?.ToString());
        Assert.IsLessThan(100, _counting.Served, "connections of the link for 200 relays");
        Eventually.True(() => _host.Count + _dpu.Count == 0 && _service.SpareCount == _spares.Count, Limit, "both ends to have the same spare ones");
        Assert.AreEqual(0, _dpu.Broken + _host.Broken, "nothing broke off");
    }

    [TestMethod]
    [TestCategory("unit")]
    [DataRow(true, false, DisplayName = "an earlier host")]
    [DataRow(false, true, DisplayName = "an earlier DPU")]
    public void PeerThatDoesNotKnowIt_HasAConnectionForEachRelay(bool earlierHost, bool earlierDpu)
    {
        Listen(tls: false, earlierHost);
        for (int i = 0; i < 3; i++)
        {
            RelayParameters asked = Asked(0);
            asked.Reuses = !earlierDpu;
            Assert.AreEqual("HELLO", Echo("hello", asked));
            Eventually.True(() => _host.Count + _dpu.Count == 0, Limit, "the relay's end");
            Assert.AreEqual(0, _spares.Count + _service.SpareCount);
        }

        Assert.AreEqual(3, _counting.Served);
        Assert.AreEqual(0, _dpu.Broken + _host.Broken, "nothing broke off");
    }

    [TestMethod]
    [TestCategory("unit")]
    [DataRow(false)]
    [DataRow(true)]
    public void SpareThatHasDied_IsNotGiven_AndWhatDiesLaterSaysSo(bool tls)
    {
        Listen(tls);
        HaveSpares(2);
        LinkConnection taken = _spares.Take(_dialer.IsCurrent)!;
        Assert.IsNotNull(taken);

        // As when the agent is told of another policy.
        _listener!.SetPolicy(new LinkPeerPolicy(new LinkPeerRule("dpu2")));
        Assert.IsInstanceOfType<IOException>(Ask(taken, Asked(0)).Failure, "dead when it is used");
        Eventually.True(() => _service.SpareCount == 0, Limit, "the host to let them go");
        Assert.IsNull(_spares.Take(_dialer.IsCurrent), "dead already");
    }

    [TestMethod]
    [TestCategory("unit")]
    public void SpareThatNobodyNeeds_IsClosed_ByEitherEnd_AndAnOldOneIsNotKept()
    {
        Listen(tls: false);
        HaveSpares(2);
        Eventually.True(() => _service.SpareCount == 2, Limit, "the host to wait");

        // The DPU first.
        _time.Advance(SpareConnections.IdleLimit);
        Assert.AreEqual(0, _spares.Count);
        Eventually.True(() => _service.SpareCount == 0, Limit, "the host to see their end");

        HaveSpares(1);
        LinkConnection taken = _spares.Take(_dialer.IsCurrent)!;
        Eventually.True(() => _service.SpareCount == 1, Limit, "the host to wait");
        _time.Advance(RelayService.SpareLimit);
        Eventually.True(() => _service.SpareCount == 0, Limit, "the host to close what is not used");
        Assert.IsInstanceOfType<IOException>(Ask(taken, Asked(0)).Failure);

        LinkConnection old = Open(Asked(0));
        _time.Advance(LinkDialer.ProofLimit);
        Assert.AreEqual("HELLO", Talk(old, "hello"));
        Eventually.True(() => _host.Count + _dpu.Count == 0, Limit, "the relay's end");
        Eventually.True(() => _service.SpareCount == 0, Limit, "the host to see the end");
        Assert.AreEqual(0, _spares.Count, "too old");
    }

    [TestMethod]
    [TestCategory("unit")]
    public void CertificateThatWasRenewed_IsProvedByAnotherConnection()
    {
        Listen(tls: true);
        HaveSpares(1);
        Authority().Issue(LinkRole.Dpu, "dpu1", TimeSpan.FromHours(2), rotate: true);
        Assert.IsTrue(_credentials!.CheckForChanges());
        Assert.AreEqual("HELLO", Echo("hello", Asked(0)));
        Assert.AreEqual(2, _counting.Served);
    }

    [TestMethod]
    [TestCategory("unit")]
    [DataRow(false)]
    [DataRow(true)]
    public void NextThatIsRefused_SaysWhy_AndEndsTheConnection(bool tls)
    {
        Listen(tls);
        foreach (Action<RelayParameters> change in (Action<RelayParameters>[])
            [
                asked => asked.Address = "/refused",
                asked => asked.Offered = new OfferedSocket { Node = 1 },
                asked => asked.Resumed = new ResumedRelay { Token = asked.ResumeToken },
                asked => asked.ResumeWithinMs = 0,
            ])
        {
            HaveSpares(1);
            LinkConnection taken = _spares.Take(_dialer.IsCurrent)!;
            RelayParameters asked = Asked(0);
            change(asked);
            var refusal = Ask(taken, asked).Failure as LinkException;
            Assert.AreEqual(asked.Address == "/refused" ? HelloStatus.NotPermitted : HelloStatus.Malformed, refusal?.Status);
            Assert.IsGreaterThan(10, refusal!.Message.Length);
            Assert.IsTrue(taken.Socket.SafeHandle.IsClosed);
        }

        Assert.AreEqual(0, _service.SpareCount);
    }

    [TestMethod]
    [TestCategory("unit")]
    public void SocketThatCannotBeConnected_SaysItsErrno_AndEndsTheConnection()
    {
        Listen(tls: false);
        HaveSpares(1);
        LinkConnection taken = _spares.Take(_dialer.IsCurrent)!;
        RelayParameters asked = Asked(0);
        asked.Address = "/nobody";
        Assert.AreEqual(new NextRelay(null, -errno.ECONNREFUSED, null), Ask(taken, asked));
        Assert.IsTrue(taken.Socket.SafeHandle.IsClosed);
        Assert.AreEqual(0, _service.SpareCount);
    }

    [TestMethod]
    [TestCategory("unit")]
    [DataRow(new byte[] { 18, 0, 0, 0, 2, 0, 0, 0, 255, 255 }, DisplayName = "no message")]
    [DataRow(new byte[] { 18, 0, 0, 0, 255, 255, 0, 0 }, DisplayName = "longer than any")]
    [DataRow(new byte[] { 2, 0, 0, 0, 1, 0, 0, 0, 65 }, DisplayName = "data of no relay")]
    [DataRow(new byte[] { 18, 0, 0, 0, 2, 0, 0, 0, 8, 1, 2, 0, 0, 0 }, DisplayName = "data before the answer")]
    public void PeerThatSaysSomethingElse_IsCutOff(byte[] said)
    {
        Listen(tls: false);
        HaveSpares(1);
        LinkConnection taken = _spares.Take(_dialer.IsCurrent)!;
        taken.Stream.Write(said);
        Eventually.True(() => (poll.Now(taken.Socket.SafeHandle, poll.POLLRDHUP) & poll.POLLRDHUP) != 0, Limit, "its end");
        Eventually.True(() => _service.SpareCount == 0, Limit, "the end of what waits");
        taken.Dispose();
        Assert.AreEqual("HELLO", Echo("hello", Asked(0)), "others go on");
    }

    [TestMethod]
    [TestCategory("unit")]
    public void NextBeforeTheEndOfARelay_BreaksItOff()
    {
        Listen(tls: false);
        using LinkConnection connection = Open(Asked(0));
        connection.Stream.Write(RelayFrame.Of(RelayFrameKind.Next, Asked(0)));
        Eventually.True(() => _host.Broken == 1, Limit, "the relay's end");
        Assert.AreEqual(0, _service.SpareCount);
    }

    [TestMethod]
    [TestCategory("unit")]
    public void RelayThatBrokeOff_LeavesNothing()
    {
        Listen(tls: false);
        Assert.IsTrue(LocalSocket.TryPair(SocketKind.Stream, out SafeFileHandle? relays, out int programs));
        LinkConnection connection = Open(Asked(0));
        using (var program = new Socket(new SafeSocketHandle(programs, ownsHandle: true)))
        using (Start(relays, connection))
        {
            program.Send("hello"u8);
            byte[] answer = new byte[5];
            Assert.AreEqual(5, program.Receive(answer));
        }

        Eventually.True(() => _host.Count + _dpu.Count == 0, Limit, "the relay's end");
        Assert.AreEqual(0, _spares.Count + _service.SpareCount);
    }

    private static RelayParameters Asked(uint uid) => new()
    {
        Type = UnixSocketType.Stream,
        Uid = uid,
        Address = "/echo",
        Reuses = true,
        ResumeWithinMs = 10_000,
        ResumeToken = ByteString.CopyFrom(Guid.NewGuid().ToByteArray()),
    };

    private CertificateAuthority Authority() => CertificateAuthority.Open(_folder["pki"]);

    private void Listen(bool tls, bool earlierHost = false)
    {
        if (tls)
        {
            CertificateAuthority authority = CertificateAuthority.Init(_folder["pki"], "test", TimeSpan.FromDays(1));
            authority.Issue(LinkRole.Host, "host1", TimeSpan.FromHours(1));
            authority.Issue(LinkRole.Dpu, "dpu1", TimeSpan.FromHours(1));
            _hostCredentials = LinkCredentials.Load(Files("host1"));
            _credentials = LinkCredentials.Load(Files("dpu1"));
        }

        _counting = new CountingService(_service, earlierHost);
        _listener = new LinkListener(
            new LinkListenerOptions
            {
                Endpoints = [tls ? LinkEndpoint.Tcp("127.0.0.1", 0) : LinkEndpoint.Unix(_folder["link.sock"])],
                Credentials = _hostCredentials,
                Policy = new LinkPeerPolicy(new LinkPeerRule("dpu1", Uid: (uint)LibC.geteuid())),
                Local = new LinkLocal { Name = "host1" },
            },
            [_counting]);
        _listener.Start();
        _dialer = new LinkDialer(_credentials, new LinkDialerOptions { Local = new LinkLocal { Name = "dpu1" }, ListenerUid = (uint)LibC.geteuid(), Time = _time });
    }

    private LinkCredentialFiles Files(string name) => new()
    {
        Certificate = _folder[$"pki/{name}.crt"],
        Key = _folder[$"pki/{name}.key"],
        Authority = _folder["pki/ca.crt"],
        Revocations = _folder["pki/ca.crl"],
    };

    // As the runtime opens one.
    private LinkConnection Open(RelayParameters asked)
    {
        if (asked.Reuses && _spares.Take(_dialer.IsCurrent) is { } spare)
        {
            NextRelay answer = Ask(spare, asked);
            Assert.IsNull(answer.Failure, answer.Failure?.ToString());
            Assert.IsNotNull(answer.Connection, $"errno {-answer.Error}");
            return answer.Connection;
        }

        LinkConnection dialled = _dialer.Dial(_listener!.Bound[0], "host1", "relay", Session, hello => hello.Relay = asked);
        Assert.AreEqual(0, RelayDialer.AwaitOpened(dialled));
        return dialled;
    }

    private NextRelay Ask(LinkConnection spare, RelayParameters asked)
    {
        var answered = new TaskCompletionSource<NextRelay>(TaskCreationOptions.RunContinuationsAsynchronously);
        _dpu.Ask(spare, asked, answered.SetResult);
        Assert.IsTrue(answered.Task.Wait(Limit), "an answer");
        return answered.Task.Result;
    }

    private string Echo(string text, RelayParameters asked) => Talk(Open(asked), text);

    private string Talk(LinkConnection connection, string text)
    {
        Assert.IsTrue(LocalSocket.TryPair(SocketKind.Stream, out SafeFileHandle? relays, out int programs));
        using var program = new Socket(new SafeSocketHandle(programs, ownsHandle: true)) { ReceiveTimeout = (int)Limit.TotalMilliseconds };
        _ = Start(relays, connection);

        // Less than the buffers on the way hold.
        program.Send(Encoding.ASCII.GetBytes(text));
        program.Shutdown(SocketShutdown.Send);
        using var answer = new MemoryStream();
        byte[] buffer = new byte[8192];
        for (int read = program.Receive(buffer); read > 0; read = program.Receive(buffer))
        {
            answer.Write(buffer, 0, read);
        }

        return Encoding.ASCII.GetString(answer.ToArray());
    }

    private IDisposable Start(SafeHandle relays, LinkConnection connection) =>
        _dpu.Start(relays, connection, new RelayInfo("host1", "/echo", SocketKind.Stream, 0, 0, 0), continuity: RelayContinuity.Of(connection, lost => lost.GiveUp()), spare: _spares.Put);

    private void HaveSpares(int count)
    {
        LinkConnection[] open = [.. Enumerable.Range(0, count).Select(_ => Open(Asked(0)))];
        Array.ForEach(open, one => Assert.AreEqual("X", Talk(one, "x")));
        Eventually.True(() => _spares.Count == count, Limit, "the connections to be spare");
    }

    /// <summary>The service, and how many connections of the link it has had; perhaps as before connections were used again.</summary>
    private sealed class CountingService(RelayService service, bool earlier) : ILinkService
    {
        private int _served;

        public int Served => Volatile.Read(ref _served);

        public string Name => service.Name;

        public HelloReply Admit(LinkPeer peer, Hello hello)
        {
            hello.Relay.Reuses &= !earlier;
            return service.Admit(peer, hello);
        }

        public void Abandon(LinkPeer peer, Hello hello) => service.Abandon(peer, hello);

        public void Serve(LinkConnection connection, CancellationToken stopping)
        {
            Interlocked.Increment(ref _served);
            service.Serve(connection, stopping);
        }
    }

    /// <summary>Programs of the host that answer in capitals, and end when the other has.</summary>
    private sealed class EchoTargets : IRelayTargets
    {
        public ConcurrentQueue<string> Connected { get; } = new();

        public HelloReply Admit(LinkPeer peer, Hello hello) => hello.Relay.Address == "/refused"
            ? new HelloReply { Status = HelloStatus.NotPermitted, Message = "no rule names /refused" }
            : new HelloReply { Status = HelloStatus.Ok, Relay = new RelayResult { Path = hello.Relay.Address } };

        public int Connect(LinkConnection connection, bool mayWait, out RelayTarget? target)
        {
            target = null;
            if (connection.Hello.Relay.Address == "/nobody")
            {
                return -errno.ECONNREFUSED;
            }

            Connected.Enqueue($"{connection.Peer.Name} {Convert.ToHexString(connection.Hello.SessionId.Span)} {connection.Hello.Relay.Uid}");
            Assert.IsTrue(LocalSocket.TryPair(SocketKind.Stream, out SafeFileHandle? relays, out int programs));
            new Thread(() => Serve(programs)) { IsBackground = true }.Start();
            target = new RelayTarget(relays, new ucred { pid = Environment.ProcessId, uid = LibC.geteuid(), gid = LibC.getegid() }, _ => true, _ => { });
            return 0;
        }

        private static void Serve(int descriptor)
        {
            using var program = new Socket(new SafeSocketHandle(descriptor, ownsHandle: true));
            byte[] buffer = new byte[8192];
            try
            {
                for (int read = program.Receive(buffer); read > 0; read = program.Receive(buffer))
                {
                    program.Send(Encoding.ASCII.GetBytes(Encoding.ASCII.GetString(buffer, 0, read).ToUpperInvariant()));
                }
            }
            catch (SocketException)
            {
                // Expected: the relay broke off.
                return;
            }
        }
    }
}
