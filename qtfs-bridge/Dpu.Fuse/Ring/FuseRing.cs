using Dpu.Fuse.Wire;
using Dpu.Linux;
using Microsoft.Win32.SafeHandles;

namespace Dpu.Fuse.Ring;

/// <summary>
/// One thread's ring of a FUSE connection: the kernel puts requests into its slots, the thread commits the answers. Made
/// and used by one thread, but for <see cref="Wake"/>. Source: Documentation/filesystems/fuse/fuse-io-uring.rst.
/// </summary>
/// <remarks>
/// FUSE_FORGET and FUSE_INTERRUPT still come by /dev/fuse, so somebody has to read that too. The kernel says nothing about
/// a committed answer: one that it finds malformed ends its request with an error. Nothing here allocates but
/// <see cref="TryAddSlot"/>.
/// </remarks>
public sealed unsafe class FuseRing : IDisposable
{
    private const ulong SlotKind = 0;
    private const ulong WakeKind = 1;
    private const ulong OwnKind = 2;
    private const int KindShift = 56;

    /// <summary>Submissions that are not commits: the wake-up, and what the thread asks for itself.</summary>
    private const int OwnSubmissions = 32;

    private readonly IoUring _ring;
    private readonly SafeFileHandle _wake;
    private readonly SafeFileHandle _device;
    private readonly List<FuseRingSlot> _slots = [];
    private int _woken;

    private FuseRing(IoUring ring, SafeFileHandle wake, SafeFileHandle device)
    {
        _ring = ring;
        _wake = wake;
        _device = device;
    }

    /// <summary>The slots, by their numbers.</summary>
    public IReadOnlyList<FuseRingSlot> Slots => _slots;

    /// <summary>Makes a ring with its memory, on the thread that will use it. The kernel knows nothing of it until <see cref="Register"/>.</summary>
    /// <param name="device">The connection or a clone of it; held open until <see cref="Dispose"/>.</param>
    /// <param name="queues">The kernel's queues that it serves.</param>
    /// <param name="depth">Slots for each: requests that can be under way at once.</param>
    /// <exception cref="FuseMountException">The kernel refused, or there is no memory.</exception>
    public static FuseRing Create(SafeFileHandle device, IReadOnlyList<int> queues, int depth)
    {
        ArgumentNullException.ThrowIfNull(device);
        ArgumentNullException.ThrowIfNull(queues);
        ArgumentOutOfRangeException.ThrowIfLessThan(depth, 1);
        int result = IoUring.TryCreate((uint)((queues.Count * depth) + OwnSubmissions), out IoUring? ring);
        if (result < 0)
        {
            throw new FuseMountException("Making an io_uring failed", -result, FuseRingSupport.Advice(-result));
        }

        int wake = LibC.Result(LibC.eventfd(0, eventfd_h.EFD_CLOEXEC | eventfd_h.EFD_NONBLOCK));
        if (wake < 0)
        {
            ring!.Dispose();
            throw new FuseMountException("Making an eventfd failed", -wake);
        }

        var made = new FuseRing(ring!, new SafeFileHandle(wake, ownsHandle: true), device);
        try
        {
            int registered = ring!.RegisterFile((int)device.DangerousGetHandle());
            if (registered < 0)
            {
                throw new FuseMountException("Giving /dev/fuse to an io_uring failed", -registered);
            }

            foreach (int queue in queues)
            {
                for (int i = 0; i < depth; i++)
                {
                    made.AddSlot(queue);
                }
            }

            return made;
        }
        catch
        {
            made.Dispose();
            throw;
        }
    }

    /// <summary>Gives all slots to the kernel, once FUSE_INIT is answered.</summary>
    /// <returns>0 or a negated errno; a slot that the kernel refuses comes back as <see cref="FuseRingEventKind.Ended"/>.</returns>
    public int Register()
    {
        WatchWake();
        foreach (FuseRingSlot slot in _slots)
        {
            Register(slot);
        }

        return _ring.Enter(wait: false, limit: null);
    }

    /// <summary>
    /// One more slot of a queue, for one that is held by a request that waits for long: while there are others, as the kernel (6.14 to 6.18) gives it to what comes
    /// next. What waits in the kernel already gets a slot only where an answer is committed, and what comes without being waited for (FUSE_RELEASE, which
    /// lets a lock go) gets in line behind it. Not on the hot path.
    /// </summary>
    /// <returns>Whether there was memory.</returns>
    public bool TryAddSlot(int queue)
    {
        FuseRingSlot? slot = FuseRingSlot.TryCreate(_slots.Count, queue);
        if (slot is null)
        {
            return false;
        }

        _slots.Add(slot);
        Register(slot);
        return true;
    }

    /// <summary>Hands over what was prepared, and waits for an event where that is asked for.</summary>
    /// <param name="wait">Whether to wait.</param>
    /// <param name="limit">How long at most; null for ever.</param>
    /// <returns>0 or a negated errno, after which the ring is of no use.</returns>
    public int Enter(bool wait, TimeSpan? limit = null) => _ring.Enter(wait, limit);

    /// <summary>Takes an event; false where there is none.</summary>
    public bool TryTake(out FuseRingEvent taken)
    {
        while (_ring.TryTake(out io_uring_cqe completion))
        {
            uint value = (uint)completion.user_data;
            switch (completion.user_data >> KindShift)
            {
                case SlotKind when value < _slots.Count:
                    FuseRingSlot slot = _slots[(int)value];
                    if (completion.res >= 0)
                    {
                        bool whole = slot.TryTake();
                        taken = new FuseRingEvent(whole ? FuseRingEventKind.Request : FuseRingEventKind.Ended, slot, 0, whole ? 0 : -errno.EPROTO);
                    }
                    else
                    {
                        taken = new FuseRingEvent(FuseRingEventKind.Ended, slot, 0, completion.res);
                    }

                    return true;
                case WakeKind:
                    ulong count;
                    _ = LibC.read((int)_wake.DangerousGetHandle(), &count, sizeof(ulong));
                    Volatile.Write(ref _woken, 0);
                    WatchWake();
                    taken = new FuseRingEvent(FuseRingEventKind.Woken, null, 0, 0);
                    return true;
                default:
                    taken = new FuseRingEvent(FuseRingEventKind.Own, null, value, completion.res);
                    return true;
            }
        }

        taken = default;
        return false;
    }

