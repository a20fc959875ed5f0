using System.Diagnostics;
using Dpu.Fuse;
using Dpu.Fuse.Wire;
using Dpu.Linux;
using Dpu.Qtfs.Mount.Handover;
using Microsoft.Win32.SafeHandles;

namespace Dpu.Qtfs.Mount;

/// <summary>
/// The thread that never waits for the host. It reads /dev/fuse while every lane is busy, so that an interrupt always
/// finds a reader, and it answers in a lane's place when a caller was killed and the host does not answer in time.
/// </summary>
/// <remarks>
/// It looks every <see cref="Tick"/> and is not on any request's way: a lane that is not stuck never meets it.
/// </remarks>
internal sealed unsafe class MountGuard : IDisposable
{
    private const long MaxOverflowBytes = 64L << 20;

    /// <summary>How often it looks; half of what a killed process may notice.</summary>
    private static readonly TimeSpan Tick = TimeSpan.FromMilliseconds(50);

    /// <summary>How long requests that are under way when the mount ends may still take.</summary>
    private static readonly TimeSpan LastAnswers = TimeSpan.FromSeconds(2);

    private readonly RemoteMount _mount;
    private readonly Lock _lock = new();
    private readonly List<(ulong Unique, long Since)> _interrupts = [];
    private readonly List<(ulong Unique, uint Caller, long Since)> _recovered = [];

    // Without spinning: it waits for a whole tick, and yields to the lanes fourteen times each would cost them.
    private readonly ManualResetEventSlim _stop = new(initialState: false, spinCount: 0);
    private readonly LaneMemory _memory;
    private readonly byte* _buffer;
    private bool _taking;

    public MountGuard(RemoteMount mount)
    {
        _mount = mount;
        Overflow = new OverflowQueue(MaxOverflowBytes);
        _memory = new LaneMemory(mount.State, "guard");
        _buffer = _memory.Buffer;
    }

    /// <summary>What was read while every lane was busy.</summary>
    public OverflowQueue Overflow { get; }

    /// <summary>
    /// Takes the oldest request that waits for a lane; the caller disposes of it. A lane asks, not busy, before it sleeps in the kernel:
    /// what the guard reads meanwhile is waited for, since nothing would wake the lane for it.
    /// </summary>
    public OverflowRequest? TryTake()
    {
        if (Volatile.Read(ref _taking))
        {
            SpinWait.SpinUntil(() => !Volatile.Read(ref _taking));
        }

        return Overflow.TryTake();
    }

    /// <summary>A process waits for that request no longer.</summary>
    public void Note(ulong unique)
    {
        lock (_lock)
        {
            _interrupts.Add((unique, Environment.TickCount64));
        }
    }

    /// <summary>
    /// A request that an earlier runtime had. A signal for its caller may have been told to that one, and the kernel says so once: whether the
    /// caller is being killed is looked at as long as the request is there.
    /// </summary>
    public void Watch(ulong unique, uint caller)
    {
        if (caller == 0)
        {
            // The kernel's own, or of another pid namespace: nobody can say.
            return;
        }

        lock (_lock)
        {
            _recovered.Add((unique, caller, Environment.TickCount64));
        }
    }

    public void Stop() => _stop.Set();

