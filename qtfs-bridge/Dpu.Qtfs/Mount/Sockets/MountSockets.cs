using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using Dpu.Fuse;
using Dpu.Fuse.Wire;
using Dpu.Linux;
using Dpu.Linux.Sockets;
using Dpu.Qtfs.Export.Sockets;
using Dpu.Qtfs.Mount.Fifos;
using Microsoft.Extensions.Logging;
using Microsoft.Win32.SafeHandles;

namespace Dpu.Qtfs.Mount.Sockets;

/// <summary>
/// Gives the host's sockets on a mount to programs here: for each that receives there is one of this machine on the same inode, bound
/// before the kernel knows what its look-up has found. And gives the host's programs the sockets that programs here bind. Nothing is made
/// before the first. Thread-safe.
/// </summary>
internal sealed unsafe class MountSockets : IDisposable
{
    /// <summary>Sockets of a mount that are served at a time; beyond that the one that was looked up least recently ends.</summary>
    private const int MaxServed = 1024;

    private readonly RemoteMount _mount;
    private readonly ISocketRelays _relays;
    private readonly ILogger _logger;
    private readonly Lock _lock = new();
    private readonly Lock _binding = new();
    private readonly Lock _connecting = new();
    private readonly Dictionary<ulong, Served> _served = [];
    private BinderProcess? _binder;
    private BinderProcess? _connector;
    private SafeFileHandle? _mounts;
    private long _lastName;
    private long _lastConnected;
    private bool _ended;
    private volatile bool _active;

    public MountSockets(RemoteMount mount, ISocketRelays relays, ILogger logger)
    {
        _mount = mount;
        _relays = relays;
        _logger = logger;
        Fifos = new MountFifos(mount, this, relays, logger);
        Own = new OwnSockets(mount, relays, (entry, type) => (uint uid, uint gid, out SafeFileHandle? connected) => Connect(entry, type, uid, gid, out connected));
    }

    /// <summary>The sockets that programs here have bound.</summary>
    public OwnSockets Own { get; }

    /// <summary>The FIFOs that programs here have open.</summary>
    public MountFifos Fifos { get; }

    /// <summary>What the kernel asks of the hidden directory.</summary>
    public HiddenDirectory Hidden { get; } = new();

    /// <summary>How many are served.</summary>
    public int Count
    {
        get
        {
            lock (_lock)
            {
                return _served.Count;
            }
        }
    }

    /// <summary>Whether it is served already, as it is now: then nothing is to be done. What receives no more ends here.</summary>
    public bool IsKnown(ulong node, BoundSocket bound)
    {
        Served? gone = null;
        lock (_lock)
        {
            if (_ended)
            {
                return true;
            }

            if (_served.TryGetValue(node, out Served? served))
            {
                if (bound.Receives && served.Type == bound.Type)
                {
                    served.LookedUp = Environment.TickCount64;
                    return true;
                }

                _served.Remove(node);
                gone = served;
            }
        }

        gone?.Relay.StopListening();
        return !bound.Receives;
    }

    /// <summary>
    /// Binds a socket to a node; on a lane's thread, which waits for it, as others answer what the kernel asks for that. One at a time.
    /// </summary>
    /// <param name="entry">What the host said of the node; one reference of it is to be the kernel's.</param>
    /// <param name="bound">What is bound to it there.</param>
    /// <returns>Whether the kernel has taken the reference.</returns>
    public bool Bind(fuse_entry_out entry, BoundSocket bound)
    {
        lock (_binding)
        {
            if (IsKnown(entry.nodeid, bound) || !Has(ref _binder))
            {
                return false;
            }

            string name = (++_lastName).ToString(CultureInfo.InvariantCulture);
            (entry.entry_valid, entry.entry_valid_nsec, entry.attr_valid, entry.attr_valid_nsec) = (0, 0, 0, 0);
            Hidden.Expect(name, entry);
            int error = _binder!.TryBind(bound.Type, name, out SafeFileHandle? socket);
            bool taken = Hidden.EndExpecting();
            if (socket is null)
            {
                Log.NotBound(_logger, _mount.Options.Target, -error);
                _binder.Dispose();
                _binder = null;
                return taken;
            }

            Serve(entry.nodeid, bound.Type, socket);
            return taken;
        }
    }