    /// <summary>Gives an answer to the kernel, and the slot back, at the next <see cref="Enter"/>.</summary>
    /// <param name="slot">A slot with a request.</param>
    /// <param name="reply">The answer with its header.</param>
    /// <param name="length">Its size in bytes, at most <see cref="FuseRingSlot.PayloadCapacity"/> and a header.</param>
    public void Commit(FuseRingSlot slot, byte* reply, int length)
    {
        ArgumentNullException.ThrowIfNull(slot);
        slot.Put(reply, length);
        Command(slot, FuseUringConstants.FUSE_IO_URING_CMD_COMMIT_AND_FETCH);
    }

    /// <summary>Answers with an error, or with nothing but success.</summary>
    public void Commit(FuseRingSlot slot, ulong unique, int error)
    {
        var reply = new fuse_out_header { len = (uint)sizeof(fuse_out_header), error = error, unique = unique };
        Commit(slot, (byte*)&reply, sizeof(fuse_out_header));
    }

    /// <summary>Asks for an event of the thread's own when a descriptor is as <paramref name="events"/> say, once.</summary>
    public void Poll(int descriptor, short events, uint tag)
    {
        io_uring_sqe* submission = Next();
        submission->opcode = io_uring.IORING_OP_POLL_ADD;
        submission->fd = descriptor;
        submission->poll32_events = (ushort)events;
        submission->user_data = (OwnKind << KindShift) | tag;
    }

    /// <summary>Asks for bytes of a socket; the event's result is their number, 0 at the end, or a negated errno.</summary>
    /// <param name="descriptor">The socket.</param>
    /// <param name="buffer">Stays untouched by others until the event.</param>
    /// <param name="size">Its room in bytes.</param>
    /// <param name="tag">What the event says.</param>
    public void Receive(int descriptor, byte* buffer, int size, uint tag)
    {
        io_uring_sqe* submission = Next();
        submission->opcode = io_uring.IORING_OP_RECV;
        submission->fd = descriptor;
        submission->addr = (ulong)buffer;
        submission->len = (uint)size;
        submission->user_data = (OwnKind << KindShift) | tag;
    }

    /// <summary>Wakes the ring's thread out of <see cref="Enter"/>. From any thread.</summary>
    public void Wake()
    {
        if (Interlocked.Exchange(ref _woken, 1) != 0)
        {
            return;
        }

        bool held = false;
        try
        {
            _wake.DangerousAddRef(ref held);
            ulong one = 1;

            // SAFETY: eight bytes on this stack, as eventfd(2) wants.
            _ = LibC.write((int)_wake.DangerousGetHandle(), &one, sizeof(ulong));
        }
        catch (ObjectDisposedException)
        {
            // Expected: the ring's thread has ended.
        }
        finally
        {
            if (held)
            {
                _wake.DangerousRelease();
            }
        }
    }

    /// <summary>Closes the ring: the kernel takes its slots back.</summary>
    public void Dispose()
    {
        _ring.Dispose();
        _wake.Dispose();
        _slots.ForEach(slot => slot.Free());
        _slots.Clear();
        GC.KeepAlive(_device);
    }

    private void AddSlot(int queue) => _slots.Add(FuseRingSlot.TryCreate(_slots.Count, queue)
        ?? throw new FuseMountException($"Memory for slot {_slots.Count} of an io_uring could not be had", errno.ENOMEM));

    private void Register(FuseRingSlot slot)
    {
        io_uring_sqe* submission = Command(slot, FuseUringConstants.FUSE_IO_URING_CMD_REGISTER);
        submission->addr = (ulong)slot.Pieces;
        submission->len = 2;
    }

    private io_uring_sqe* Command(FuseRingSlot slot, uint command)
    {
        io_uring_sqe* submission = Next();
        submission->opcode = io_uring.IORING_OP_URING_CMD;
        submission->flags = io_uring.IOSQE_FIXED_FILE;
        submission->fd = 0;
        submission->cmd_op = command;
        submission->user_data = (SlotKind << KindShift) | (uint)slot.Index;

        // SAFETY: submissions have 128 bytes; the command's 80 begin at addr3 (IORING_SETUP_SQE128).
        *(fuse_uring_cmd_req*)&submission->addr3 = new fuse_uring_cmd_req { commit_id = slot.CommitId, qid = (ushort)slot.Queue };
        return submission;
    }

    private void WatchWake()
    {
        io_uring_sqe* submission = Next();
        submission->opcode = io_uring.IORING_OP_POLL_ADD;
        submission->fd = (int)_wake.DangerousGetHandle();
        submission->poll32_events = (ushort)poll.POLLIN;
        submission->user_data = WakeKind << KindShift;
    }

    // The room suffices for all slots and some more; where many slots were added, what is there is handed over first.
    private io_uring_sqe* Next()
    {
        io_uring_sqe* submission;
        while ((submission = _ring.Next()) == null)
        {
            if (_ring.Enter(wait: false, limit: null) is < 0 and int error)
            {
                throw new FuseMountException("Submitting to an io_uring failed", -error);
            }
        }

        return submission;
    }
}
