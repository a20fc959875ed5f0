using System.Collections.Concurrent;
using Dpu.Fuse;
using Dpu.Fuse.Ring;
using Dpu.Fuse.Wire;
using Dpu.Linux;
using Dpu.Qtfs.Mount.Coherence;
using Microsoft.Win32.SafeHandles;

namespace Dpu.Qtfs.Mount.Ring;

/// <summary>
/// One thread of a mount on io_uring: takes the kernel's requests out of its ring, sends them to the host many at once,
/// and commits the answers as they come. It never waits for the host: an interrupt always finds it.
/// </summary>
/// <remarks>
/// It keeps what <see cref="MountLane"/> keeps: interrupts, what may be sent again after a broken connection, the checks of
/// a host's answers, the gate of the cache. One link is for what is quick, one for what takes long or is large, so that
/// a look-up does not wait behind a megabyte; where they are stuck, others take the requests.
/// </remarks>
internal sealed unsafe class RingLane : IDisposable
{
    /// <summary>Connections at most: the first for what is quick, the second for what takes long, the others where those are stuck.</summary>
    public const int MaxLinks = 8;

    /// <summary>How long a request on it has been under way where a link is stuck, in milliseconds: for what is quick, and for what takes long.</summary>
    private const long StuckAfter = 2;
    private const long LongStuckAfter = 50;

    /// <summary>Data from which on a request counts as large, in bytes.</summary>
    private const int Large = 64 << 10;

    /// <summary>What an answer without data fits into, in bytes.</summary>
    private const int SmallAnswer = 512;

    private static readonly TimeSpan Tick = TimeSpan.FromMilliseconds(50);

    private readonly RemoteMount _mount;
    private readonly SafeFileHandle _device;
    // An array: the enumerator of an interface would cost memory each time.
    private readonly int[] _queues;
    private readonly RingLink[] _links;

    private readonly ConcurrentQueue<(ulong Unique, int Error)> _late = new();
    private readonly Dictionary<ulong, RingRequest> _held = [];
    private RingRequest[] _requests = [];
    private FuseRing? _ring;
    private bool _inGate;
    private int _ended;

    public RingLane(RemoteMount mount, uint number, SafeFileHandle device, int links, IReadOnlyList<int> queues)
    {
        _links = new RingLink[links];
        _mount = mount;
        Number = number;
        _device = device;
        _queues = [.. queues];
    }

    /// <summary>The lane's number among all of the mount.</summary>
    public uint Number { get; }

    /// <summary>Requests under way, without those that wait for a lock. From any thread.</summary>
    public int Busy => Volatile.Read(ref _requests).Count(request => request.IsBusy);

    /// <summary>Makes the ring; on the lane's thread.</summary>
    /// <exception cref="FuseMountException">It cannot be made.</exception>
    public void Prepare(int depth)
    {
        var ring = FuseRing.Create(_device, _queues, depth);
        for (uint i = 0; i < _links.Length; i++)
        {
            _links[i] = new RingLink(_mount, this, ring, i, i == 1 ? SmallAnswer : RingConnection.Capacity);
        }

        Volatile.Write(ref _requests, [.. ring.Slots.Select(slot => new RingRequest(slot, NewFigures()))]);
        Volatile.Write(ref _ring, ring);
    }

    /// <summary>Serves the kernel until the mount is gone.</summary>
    /// <returns>Null at the mount's end, else why the ring is of no use.</returns>
    public string? Run()
    {
        if (_queues.Length == 1)
        {
            FuseRingSupport.Pin(_queues[0]);
        }

        int result = _ring!.Register();
        while (result >= 0)
        {
            if (_inGate)
            {
                // What was committed is with the kernel before the gate is left, and the gate left before waiting.
                result = _ring.Enter(wait: false);
                LeaveGate();
            }

            bool timed = _mount.Stopping || Array.Exists(_links, static link => link.HasWaiting);
            result = result < 0 ? result : _ring.Enter(wait: true, timed ? Tick : null);
            while (_ring.TryTake(out FuseRingEvent taken))
            {
                if (!Handle(taken, ref result))
                {
                    return null;
                }
            }

            if (_mount.Stopping)
            {
                return null;
            }

            foreach (RingLink link in _links)
            {
                if (timed)
                {
                    link.LookAtWaiting();
                }

                link.MoveTo(_links[0]);
                link.Flush();
            }
        }

        return $"errno {-result}";
    }

    /// <summary>Answers a request that has waited for a lock. From any thread.</summary>
    public void Complete(ulong unique, int error)
    {
        _late.Enqueue((unique, error));
        Wake();
    }

