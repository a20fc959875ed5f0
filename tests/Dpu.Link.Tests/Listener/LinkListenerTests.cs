using System.Diagnostics;
using System.Net.Sockets;
using Dpu.Proto.V1;

namespace Dpu.Link.Tests.Listener;

[TestClass]
public sealed class LinkListenerTests
{
    [TestMethod, TestCategory("unit")]
    [DataRow("tcp://127.0.0.1:0")]
    [DataRow("vsock://any:7443")]
    public void Constructor_WithoutCredentials_CannotListenOnANetwork(string endpoint)
    {
        using var lab = new LinkLab();
        var e = Assert.ThrowsExactly<ArgumentException>(() => lab.Listen(null, LinkEndpoint.Parse(endpoint)));
        StringAssert.Contains(e.Message, "no listening without authentication");
    }

    [TestMethod, TestCategory("unit")]
    public void Dial_UnknownService_NamesTheOfferedOnes()
    {
        using var lab = new LinkLab();
        var (listener, dialer) = lab.Pair(new EchoService { Name = "fs" }, new EchoService { Name = "control" });
        var e = LinkLab.Fails(() => dialer.Dial(listener.Bound[0], "host1", "relay", LinkLab.Session));
        Assert.AreEqual(HelloStatus.ServiceUnknown, e.Status);
        StringAssert.Contains(e.Message, "control, fs");
    }

    [TestMethod, TestCategory("unit")]
    public void Dial_ServiceRefuses_GivesItsStatusAndMessage()
    {
        using var lab = new LinkLab();
        var (listener, dialer) = lab.Pair(new EchoService { Status = HelloStatus.ExportUnknown, Message = "no export 'x' for dpu1" });
        var e = LinkLab.Fails(() => dialer.Dial(listener.Bound[0], "host1", "fs", LinkLab.Session));
        Assert.AreEqual(LinkError.Refused, e.Kind);
        Assert.AreEqual(HelloStatus.ExportUnknown, e.Status);
        StringAssert.Contains(e.Message, "no export 'x' for dpu1");
        LinkLab.Eventually(() => listener.Connections == 0, "the refused connection is not counted");
    }

    [TestMethod, TestCategory("unit")]
    public void Dial_OtherMajorVersion_IsAVersionMismatch()
    {
        using var lab = new LinkLab();
        var listener = lab.Listen(lab.Credentials(LinkRole.Host, "host1"));
        var dialer = lab.Dialer(lab.Credentials(LinkRole.Dpu, "dpu1"), o => o with { Local = o.Local with { Major = 2 } });
        var e = LinkLab.Fails(() => dialer.Dial(listener.Bound[0], "host1", "fs", LinkLab.Session));
        Assert.AreEqual(LinkError.VersionMismatch, e.Kind);
        Assert.AreEqual(HelloStatus.VersionMismatch, e.Status);
        StringAssert.Contains(e.Message, "upgrade the older end");
    }

    [TestMethod, TestCategory("unit")]
    [DataRow(0u, 1u, 0u)]
    [DataRow(1u, 0u, 0u)]
    [DataRow(4u, 2u, 2u)]
    public void Dial_NeighbouringMinorVersions_SpeakTheLower(uint dialling, uint listening, uint spoken)
    {
        using var lab = new LinkLab();
        var listener = lab.Listen(lab.Credentials(LinkRole.Host, "host1"), change: o => o with { Local = o.Local with { Minor = listening } });
        var dialer = lab.Dialer(lab.Credentials(LinkRole.Dpu, "dpu1"), o => o with { Local = o.Local with { Minor = dialling } });
        using var link = dialer.Dial(listener.Bound[0], "host1", "fs", LinkLab.Session);
        Assert.AreEqual(spoken, link.MinorVersion);
        LinkLab.AssertEchoes(link);
    }