    /// <summary>Answers what is asked of the hidden directory, at once; whether it was that.</summary>
    public bool TryAnswer(byte* request, ref int length, SafeFileHandle device)
    {
        // SAFETY: the kernel writes whole messages only.
        var header = (fuse_in_header*)request;
        if (header->opcode is (uint)fuse_opcode.FUSE_BATCH_FORGET or (uint)fuse_opcode.FUSE_FORGET && header->nodeid != HiddenDirectory.Node)
        {
            TellForgotten(request, length);
            return _active && !TakeFromForgets(request, ref length);
        }

        if (header->nodeid != HiddenDirectory.Node && !(_active && header->nodeid == FuseConstants.FUSE_ROOT_ID))
        {
            return false;
        }

        byte* reply = stackalloc byte[HiddenDirectory.MaxAnswer];
        int answered = Hidden.TryAnswer(request, length, reply);
        if (answered > 0 && FuseDevice.WriteReply(device, reply, answered) < 0)
        {
            if (header->opcode == (uint)fuse_opcode.FUSE_MKNOD)
            {
                Hidden.TakeBack();
            }
            else if (header->opcode == (uint)fuse_opcode.FUSE_LOOKUP && answered == HiddenDirectory.MaxAnswer && header->nodeid == HiddenDirectory.Node)
            {
                Hidden.TakeBackReference(((fuse_entry_out*)(reply + sizeof(fuse_out_header)))->nodeid);
            }
        }

        return answered != 0;
    }

    /// <summary>Whether a host's answer names the hidden directory, which is none of its own.</summary>
    public bool IsForged(uint opcode, byte* reply, int length) => _active && EntryIds.Any(opcode, reply, length, ulong.MaxValue, HiddenDirectory.Node);

    /// <summary>Looks whether the mount is still in its place; on the guard's thread. What is bound would keep it alive for ever.</summary>
    public void Look()
    {
        if (_mounts is { } mounts && (poll.Now(mounts, poll.POLLPRI) & poll.POLLPRI) != 0 && !_mount.IsInPlace)
        {
            End();
        }
    }

    /// <summary>Ends all: the mount is no longer in its place.</summary>
    public void End()
    {
        Served[] all;
        lock (_lock)
        {
            _ended = true;
            all = [.. _served.Values];
            _served.Clear();
        }

        foreach (Served served in all)
        {
            served.Relay.BreakOff();
        }

        Own.End();
        Fifos.End();

        // Who binds or connects now waits for a short time at most.
        lock (_binding)
        {
            _binder?.Dispose();
            _binder = null;
        }

        lock (_connecting)
        {
            _connector?.Dispose();
            _connector = null;
        }
    }

    public void Dispose()
    {
        End();
        Own.Dispose();
        _mounts?.Dispose();
    }

    // On threads that connect for the host: another process than the one that look-ups wait for.
    private int Connect(fuse_entry_out entry, int type, uint uid, uint gid, out SafeFileHandle? connected)
    {
        connected = null;
        lock (_connecting)
        {
            if (!Has(ref _connector))
            {
                return -errno.ENOTCONN;
            }

            string name = NextSought(entry);
            int error = _connector!.TryConnect(type, uid, gid, name, out connected);
            return EndSeeking(error);
        }
    }

    /// <summary>Opens a FIFO of the mount, as programs here do, without waiting; it is this machine's kernel's, and the host's no part of it.</summary>
    /// <param name="entry">What the host said of the node.</param>
    /// <param name="access">O_RDONLY or O_WRONLY.</param>
    /// <param name="opened">It, non-blocking.</param>
    /// <returns>0 or a negated errno: ENXIO where it is to be written and nobody reads.</returns>
    public int OpenFifo(fuse_entry_out entry, int access, out SafeFileHandle? opened)
    {
        opened = null;
        lock (_connecting)
        {
            if (!Has(ref _connector))
            {
                return -errno.ENOTCONN;
            }

            string name = NextSought(entry);
            return EndSeeking(_connector!.TryOpen(access, name, out opened));
        }
    }

