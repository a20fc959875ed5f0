using System.Net.Sockets;
using System.Runtime.InteropServices;
using Dpu.Fuse;
using Dpu.Fuse.Wire;
using Dpu.Link;
using Dpu.Proto.V1;
using Dpu.Qtfs.Export;
using Dpu.TestSupport;
using Microsoft.Extensions.Logging.Abstractions;

namespace Dpu.Qtfs.Tests.Export;

/// <summary>The service <c>fs</c> on a unix link within this process, its times shortened.</summary>
[TestClass]
public sealed class ExportServiceTests
{
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(30);

    [TestMethod]
    [TestCategory("root")]
    public void Serve_PeerStallsInsideAMessage_IsCutAndOnlyIt()
    {
        using var lab = new Lab(new ExportServiceOptions { MessageTime = TimeSpan.FromMilliseconds(200), SweepInterval = TimeSpan.FromMilliseconds(50) });
        using LinkConnection stalled = lab.Dial(1, "dpu1"), idle = lab.Dial(2, "dpu1");
        stalled.Stream.Write(Init().AsSpan(0, 20));
        stalled.SetTimeouts(Limit, Limit);

        Assert.AreEqual(-1, ReadByte(stalled), "a cut, not an answer");

        // Silence between messages is no stall: a mount may have nothing to ask for hours.
        idle.Stream.Write(Init());
        Assert.AreNotEqual(-1, ReadByte(idle));
    }

    [TestMethod]
    [TestCategory("root")]
    public void Serve_MountWithoutLanes_KeepsItsStateForTheGraceAndNoLonger()
    {
        using var lab = new Lab(new ExportServiceOptions { Grace = TimeSpan.FromMilliseconds(300), SweepInterval = TimeSpan.FromMilliseconds(50) });
        using (LinkConnection lane = lab.Dial(1, "dpu1"))
        {
            Assert.IsTrue(lane.Reply.Fs.NeedsInit);
            lane.Stream.Write(Init());
            Assert.AreNotEqual(-1, ReadByte(lane));
        }

        using (LinkConnection again = lab.Dial(1, "dpu1"))
        {
            Assert.IsFalse(again.Reply.Fs.NeedsInit, "within the grace the mount is the same");
        }

        Eventually.True(() => lab.Service.Sessions().Count == 0, Limit, "the end of the grace");
        using LinkConnection anew = lab.Dial(1, "dpu1");
        Assert.IsTrue(anew.Reply.Fs.NeedsInit);
    }

    [TestMethod]
    [TestCategory("root")]
    public void Dial_MoreLanesThanAMountMay_IsRefused()
    {
        using var lab = new Lab(new ExportServiceOptions());
        LinkConnection[] lanes = [.. Enumerable.Range(0, (int)ExportService.MaxLanesPerMount).Select(_ => lab.Dial(1, "dpu1"))];
        try
        {
            Eventually.True(() => lab.Service.Sessions().Sum(session => session.Connections) == lanes.Length, Limit, "the lanes");
            LinkException refused = Assert.ThrowsExactly<LinkException>(() => lab.Dial(1, "dpu1").Dispose());
            Assert.AreEqual(HelloStatus.Limit, refused.Status);
        }
        finally
        {
            Array.ForEach(lanes, lane => lane.Dispose());
        }
    }

    [TestMethod]
    [TestCategory("root")]
    [DataRow(0u)]
    [DataRow(8192u)]
    [DataRow(uint.MaxValue)]
    public void Dial_PageSizeOfNoMachine_IsRefused_AndOpensNothing(uint size)
    {
        using var lab = new Lab(new ExportServiceOptions());
        LinkException refused = Assert.ThrowsExactly<LinkException>(() => lab.Dial(1, "dpu1", machine => machine.PageSize = size).Dispose());
        Assert.AreEqual(HelloStatus.Malformed, refused.Status);
        Assert.Contains($"4096, 16384 or 65536; it says {size}", refused.Message);
        Assert.IsEmpty(lab.Service.Sessions());
        Assert.DoesNotContain(lab.Export, Directory.GetFiles("/proc/self/fd").Select(link => new FileInfo(link).LinkTarget));
    }