    [TestMethod, TestCategory("unit")]
    public void Dial_MoreThanAPeerMay_IsTransientAndOtherPeersAreServed()
    {
        using var lab = new LinkLab();
        var listener = lab.Listen(lab.Credentials(LinkRole.Host, "host1"), change: o => o with { MaxConnectionsPerPeer = 1 });
        var dialer = lab.Dialer(lab.Credentials(LinkRole.Dpu, "dpu1"));
        using (dialer.Dial(listener.Bound[0], "host1", "fs", LinkLab.Session))
        {
            var e = LinkLab.Fails(() => dialer.Dial(listener.Bound[0], "host1", "fs", LinkLab.Session));
            Assert.AreEqual(HelloStatus.Limit, e.Status);
            Assert.IsTrue(e.IsTransient);
            using var other = lab.Dialer(lab.Credentials(LinkRole.Dpu, "dpu2")).Dial(listener.Bound[0], "host1", "fs", LinkLab.Session);
            LinkLab.AssertEchoes(other);
        }

        LinkLab.Eventually(() => listener.Connections == 0, "the first connection is given back");
        using var again = dialer.Dial(listener.Bound[0], "host1", "fs", LinkLab.Session);
        LinkLab.AssertEchoes(again);
    }

    [TestMethod, TestCategory("unit")]
    public void Serve_HalfClosedOrResetByThePeer_Ends()
    {
        using var lab = new LinkLab();
        var echo = new EchoService();
        var (listener, dialer) = lab.Pair(echo);
        using var half = dialer.Dial(listener.Bound[0], "host1", "fs", LinkLab.Session);
        using var reset = dialer.Dial(listener.Bound[0], "host1", "fs", LinkLab.Session);
        LinkLab.Eventually(() => echo.Active == 2, "both are served");
        half.Socket.Shutdown(SocketShutdown.Send);
        reset.Socket.LingerState = new LingerOption(true, 0);
        reset.Socket.Close();
        LinkLab.Eventually(() => echo.Active == 0 && listener.Connections == 0, "both have ended");
    }

    [TestMethod, TestCategory("unit")]
    public void Stop_WithOpenLinks_CutsThemInBoundedTime()
    {
        using var lab = new LinkLab();
        var echo = new EchoService();
        var (listener, dialer) = lab.Pair(echo);
        using var link = dialer.Dial(listener.Bound[0], "host1", "fs", LinkLab.Session);
        using var stalling = LinkLab.RawTcp(listener.Bound[0]);
        LinkLab.Eventually(() => echo.Active == 1 && listener.Handshakes == 1, "one is served, one being set up");
        var watch = Stopwatch.StartNew();
        Assert.IsTrue(listener.Stop());
        Assert.IsTrue(watch.Elapsed < TimeSpan.FromSeconds(4), $"took {watch.Elapsed}");
        Assert.AreEqual(0, echo.Active);
        Assert.AreEqual(0, link.Stream.Read(new byte[1]));
        Assert.AreEqual(0, listener.Connections);
        Assert.IsTrue(listener.Stop(), "a second stop does nothing");
    }

    [TestMethod, TestCategory("unit")]
    public void Stop_ServiceThatDoesNotReturn_IsReportedNotAwaited()
    {
        using var lab = new LinkLab();
        var logger = new ListLogger();
        var stuck = new StuckService();
        var listener = lab.Listen(lab.Credentials(LinkRole.Host, "host1"), change: o => o with { StopLimit = TimeSpan.FromMilliseconds(300), Logger = logger }, services: stuck);
        using var link = lab.Dialer(lab.Credentials(LinkRole.Dpu, "dpu1")).Dial(listener.Bound[0], "host1", "fs", LinkLab.Session);
        Assert.IsTrue(stuck.Entered.Wait(TimeSpan.FromSeconds(20)));
        Assert.IsFalse(listener.Stop());
        Assert.IsTrue(logger.Lines.Any(l => l.Id == 1009));
        stuck.Release.Set();
    }