    /// <summary>Runs until <see cref="Stop"/>.</summary>
    /// <param name="device">The guard's own clone of /dev/fuse, non-blocking.</param>
    public void Run(SafeFileHandle device)
    {
        long stoppingSince = 0;
        while (!_stop.Wait(Tick))
        {
            LookAround();
            if (_mount.Stopping)
            {
                // The mount is gone: nobody waits for the host any more, so a lane does not either.
                stoppingSince = stoppingSince == 0 ? Environment.TickCount64 : stoppingSince;
                if (Environment.TickCount64 - stoppingSince >= (long)LastAnswers.TotalMilliseconds)
                {
                    _mount.CutBusyLanes();
                }

                continue;
            }

            while (!_stop.IsSet && !_mount.Stopping && AllStuck() && Overflow.HasRoom)
            {
                if (poll.WaitReadable(device, Tick))
                {
                    ReadOne(device);
                }

                _mount.Relief.Help(Overflow.Count);
                LookAround();
            }

            _mount.Relief.Help(Overflow.Count);
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _stop.Dispose();
        _memory.Free();
    }

    /// <summary>Takes up what an earlier runtime's guard has read and not handed on; before any thread runs.</summary>
    /// <param name="device">The guard's device.</param>
    /// <param name="isKnown">Whether a request is somewhere else already.</param>
    public void Recover(SafeFileHandle device, Func<ulong, bool> isKnown)
    {
        var header = (fuse_in_header*)_buffer;
        if (_memory.Unread == 0)
        {
            return;
        }

        if (header->opcode == (uint)fuse_opcode.FUSE_INTERRUPT || !isKnown(header->unique))
        {
            HandOn(_memory.Unread, device);
        }

        _memory.ClearBuffer();
    }

    private void LookAround()
    {
        DeliverInterrupts();
        _mount.TellOfSlowRequests();
        _mount.Cache?.Look();
        _mount.Sockets?.Look();
    }

    private bool AllStuck()
    {
        long limit = Environment.TickCount64 - (long)Tick.TotalMilliseconds;
        foreach (MountLane lane in _mount.Lanes)
        {
            long since = lane.BusySince;
            if (since == 0 || since > limit)
            {
                return false;
            }
        }

        return true;
    }

    // Only if every lane is stuck still: each then looks into the queue before it sleeps. That takes two barriers, one here and one in
    // the lanes; this one is both, for they are many times as often on their way.
    private void ReadOne(SafeFileHandle device)
    {
        Volatile.Write(ref _taking, true);
        try
        {
            Interlocked.MemoryBarrierProcessWide();
            if (AllStuck())
            {
                ReadOneForLanes(device);
            }
        }
        finally
        {
            Volatile.Write(ref _taking, false);
        }
    }

    private void ReadOneForLanes(SafeFileHandle device)
    {
        _memory.ClearBuffer();
        int length = FuseDevice.ReadRequest(device, _buffer, FuseLimits.MaxMessageSize);
        if (length is -errno.ENODEV or -errno.ECONNABORTED)
        {
            // Every lane waits for the host and does not see that the mount is gone.
            _mount.DeviceEnded(length);
            return;
        }

        if (length <= 0)
        {
            // A lane was faster.
            return;
        }

        HandOn(length, device);
        _memory.ClearBuffer();
    }

    private void HandOn(int length, SafeFileHandle device)
    {
        // SAFETY: the kernel writes whole messages only.
        var header = (fuse_in_header*)_buffer;
        if (header->opcode == (uint)fuse_opcode.FUSE_INTERRUPT)
        {
            Note(((fuse_interrupt_in*)(_buffer + sizeof(fuse_in_header)))->unique);
            return;
        }

        // Which asks nobody: lanes may be waiting for this very answer.
        if (_mount.Sockets?.TryAnswer(_buffer, ref length, device) == true)
        {
            return;
        }

        Overflow.Add(new OverflowRequest(_mount.Cells.Park(_buffer, length, ParkedFor.Lane, RequestCells.GuardDevice), device));
    }

    // Under the lock.
    private void LookAtRecovered(long now, long grace)
    {
        for (int i = _recovered.Count - 1; i >= 0; i--)
        {
            (ulong unique, uint caller, long since) = _recovered[i];
            bool dying = CallerState.IsDying(caller);
            if (dying)
            {
                _interrupts.Add((unique, now));
            }

            if (dying || (now - since > grace && !_mount.HasRequest(unique)))
            {
                _recovered.RemoveAt(i);
            }
        }
    }

    private void DeliverInterrupts()
    {
        lock (_lock)
        {
            long now = Environment.TickCount64;
            long grace = (long)_mount.Options.InterruptGrace.TotalMilliseconds;
            LookAtRecovered(now, grace);
            for (int i = _interrupts.Count - 1; i >= 0; i--)
            {
                (ulong unique, long since) = _interrupts[i];
                bool expired = now - since >= grace;
                RequestUnderWay? unsent = Overflow.Find(unique);
                if (unsent is { } one && CallerState.EndsUnsent(one.Opcode, one.Caller) && Overflow.TryTake(unique) is { } waiting)
                {
                    // Never sent, so nothing has happened.
                    _mount.Counters.CountInterrupted();
                    _mount.Reply(waiting.Device, unique, -errno.EINTR);
                    _mount.Counters.Operations.Record(waiting.Pending.Opcode, 0, 0, failed: true, Stopwatch.GetElapsedTime(waiting.ReadAt));
                    waiting.Dispose();
                    _interrupts.RemoveAt(i);
                    continue;
                }

                bool held = unsent is not null | _mount.Pending.Interrupt(unique, expired);
                held |= _mount.Rings?.Interrupt(unique, expired) == true;
                foreach (MountLane lane in _mount.Lanes)
                {
                    held |= lane.Interrupt(unique, expired);
                }

                // The kernel tells of an interrupt once, and a caller that lives may be killed later: so it is kept as
                // long as its request, and for the grace before the request has reached its lane.
                if (!held && expired)
                {
                    _interrupts.RemoveAt(i);
                }
            }
        }
    }
}