    /// <summary>As <see cref="MountLane.Interrupt"/>. From any thread.</summary>
    public bool Interrupt(ulong unique, bool expired)
    {
        foreach (RingRequest request in Volatile.Read(ref _requests))
        {
            if (!request.Has(unique))
            {
                continue;
            }

            if (!request.Begun)
            {
                if (request.Current!.TryRead(out RequestUnderWay under) && under.Unique == unique
                    && CallerState.EndsUnsent(under.Opcode, under.Caller) && request.NoteInterrupt(unique))
                {
                    Wake();
                }
            }
            else if (expired && CallerState.IsDying(request.Caller))
            {
                request.Abandon(unique);
                Wake();
            }

            return true;
        }

        return false;
    }

    /// <summary>The requests under way. From any thread.</summary>
    public void AddPending(List<RequestUnderWay> pending)
    {
        foreach (RingRequest request in Volatile.Read(ref _requests))
        {
            if (request.Current!.TryRead(out RequestUnderWay under))
            {
                pending.Add(under);
            }
        }
    }

    /// <summary>Makes the thread look around. From any thread.</summary>
    public void Wake() => Volatile.Read(ref _ring)?.Wake();

    /// <summary>Breaks the connections. From any thread.</summary>
    public void Cut() => Array.ForEach(_links, static link => link?.Cut());

    /// <summary>Closes connections and ring; on the lane's thread, or where it never ran.</summary>
    public void Dispose()
    {
        if (_ring is { } ring)
        {
            LeaveGate();

            // The ring may still be receiving into a connection's buffer: that is waited for, but not for ever.
            Array.ForEach(_links, static link => link.Close());
            for (int i = 0; i < 20 && !Array.TrueForAll(_links, static link => link.IsQuiet) && ring.Enter(wait: true, Tick) >= 0; i++)
            {
                while (ring.TryTake(out FuseRingEvent taken))
                {
                    if (taken.Kind == FuseRingEventKind.Own)
                    {
                        Happened(taken);
                    }
                }
            }

            Volatile.Write(ref _requests, []);
            ring.Dispose();
            Array.ForEach(_links, static link => link.Dispose());
        }

        _device.Dispose();
    }

    /// <summary>Answers without the host.</summary>
    internal void Answer(RingRequest request, int error)
    {
        ulong unique = request.Unique;
        FuseRingSlot slot = request.Slot!;
        request.Current!.Outcome(0, 0, error != 0);
        request.End();
        _ring!.Commit(slot, unique, error);
    }

    /// <summary>Answers in the host's place for a caller that is being killed; the host's answer is awaited without its slot.</summary>
    internal void LeaveSlot(RingRequest request, bool whole)
    {
        FuseRingSlot slot = request.Slot!;
        ulong unique = request.Unique;
        request.LeaveSlot(whole);
        _requests[slot.Index] = new RingRequest(slot, NewFigures());
        _ring!.Commit(slot, unique, -errno.EINTR);
    }

    /// <summary>Gives the host's answer, which has been checked, to the kernel.</summary>
    internal void Deliver(RingRequest request, byte* reply, int length)
    {
        FuseRingSlot slot = request.Slot!;
        fuse_in_header* header = request.Header;
        int error = ((fuse_out_header*)reply)->error;
        if (error == -errno.EAGAIN && PendingRequests.Takes(header->opcode))
        {
            // It must wait, and its slot with it: the queue gets another one.
            request.Current!.Outcome(request.Length, length, failed: false);
            Hold(request);
            return;
        }

        request.Current!.Outcome(request.Length, length, error != 0);
        if (error == 0 && (fuse_opcode)header->opcode is fuse_opcode.FUSE_SETLK or fuse_opcode.FUSE_SETLKW && _mount.Grants is { } grants
            && TryHandOver(request, grants, reply, length))
        {
            return;
        }

        if (error == 0 && !ReplySize.Fits(request.Message, request.Length, length - sizeof(fuse_out_header)))
        {
            _mount.HostViolated($"its answer of {length} bytes to opcode {header->opcode} is none that the kernel takes");
            Answer(request, -errno.EIO);
            return;
        }

        if (_mount.Cache is { } cache)
        {
            if (!_inGate)
            {
                cache.Gate.Enter(Number);
                _inGate = true;
            }

            cache.Check(header, request.Length, request.Sequence, reply, length);
            cache.Fresh.Answered((byte*)header, request.Length, reply, length);
        }

        request.End();
        _ring!.Commit(slot, reply, length);
    }

