using System.Net.Sockets;
using System.Runtime.InteropServices;
using Dpu.Fuse;
using Dpu.Fuse.Wire;
using Dpu.Link;
using Dpu.Linux;
using Dpu.Proto.V1;
using Dpu.Qtfs.Export;
using Dpu.TestSupport;
using Microsoft.Extensions.Logging.Abstractions;

namespace Dpu.Qtfs.Tests.Export;

/// <summary>Locks on the wire: what a lane answers, and the connection for what waits.</summary>
[TestClass]
public sealed class ExportLockTests
{
    private const ulong Forever = long.MaxValue;
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(30);

    [TestMethod]
    [TestCategory("root")]
    public void Init_WithoutHostLocks_OffersNone_AndTheHostSaysSo()
    {
        using var lab = new Lab();
        using LinkConnection old = lab.Dial(1, hostLocks: false);
        Assert.IsFalse(old.Reply.Fs.HostLocks);
        Assert.AreEqual(0u, Init(old) & (uint)FuseFeatures.Locks);
        using LinkConnection present = lab.Dial(2);
        Assert.IsTrue(present.Reply.Fs.HostLocks);
        Assert.AreEqual((uint)FuseFeatures.Locks, Init(present) & (uint)FuseFeatures.Locks);
        LinkException refused = Assert.ThrowsExactly<LinkException>(() => lab.Dial(1, hostLocks: false, waits: true).Dispose());
        Assert.AreEqual(HelloStatus.Malformed, refused.Status);
    }

    [TestMethod]
    [TestCategory("root")]
    public void SetLkW_OnALane_IsEAGAIN_AndOnTheOtherConnectionAnsweredInAnyOrder()
    {
        using var lab = new Lab();
        using LinkConnection lane = lab.Dial(1);
        Init(lane);
        (ulong node, ulong handle) = Open(lane);
        Assert.AreEqual(0, Call(lane, fuse_opcode.FUSE_SETLK, Lock(handle, 1, fcntl.F_WRLCK, 0, 9), node));
        Assert.AreEqual(-errno.EAGAIN, Call(lane, fuse_opcode.FUSE_SETLKW, Lock(handle, 2, fcntl.F_WRLCK, 0, 4), node));

        using LinkConnection waits = lab.Dial(1, waits: true);
        Send(waits, fuse_opcode.FUSE_SETLKW, Lock(handle, 2, fcntl.F_WRLCK, 0, 4), node, 10);
        Send(waits, fuse_opcode.FUSE_SETLKW, Lock(handle, 3, fcntl.F_WRLCK, 5, 9), node, 12);
        Send(waits, fuse_opcode.FUSE_SETLKW, Lock(handle, 4, fcntl.F_WRLCK, 5, 9), node, 14);
        Send(waits, fuse_opcode.FUSE_SETLKW, Lock(handle, 5, fcntl.F_WRLCK, 20, 29), node, 16);
        Assert.AreEqual((16UL, 0), Receive(waits), "free");
        Assert.AreEqual(0, Call(lane, fuse_opcode.FUSE_SETLK, Lock(handle, 1, fcntl.F_UNLCK, 5, 9), node));
        Assert.AreEqual((12UL, 0), Receive(waits), "the first that waited for it");
        Send(waits, fuse_opcode.FUSE_INTERRUPT, Bytes(new fuse_interrupt_in { unique = 14 }), 0, 18);
        Assert.AreEqual((14UL, -errno.EINTR), Receive(waits));
        Assert.AreEqual(0, Call(lane, fuse_opcode.FUSE_SETLK, Lock(handle, 1, fcntl.F_UNLCK, 0, Forever), node));
        Assert.AreEqual((10UL, 0), Receive(waits));
    }

    [TestMethod]
    [TestCategory("root")]
    public void NewConnectionForWaits_TakesTheOldOnesPlace_AndWhatWaitedThereTakesNothing()
    {
        using var lab = new Lab();
        using LinkConnection lane = lab.Dial(1);
        Init(lane);
        (ulong node, ulong handle) = Open(lane);
        Assert.AreEqual(0, Call(lane, fuse_opcode.FUSE_SETLK, Lock(handle, 1, fcntl.F_WRLCK, 0, 9), node));
        using LinkConnection old = lab.Dial(1, waits: true);
        Send(old, fuse_opcode.FUSE_SETLKW, Lock(handle, 2, fcntl.F_WRLCK, 0, 9), node, 10);
        Send(old, fuse_opcode.FUSE_SETLKW, Lock(handle, 3, fcntl.F_WRLCK, 100, 100), node, 12);
        Assert.AreEqual((12UL, 0), Receive(old), "so the first one waits");
        using LinkConnection waits = lab.Dial(1, waits: true);
        Send(waits, fuse_opcode.FUSE_SETLKW, Lock(handle, 4, fcntl.F_WRLCK, 300, 300), node, 13);
        Assert.AreEqual((13UL, 0), Receive(waits), "it is served: so the old one is no longer");
        Send(waits, fuse_opcode.FUSE_SETLKW, Lock(handle, 4, fcntl.F_WRLCK, 0, 0), node, 14);
        Assert.AreEqual(0, Call(lane, fuse_opcode.FUSE_SETLK, Lock(handle, 1, fcntl.F_UNLCK, 0, Forever), node));
        Assert.AreEqual((14UL, 0), Receive(waits));
        Assert.AreEqual(0, Call(lane, fuse_opcode.FUSE_SETLK, Lock(handle, 5, fcntl.F_WRLCK, 1, 9), node), "nobody took the rest");
        Assert.IsTrue(IsCut(old));

        // What could hold up who takes its place has no business there.
        using (LinkConnection other = lab.Dial(2, waits: true))
        {
            Send(other, fuse_opcode.FUSE_FSYNC, Bytes(default(fuse_fsync_in)), node, 20);
            Assert.IsTrue(IsCut(other));
        }

        // The end of the connection ends its waits as well.
        Send(waits, fuse_opcode.FUSE_SETLKW, Lock(handle, 6, fcntl.F_WRLCK, 1, 9), node, 16);
        Send(waits, fuse_opcode.FUSE_SETLKW, Lock(handle, 6, fcntl.F_WRLCK, 200, 200), node, 18);
        Assert.AreEqual((18UL, 0), Receive(waits));
        waits.Abort();
        Eventually.True(() => lab.Service.Sessions().Sum(session => session.Connections) == 1, Limit, "the end of the connection");
        Assert.AreEqual(0, Call(lane, fuse_opcode.FUSE_SETLK, Lock(handle, 5, fcntl.F_UNLCK, 0, Forever), node));
        Assert.AreEqual(0, Call(lane, fuse_opcode.FUSE_SETLK, Lock(handle, 7, fcntl.F_WRLCK, 1, 9), node));
    }