    [TestMethod, TestCategory("unit")]
    public void Admit_Throws_AnswersUnavailableAndGoesOn()
    {
        using var lab = new LinkLab();
        var logger = new ListLogger();
        var listener = lab.Listen(lab.Credentials(LinkRole.Host, "host1"), change: o => o with { Logger = logger }, services: [new BrokenService(), new EchoService { Name = "control" }]);
        var dialer = lab.Dialer(lab.Credentials(LinkRole.Dpu, "dpu1"));
        Assert.AreEqual(HelloStatus.Unavailable, LinkLab.Fails(() => dialer.Dial(listener.Bound[0], "host1", "fs", LinkLab.Session)).Status);
        Assert.IsTrue(logger.Lines.Any(l => l.Id == 1006));
        using var link = dialer.Dial(listener.Bound[0], "host1", "control", LinkLab.Session);
        LinkLab.AssertEchoes(link);
    }

    [TestMethod, TestCategory("unit")]
    public void Admit_PeerGoneBeforeTheReply_IsAbandoned()
    {
        using var lab = new LinkLab();
        using var service = new SlowService();
        var listener = lab.Listen(null, UnixLinkTests.Endpoint(lab), services: service);
        using (var peer = LinkLab.RawUnix(listener.Bound[0]))
        {
            peer.Send(UnixLinkTests.HelloFrame());
            Assert.IsTrue(service.Asked.Wait(TimeSpan.FromSeconds(20)));
        }

        service.Answer.Set();
        LinkLab.Eventually(() => service.Abandoned == 1 && listener.Connections == 0, "the service is told");
        Assert.AreEqual(0, service.Served);
    }

    [TestMethod, TestCategory("unit")]
    public void Serve_Asynchronously_WorksForGrpc()
    {
        using var lab = new LinkLab();
        var (listener, dialer) = lab.Pair(new AsyncService());
        using var link = dialer.Dial(listener.Bound[0], "host1", "control", LinkLab.Session);
        for (var i = 0; i < 100; i++)
        {
            LinkLab.AssertEchoes(link);
        }
    }

    [TestMethod, TestCategory("unit")]
    public void Dial_200Connections_LeaveNoDescriptorAndNoThread()
    {
        using var lab = new LinkLab();
        var (listener, dialer) = lab.Pair();
        Cycle(5);
        LinkLab.Eventually(() => LinkThreads() == 0, "the first threads have ended");
        var before = Sockets();
        Cycle(200);
        LinkLab.Eventually(() => listener.Connections == 0 && LinkThreads() == 0, "all threads have ended");
        LinkLab.Eventually(() => Sockets() <= before, $"the sockets are again {before}");

        void Cycle(int count)
        {
            for (var i = 0; i < count; i++)
            {
                using var link = dialer.Dial(listener.Bound[0], "host1", "fs", LinkLab.Session);
                LinkLab.AssertEchoes(link);
            }
        }
    }

    [TestMethod, TestCategory("root")]
    public void Accept_OutOfDescriptors_WaitsAndRecovers()
    {
        using var lab = new LinkLab();
        var logger = new ListLogger();
        var listener = lab.Listen(null, UnixLinkTests.Endpoint(lab), o => o with { Logger = logger });
        var dialer = lab.Dialer(null);
        using (dialer.Dial(listener.Bound[0], "host1", "fs", LinkLab.Session))
        {
            // Everything is loaded now; what follows needs sockets only.
        }

        // The kernel reserves a descriptor before it waits: one more connection is accepted, the next one has to wait.
        using var last = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        using var waiting = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified) { ReceiveTimeout = 20_000 };
        var (soft, hard) = Limits();

        // A program started beforehand: this process cannot start one while it may open nothing.
        using var limiter = new Tool("sh", "-c", $"read go; prlimit --pid {Environment.ProcessId} --nofile=3:{hard}; echo lowered; read back; prlimit --pid {Environment.ProcessId} --nofile={soft}:{hard}; echo restored");
        limiter.Say("go");
        Assert.AreEqual("lowered", limiter.Line());
        try
        {
            last.Connect(new UnixDomainSocketEndPoint(listener.Bound[0].Host));
            waiting.Connect(new UnixDomainSocketEndPoint(listener.Bound[0].Host));
            LinkLab.Eventually(() => logger.Lines.Any(l => l.Id == 1001), "the listener reports that it cannot accept");
        }
        finally
        {
            limiter.Say("back");
            Assert.AreEqual("restored", limiter.Line());
        }

