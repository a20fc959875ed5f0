using System.Runtime.CompilerServices;
using Dpu.Linux;
using Microsoft.Win32.SafeHandles;
using static Dpu.Linux.io_uring;

namespace Dpu.Fuse.Ring;

/// <summary>
/// An io_uring(7) of one thread: it makes the ring, submits, waits and takes completions; nobody else touches it. The
/// kernel works on completions where this thread waits for them, and nowhere else (DEFER_TASKRUN, Linux 6.1).
/// </summary>
/// <remarks>
/// Memory that is shared with the kernel: 1. submissions are written, then the tail with release; the kernel reads them
/// inside io_uring_enter(2). 2. Its completions are read after the tail with acquire; 3. the head is written with release
/// once a completion has been copied.
/// </remarks>
internal sealed unsafe class IoUring : IDisposable
{
    private const int SubmissionSize = 128;
    private readonly SafeFileHandle _handle;
    private readonly int _descriptor;
    private readonly io_uring_params _parameters;
    private byte* _rings;
    private byte* _submissions;
    private uint _tail;
    private uint _pending;

    private IoUring(SafeFileHandle handle, in io_uring_params parameters)
    {
        _handle = handle;
        _descriptor = (int)handle.DangerousGetHandle();
        _parameters = parameters;
    }

    /// <summary>Submissions that were prepared and not handed over yet.</summary>
    public uint Pending => _pending;

    private nuint RingsSize => Math.Max(
        _parameters.sq_off.array + (_parameters.sq_entries * sizeof(uint)),
        _parameters.cq_off.cqes + (_parameters.cq_entries * (uint)sizeof(io_uring_cqe)));

    private nuint SubmissionsSize => _parameters.sq_entries * SubmissionSize;

    /// <summary>Makes a ring of the calling thread.</summary>
    /// <param name="entries">Submissions between two calls of <see cref="Enter"/>; completions have four times as much room.</param>
    /// <param name="ring">The ring, where the result is 0.</param>
    /// <returns>0 or a negated errno: ENOSYS and EINVAL of old kernels, EPERM where io_uring is forbidden, ENOMEM.</returns>
    public static int TryCreate(uint entries, out IoUring? ring)
    {
        ring = null;
        var parameters = new io_uring_params
        {
            flags = IORING_SETUP_SQE128 | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_CQSIZE,
            cq_entries = entries * 4,
        };

        // SAFETY: the kernel reads and fills the struct on this stack.
        int descriptor = LibC.Result(LibC.io_uring_setup(entries, &parameters));
        if (descriptor < 0)
        {
            return descriptor;
        }

        var made = new IoUring(new SafeFileHandle(descriptor, ownsHandle: true), parameters);
        int mapped = made.Map();
        if (mapped < 0)
        {
            made.Dispose();
            return mapped;
        }

        ring = made;
        return 0;
    }

    /// <summary>Makes descriptors known to the ring; a submission names one by its index, with IOSQE_FIXED_FILE.</summary>
    /// <returns>0 or a negated errno.</returns>
    public int RegisterFile(int descriptor) =>
        LibC.Result(LibC.io_uring_register(_descriptor, IORING_REGISTER_FILES, &descriptor, 1));

    /// <summary>An empty submission, handed over by the next <see cref="Enter"/>; null where there is no room.</summary>
    public io_uring_sqe* Next()
    {
        if (_pending == _parameters.sq_entries)
        {
            return null;
        }

        // SAFETY: the index is masked; the ring's memory is mapped until Dispose.
        uint mask = *(uint*)(_rings + _parameters.sq_off.ring_mask);
        var submission = (io_uring_sqe*)(_submissions + ((nuint)(_tail & mask) * SubmissionSize));
        Unsafe.InitBlock(submission, 0, SubmissionSize);
        _tail++;
        _pending++;
        return submission;
    }