    [TestMethod]
    [TestCategory("root")]
    public void Serve_MountEndedByItsDpu_TheNextOneOfTheSameIdOutlivesItsLanes()
    {
        using var lab = new Lab(new ExportServiceOptions());
        using LinkConnection old = lab.Dial(1, "dpu1");
        old.SetTimeouts(Limit, Limit);
        old.Stream.Write(Init());
        Assert.AreNotEqual(-1, ReadByte(old));
        LinkConnection present;
        using (LinkConnection ending = lab.Dial(1, "dpu1"))
        {
            ending.SetTimeouts(Limit, Limit);
            ending.Stream.Write(Header(fuse_opcode.FUSE_DESTROY));
            Eventually.True(() => lab.Service.Sessions().Count == 0, Limit, "the end of the mount");
            present = lab.Dial(1, "dpu1");
        }

        // The old lanes have been cut by the agent; it forgets them after the new mount has begun.
        while (ReadByte(old) != -1)
        {
        }

        using (present)
        {
            present.Stream.Write(Init());
            Assert.AreNotEqual(-1, ReadByte(present));
            Eventually.True(() => lab.Service.Sessions().Sum(session => session.Connections) == 1, Limit, "the end of the old lanes");
            using LinkConnection second = lab.Dial(1, "dpu1");
            Assert.IsFalse(second.Reply.Fs.NeedsInit, "the new mount has gone with the old one's lanes");
        }
    }

    [TestMethod]
    [TestCategory("root")]
    public void Totals_OfMountsThatEnd_NeverShrink()
    {
        using var lab = new Lab(new ExportServiceOptions());
        for (ulong mount = 1; mount <= 3; mount++)
        {
            using LinkConnection lane = lab.Dial(mount, "dpu1");
            lane.SetTimeouts(Limit, Limit);
            lane.Stream.Write(Init());
            Assert.AreNotEqual(-1, ReadByte(lane));
            Eventually.True(() => lab.Service.Statistics("dpu1").Any(s => s.Operations.Sum(o => o.Requests) == 1), Limit, "the request's count");
            Assert.IsEmpty(lab.Service.Statistics("dpu2"), "another's");
            lane.Stream.Write(Header(fuse_opcode.FUSE_DESTROY));
            Eventually.True(() => lab.Service.Statistics().Count == 0, Limit, "the end of the mount");
            ExportTotals totals = lab.Service.Totals().Single();
            Assert.AreEqual(("dpu1", "data"), (totals.Peer, totals.Export));
            Assert.AreEqual((long)mount, totals.Operations.Single(o => o.Name == "FUSE_INIT").Requests);
        }
    }

    private static int ReadByte(LinkConnection connection)
    {
        try
        {
            return connection.Stream.ReadByte();
        }
        catch (IOException e) when (e.InnerException is SocketException { SocketErrorCode: SocketError.ConnectionReset })
        {
            // Expected: bytes that nobody read turn the cut into a reset.
            return -1;
        }
    }

    private static byte[] Init()
    {
        byte[] message = new byte[Marshal.SizeOf<fuse_in_header>() + Marshal.SizeOf<fuse_init_in>()];
        var header = new fuse_in_header { len = (uint)message.Length, opcode = (uint)fuse_opcode.FUSE_INIT, unique = 2 };
        var body = new fuse_init_in { major = FuseConstants.FUSE_KERNEL_VERSION, minor = FuseLimits.MinorVersion };
        MemoryMarshal.Write(message, in header);
        MemoryMarshal.Write(message.AsSpan(Marshal.SizeOf<fuse_in_header>()), in body);
        return message;
    }

    private static byte[] Header(fuse_opcode opcode)
    {
        byte[] message = new byte[Marshal.SizeOf<fuse_in_header>()];
        var header = new fuse_in_header { len = (uint)message.Length, opcode = (uint)opcode, unique = 4 };
        MemoryMarshal.Write(message, in header);
        return message;
    }

    private sealed class Lab : IDisposable
    {
        private readonly TemporaryDirectory _folder = new();
        private readonly LinkListener _listener;

        public Lab(ExportServiceOptions options)
        {
            Service = new ExportService(options, TimeProvider.System, NullLogger<ExportService>.Instance);
            Service.Configure(
                [new ExportDefinition { Name = "data", Path = Export = _folder.CreateDirectory("export"), Peers = new HashSet<string> { "dpu1" }, Identity = IdentityPolicy.Trusting }],
                _ => new ExportLimits());
            _listener = new LinkListener(
                new LinkListenerOptions
                {
                    Endpoints = [LinkEndpoint.Parse($"unix://{_folder["link.sock"]}")],
                    Policy = new LinkPeerPolicy(new LinkPeerRule("dpu1", Uid: 0)),
                    Local = new LinkLocal { Name = "host1" },
                },
                [Service]);
            _listener.Start();
        }

        public ExportService Service { get; }

        public string Export { get; }

        public LinkConnection Dial(ulong mount, string name, Action<Machine>? change = null) => new LinkDialer(null, new LinkDialerOptions { Local = new LinkLocal { Name = name } })
            .Dial(_listener.Bound[0], "host1", "fs", new byte[16], hello =>
            {
                hello.Fs = new FsParameters { Export = "data", MountId = mount };
                change?.Invoke(hello.Machine);
            });

        public void Dispose()
        {
            _listener.Dispose();
            Service.Dispose();
            _folder.Dispose();
        }
    }
}