        waiting.Send(UnixLinkTests.HelloFrame());
        Assert.IsTrue(waiting.Receive(new byte[8]) > 0, $"the connection that waited is served: {string.Join(' ', logger.Lines)}");
        Assert.IsTrue(logger.Lines.Count(l => l.Id == 1001) <= 5, "the log rate is bounded");
    }

    private static (string Soft, string Hard) Limits()
    {
        var words = File.ReadAllLines("/proc/self/limits").Single(l => l.StartsWith("Max open files", StringComparison.Ordinal)).Split(' ', StringSplitOptions.RemoveEmptyEntries);
        return (words[3], words[4]);
    }

    // Sockets only: assemblies that are loaded meanwhile open files of their own.
    private static int Sockets() => Directory.GetFiles("/proc/self/fd").Count(f => new FileInfo(f).LinkTarget?.StartsWith("socket:", StringComparison.Ordinal) ?? false);

    private static int LinkThreads()
    {
        var count = 0;
        foreach (var task in Directory.GetDirectories("/proc/self/task"))
        {
            try
            {
                count += File.ReadAllText(task + "/comm").Trim() == "link" ? 1 : 0;
            }
            catch (IOException)
            {
                // Expected: it ended while we looked.
            }
        }

        return count;
    }

    private sealed class StuckService : ILinkService
    {
        internal ManualResetEventSlim Entered { get; } = new();

        internal ManualResetEventSlim Release { get; } = new();

        public string Name => "fs";

        public HelloReply Admit(LinkPeer peer, Hello hello) => new() { Status = HelloStatus.Ok };

        public void Serve(LinkConnection connection, CancellationToken stopping)
        {
            Entered.Set();
            Release.Wait(TimeSpan.FromSeconds(20), CancellationToken.None);
        }
    }

    private sealed class BrokenService : ILinkService
    {
        public string Name => "fs";

        public HelloReply Admit(LinkPeer peer, Hello hello) => throw new InvalidOperationException("a bug");

        public void Serve(LinkConnection connection, CancellationToken stopping) => throw new InvalidOperationException("unreachable");
    }

    private sealed class SlowService : ILinkService, IDisposable
    {
        internal ManualResetEventSlim Asked { get; } = new();

        internal ManualResetEventSlim Answer { get; } = new();

        internal int Abandoned { get; private set; }

        internal int Served { get; private set; }

        public string Name => "fs";

        public HelloReply Admit(LinkPeer peer, Hello hello)
        {
            Asked.Set();
            Answer.Wait(TimeSpan.FromSeconds(20));
            return new HelloReply { Status = HelloStatus.Ok };
        }

        public void Serve(LinkConnection connection, CancellationToken stopping) => Served++;

        public void Abandon(LinkPeer peer, Hello hello) => Abandoned++;

        public void Dispose()
        {
            Asked.Dispose();
            Answer.Dispose();
        }
    }

    private sealed class AsyncService : ILinkService
    {
        public string Name => "control";

        public HelloReply Admit(LinkPeer peer, Hello hello) => new() { Status = HelloStatus.Ok };

        public void Serve(LinkConnection connection, CancellationToken stopping) => EchoAsync(connection.Stream, stopping).GetAwaiter().GetResult();

        private static async Task EchoAsync(Stream stream, CancellationToken stopping)
        {
            var buffer = new byte[4096];
            for (int size; (size = await stream.ReadAsync(buffer, stopping)) > 0;)
            {
                await stream.WriteAsync(buffer.AsMemory(0, size), stopping);
                await stream.FlushAsync(stopping);
            }
        }
    }
}