    /// <summary>Hands over what was prepared, and waits for a completion where that is asked for.</summary>
    /// <param name="wait">Whether to wait until there is one.</param>
    /// <param name="limit">How long at most; null for ever.</param>
    /// <returns>0, also after a signal or the limit; or a negated errno.</returns>
    public int Enter(bool wait, TimeSpan? limit)
    {
        Volatile.Write(ref *(uint*)(_rings + _parameters.sq_off.tail), _tail);
        __kernel_timespec time = default;
        io_uring_getevents_arg argument = default;
        void* pointer = null;
        nuint size = 0;
        uint flags = IORING_ENTER_GETEVENTS;
        if (wait && limit is { } bounded)
        {
            time = new __kernel_timespec { tv_sec = bounded.Ticks / TimeSpan.TicksPerSecond, tv_nsec = bounded.Ticks % TimeSpan.TicksPerSecond * 100 };
            argument.ts = (ulong)&time;
            pointer = &argument;
            size = (nuint)sizeof(io_uring_getevents_arg);
            flags |= IORING_ENTER_EXT_ARG;
        }

        // SAFETY: what the kernel reads lives on this stack or is mapped until Dispose.
        int submitted = LibC.Result(LibC.io_uring_enter(_descriptor, _pending, wait ? 1u : 0, flags, pointer, size));
        if (submitted >= 0)
        {
            _pending -= (uint)submitted;
            return 0;
        }

        if (submitted == -errno.ETIME)
        {
            // The time passed, after everything was handed over.
            _pending = _tail - Volatile.Read(ref *(uint*)(_rings + _parameters.sq_off.head));
            return 0;
        }

        return submitted is -errno.EINTR or -errno.EAGAIN or -errno.EBUSY ? 0 : submitted;
    }

    /// <summary>Takes a completion; false where there is none.</summary>
    public bool TryTake(out io_uring_cqe completion)
    {
        // SAFETY: the ring's memory is mapped until Dispose, and the index masked.
        uint* head = (uint*)(_rings + _parameters.cq_off.head);
        if (*head == Volatile.Read(ref *(uint*)(_rings + _parameters.cq_off.tail)))
        {
            completion = default;
            return false;
        }

        uint mask = *(uint*)(_rings + _parameters.cq_off.ring_mask);
        completion = ((io_uring_cqe*)(_rings + _parameters.cq_off.cqes))[*head & mask];
        Volatile.Write(ref *head, *head + 1);
        return true;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (_handle.IsClosed)
        {
            return;
        }

        // SAFETY: mapped by Map with these sizes; no pointer into them is used after.
        if (_submissions != null)
        {
            _ = LibC.munmap(_submissions, SubmissionsSize);
        }

        if (_rings != null)
        {
            _ = LibC.munmap(_rings, RingsSize);
        }

        _rings = null;
        _submissions = null;
        _handle.Dispose();
    }

    private int Map()
    {
        if ((_parameters.features & (IORING_FEAT_SINGLE_MMAP | IORING_FEAT_NODROP | IORING_FEAT_EXT_ARG)) != (IORING_FEAT_SINGLE_MMAP | IORING_FEAT_NODROP | IORING_FEAT_EXT_ARG))
        {
            return -errno.ENOSYS;
        }

        _rings = Map(RingsSize, IORING_OFF_SQ_RING);
        if (_rings != null)
        {
            _submissions = Map(SubmissionsSize, IORING_OFF_SQES);
        }

        if (_submissions == null)
        {
            return -errno.ENOMEM;
        }

        // Submissions are handed over in the order in which they lie.
        uint* order = (uint*)(_rings + _parameters.sq_off.array);
        for (uint i = 0; i < _parameters.sq_entries; i++)
        {
            order[i] = i;
        }

        return 0;
    }

    private byte* Map(nuint size, long offset)
    {
        // SAFETY: a new mapping of the ring's own memory.
        void* mapped = LibC.mmap(null, size, mman.PROT_READ | mman.PROT_WRITE, mman.MAP_SHARED, _descriptor, offset);
        return (nint)mapped == -1 ? null : (byte*)mapped;
    }
}