    // A name of the hidden directory that leads to a node; under the lock.
    private string NextSought(fuse_entry_out entry)
    {
        string name = string.Create(CultureInfo.InvariantCulture, $"c{++_lastConnected}");
        (entry.entry_valid, entry.entry_valid_nsec, entry.attr_valid, entry.attr_valid_nsec) = (0, 0, 0, 0);
        Hidden.Find(name, entry);
        return name;
    }

    private int EndSeeking(int error)
    {
        Hidden.EndFinding();
        if (error is -errno.ETIMEDOUT or -errno.EPIPE)
        {
            _connector!.Dispose();
            _connector = null;
        }

        return error;
    }

    private bool Has([NotNullWhen(true)] ref BinderProcess? process)
    {
        if (process is not null)
        {
            return true;
        }

        lock (_lock)
        {
            if (_ended || !_mount.IsInPlace)
            {
                return false;
            }

            _mounts ??= File.OpenHandle("/proc/self/mountinfo", FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
        }

        _active = true;
        process = BinderProcess.TryStart(_mount.Options.Target, _mount.DeviceNumber, Hidden.Name, out string problem);
        if (process is null)
        {
            Log.NoBinder(_logger, _mount.Options.Target, problem);
        }

        return process is not null;
    }

    private void TellForgotten(byte* request, int length)
    {
        if (Own.IsEmpty)
        {
            return;
        }

        // SAFETY: the kernel writes whole messages only; the count is bounded by the length.
        var header = (fuse_in_header*)request;
        if (header->opcode == (uint)fuse_opcode.FUSE_FORGET)
        {
            Own.Forgotten(header->nodeid);
            return;
        }

        var list = (fuse_batch_forget_in*)(request + sizeof(fuse_in_header));
        int room = Math.Max(0, length - sizeof(fuse_in_header) - sizeof(fuse_batch_forget_in));
        foreach (fuse_forget_one one in new ReadOnlySpan<fuse_forget_one>(list + 1, (int)Math.Min(list->count, (uint)room / (uint)sizeof(fuse_forget_one))))
        {
            Own.Forgotten(one.nodeid);
        }
    }

    private bool TakeFromForgets(byte* request, ref int length)
    {
        var header = (fuse_in_header*)request;
        if (header->opcode == (uint)fuse_opcode.FUSE_BATCH_FORGET)
        {
            return Hidden.TakeFromForgets(request, ref length);
        }

        // SAFETY: a FORGET has its count.
        var forget = (fuse_forget_in*)(request + sizeof(fuse_in_header));
        forget->nlookup -= Hidden.TakeReferences(header->nodeid, forget->nlookup);
        return forget->nlookup > 0;
    }

    private void Serve(ulong node, int type, SafeFileHandle socket)
    {
        ISocketRelay relay;
        try
        {
            relay = _relays.Serve(new RemoteSocket(_mount.Options.Host, _mount.Options.Target, () => _mount.Id, node, type), socket);
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException)
        {
            // Expected: no descriptors are left, or the runtime is stopping.
            socket.Dispose();
            Log.NotServed(_logger, _mount.Options.Target, e.Message);
            return;
        }

        ISocketRelay? replaced = null;
        bool ended;
        lock (_lock)
        {
            ended = _ended;
            if (!ended)
            {
                if (_served.Count >= MaxServed)
                {
                    ulong oldest = _served.MinBy(one => one.Value.LookedUp).Key;
                    _ = _served.Remove(oldest, out Served? served);
                    replaced = served!.Relay;
                }

                _served.Add(node, new Served(relay, type) { LookedUp = Environment.TickCount64 });
            }
        }

        replaced?.StopListening();
        if (ended)
        {
            relay.BreakOff();
        }
    }

    private sealed class Served(ISocketRelay relay, int type)
    {
        public ISocketRelay Relay { get; } = relay;

        public int Type { get; } = type;

        public long LookedUp { get; set; }
    }
}