    private void LeaveGate()
    {
        if (_inGate)
        {
            _inGate = false;
            _mount.Cache!.Gate.Leave(Number);
        }
    }

    private LaneRequest NewFigures() => new(_mount.Counters, _mount.Slow);

    private bool Handle(in FuseRingEvent taken, ref int result)
    {
        switch (taken.Kind)
        {
            case FuseRingEventKind.Request:
                RingRequest request = _requests[taken.Slot!.Index];
                request.Begin();
                if (AnswersHere.TryAnswer(_mount, request.Message, request.Length, out int known))
                {
                    Answer(request, known);
                    return true;
                }

                AnswersHere.Sending(_mount, request.Message, request.Length);
                Choose(request).Add(request);
                return true;
            case FuseRingEventKind.Own:
                Happened(taken);
                return true;
            case FuseRingEventKind.Woken:
                AnswerLate();
                foreach (RingLink link in _links)
                {
                    link.Adopt();
                    link.LetAbandonedGo();
                    link.LookAtWaiting();
                }

                return true;
            default:
                // Unmounted, aborted. Anything else is one slot that the kernel refused: others may go on.
                if (taken.Result is -errno.ENOTCONN or -errno.ECONNABORTED or -errno.ECANCELED)
                {
                    return false;
                }

                result = ++_ended == _ring!.Slots.Count ? taken.Result : result;
                return true;
        }
    }

    private void Happened(in FuseRingEvent taken)
    {
        (uint link, uint generation, uint what) = RingTag.Unpack(taken.Tag);
        if (link < _links.Length)
        {
            _links[link].Happened(generation, what, taken.Result);
        }
    }

    private RingLink Choose(RingRequest request)
    {
        bool isLong = IsLong(request);
        int first = isLong && _links.Length > 1 ? 1 : 0;
        long sentBefore = request.Started - (isLong ? LongStuckAfter : StuckAfter);
        for (int i = first; i < _links.Length; i++)
        {
            if (!_links[i].IsStuck(sentBefore))
            {
                return _links[i];
            }
        }

        return _links[first];
    }

    private static bool IsLong(RingRequest request)
    {
        // SAFETY: the kernel's request; its body is read as far as it goes.
        byte* body = request.Message + sizeof(fuse_in_header);
        switch ((fuse_opcode)request.Header->opcode)
        {
            case fuse_opcode.FUSE_FSYNC:
            case fuse_opcode.FUSE_FSYNCDIR:
            case fuse_opcode.FUSE_SYNCFS:
            case fuse_opcode.FUSE_FALLOCATE:
            case fuse_opcode.FUSE_COPY_FILE_RANGE:
                return true;
            case fuse_opcode.FUSE_READ:
                return request.Length >= sizeof(fuse_in_header) + sizeof(fuse_read_in) && ((fuse_read_in*)body)->size >= Large;
            default:
                return request.Length >= Large;
        }
    }

    private void Hold(RingRequest request)
    {
        ulong unique = request.Unique;
        FuseRingSlot slot = request.Slot!;
        _held.Add(unique, request);
        request.End();
        if (_ring!.TryAddSlot(slot.Queue))
        {
            Volatile.Write(ref _requests, [.. _requests, new RingRequest(_ring.Slots[^1], NewFigures())]);
        }

        // Its answer may come before this returns, to the queue of late ones, which this thread reads later.
        if (!_mount.Rings!.TryHold(unique, this) || !_mount.Pending.TryAdd(request.Message, request.Length, _device))
        {
            _mount.Rings.Forget(unique);
            _held.Remove(unique);
            _ring!.Commit(slot, unique, -errno.ENOLCK);
        }
    }

    // A lock that was granted: its caller is answered once the kernel has been told what happened before.
    private bool TryHandOver(RingRequest request, GrantedLocks grants, byte* reply, int length)
    {
        ulong unique = request.Unique;
        _held.Add(unique, request);
        if (_mount.Rings!.TryHold(unique, this) && grants.TryAdd(_device, request.Header, reply, length))
        {
            request.End();
            return true;
        }

        _mount.Rings.Forget(unique);
        _held.Remove(unique);
        return false;
    }

    private void AnswerLate()
    {
        while (_late.TryDequeue(out (ulong Unique, int Error) late))
        {
            if (_held.Remove(late.Unique, out RingRequest? request))
            {
                _ring!.Commit(request.Slot!, late.Unique, late.Error);
            }
        }
    }
}