    private static byte[] Bytes<T>(T value)
        where T : unmanaged => MemoryMarshal.AsBytes(new ReadOnlySpan<T>(in value)).ToArray();

    private static byte[] Lock(ulong handle, ulong owner, int type, ulong start, ulong end) =>
        Bytes(new fuse_lk_in { fh = handle, owner = owner, lk = new fuse_file_lock { start = start, end = end, type = (uint)type, pid = 1 } });

    private static uint Init(LinkConnection lane)
    {
        var offer = new fuse_init_in { major = FuseConstants.FUSE_KERNEL_VERSION, minor = FuseLimits.MinorVersion, flags = uint.MaxValue };
        Assert.AreEqual(0, Call(lane, fuse_opcode.FUSE_INIT, Bytes(offer), 0, out byte[] body));
        return MemoryMarshal.Read<fuse_init_out>(body).flags;
    }

    private static (ulong Node, ulong Handle) Open(LinkConnection lane)
    {
        Assert.AreEqual(0, Call(lane, fuse_opcode.FUSE_LOOKUP, "f\0"u8.ToArray(), FuseConstants.FUSE_ROOT_ID, out byte[] body));
        ulong node = MemoryMarshal.Read<fuse_entry_out>(body).nodeid;
        Assert.AreEqual(0, Call(lane, fuse_opcode.FUSE_OPEN, Bytes(new fuse_open_in { flags = fcntl.O_RDWR }), node, out body));
        return (node, MemoryMarshal.Read<fuse_open_out>(body).fh);
    }

    private static int Call(LinkConnection lane, fuse_opcode opcode, byte[] body, ulong node) => Call(lane, opcode, body, node, out _);

    private static int Call(LinkConnection lane, fuse_opcode opcode, byte[] body, ulong node, out byte[] answer)
    {
        Send(lane, opcode, body, node, 2);
        (ulong unique, int error) = Receive(lane, out answer);
        Assert.AreEqual(2UL, unique);
        return error;
    }

    private static void Send(LinkConnection lane, fuse_opcode opcode, byte[] body, ulong node, ulong unique) => lane.Stream.Write(
    [
        .. Bytes(new fuse_in_header { len = (uint)(Marshal.SizeOf<fuse_in_header>() + body.Length), opcode = (uint)opcode, unique = unique, nodeid = node }),
        .. body,
    ]);

    private static (ulong Unique, int Error) Receive(LinkConnection lane) => Receive(lane, out _);

    private static (ulong Unique, int Error) Receive(LinkConnection lane, out byte[] body)
    {
        byte[] header = new byte[Marshal.SizeOf<fuse_out_header>()];
        lane.Stream.ReadExactly(header);
        fuse_out_header answer = MemoryMarshal.Read<fuse_out_header>(header);
        body = new byte[answer.len - header.Length];
        lane.Stream.ReadExactly(body);
        return (answer.unique, answer.error);
    }

    private static bool IsCut(LinkConnection lane)
    {
        try
        {
            return lane.Stream.ReadByte() == -1;
        }
        catch (IOException e) when (e.InnerException is SocketException { SocketErrorCode: SocketError.ConnectionReset })
        {
            // Expected: bytes that nobody read turn the cut into a reset.
            return true;
        }
    }

    private sealed class Lab : IDisposable
    {
        private readonly TemporaryDirectory _folder = new();
        private readonly LinkListener _listener;

        public Lab()
        {
            Service = new ExportService(new ExportServiceOptions(), TimeProvider.System, NullLogger<ExportService>.Instance);
            string export = _folder.CreateDirectory("export");
            File.WriteAllText(Path.Combine(export, "f"), "");
            Service.Configure(
                [new ExportDefinition { Name = "data", Path = export, Peers = new HashSet<string> { "dpu1" }, ReadOnly = false, Identity = IdentityPolicy.Trusting }],
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

        public LinkConnection Dial(ulong mount, bool hostLocks = true, bool waits = false)
        {
            LinkConnection lane = new LinkDialer(null, new LinkDialerOptions { Local = new LinkLocal { Name = "dpu1" } }).Dial(
                _listener.Bound[0],
                "host1",
                "fs",
                new byte[16],
                hello => hello.Fs = new FsParameters { Export = "data", MountId = mount, HostLocks = hostLocks, Waits = waits });
            lane.SetTimeouts(Limit, Limit);
            return lane;
        }

        public void Dispose()
        {
            _listener.Dispose();
            Service.Dispose();
            _folder.Dispose();
        }
    }
}
