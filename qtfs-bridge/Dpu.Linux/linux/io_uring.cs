#pragma warning disable CA1707, CA1051, CA1815, CS1591, IDE1006, CS8981, CA1716
namespace Dpu.Linux;

/// <summary>Numbers of io_uring(7), of Linux 6.1 and older, but for those that say otherwise.</summary>
[CConstants("linux/io_uring.h")]
public static class io_uring
{
    public const uint IORING_SETUP_CQSIZE = 1u << 3;

    /// <summary>A submission that fails does not keep those behind it back.</summary>
    public const uint IORING_SETUP_SUBMIT_ALL = 1u << 7;

    /// <summary>Submissions have 128 bytes, the upper ones for a device's own command.</summary>
    public const uint IORING_SETUP_SQE128 = 1u << 10;
    public const uint IORING_SETUP_SINGLE_ISSUER = 1u << 12;

    /// <summary>Completions are worked on where the ring's thread waits for them, and nowhere else.</summary>
    public const uint IORING_SETUP_DEFER_TASKRUN = 1u << 13;
    public const uint IORING_FEAT_SINGLE_MMAP = 1u << 0;
    public const uint IORING_FEAT_NODROP = 1u << 1;
    public const uint IORING_FEAT_EXT_ARG = 1u << 8;
    public const long IORING_OFF_SQ_RING = 0;
    public const long IORING_OFF_SQES = 0x10000000;
    public const uint IORING_ENTER_GETEVENTS = 1u << 0;
    public const uint IORING_ENTER_EXT_ARG = 1u << 3;
    public const uint IORING_REGISTER_FILES = 2;
    public const byte IOSQE_FIXED_FILE = 1 << 0;
    public const byte IORING_OP_POLL_ADD = 6;
    public const byte IORING_OP_RECV = 27;
    public const byte IORING_OP_URING_CMD = 46;
}

/// <summary>System call numbers of io_uring, which all architectures share.</summary>
[CConstants("sys/syscall.h")]
public static class io_uring_calls
{
    public const int SYS_io_uring_setup = 425;
    public const int SYS_io_uring_enter = 426;
    public const int SYS_io_uring_register = 427;
}

/// <summary>A submission. Of unions the member that we use is named.</summary>
[CStruct("struct io_uring_sqe", "linux/io_uring.h")]
public struct io_uring_sqe
{
    public byte opcode;
    public byte flags;
    public ushort ioprio;
    public int fd;

    /// <summary>For IORING_OP_URING_CMD: the device's command.</summary>
    public uint cmd_op;
    public uint __pad1;
    public ulong addr;
    public uint len;
    public uint poll32_events;
    public ulong user_data;
    public ushort buf_index;
    public ushort personality;
    public int splice_fd_in;

    /// <summary>With IORING_SETUP_SQE128 the 80 bytes of a device's command begin here.</summary>
    public ulong addr3;
    public ulong __pad2;
}

/// <summary>A completion.</summary>
[CStruct("struct io_uring_cqe", "linux/io_uring.h")]
public struct io_uring_cqe
{
    public ulong user_data;
    public int res;
    public uint flags;
}

/// <summary>Where the parts of the submission ring lie in its mapping.</summary>
[CStruct("struct io_sqring_offsets", "linux/io_uring.h")]
public struct io_sqring_offsets
{
    public uint head;
    public uint tail;
    public uint ring_mask;
    public uint ring_entries;
    public uint flags;
    public uint dropped;
    public uint array;
    public uint resv1;
    public ulong resv2;
}

/// <summary>Where the parts of the completion ring lie in its mapping.</summary>
[CStruct("struct io_cqring_offsets", "linux/io_uring.h")]
public struct io_cqring_offsets
{
    public uint head;
    public uint tail;
    public uint ring_mask;
    public uint ring_entries;
    public uint overflow;
    public uint cqes;
    public uint flags;
    public uint resv1;
    public ulong resv2;
}

/// <summary>The request of io_uring_setup(2), and what it answers.</summary>
[CStruct("struct io_uring_params", "linux/io_uring.h")]
public unsafe struct io_uring_params
{
    public uint sq_entries;
    public uint cq_entries;
    public uint flags;
    public uint sq_thread_cpu;
    public uint sq_thread_idle;
    public uint features;
    public uint wq_fd;
    public fixed uint resv[3];
    public io_sqring_offsets sq_off;
    public io_cqring_offsets cq_off;
}

/// <summary>How long io_uring_enter(2) waits, with IORING_ENTER_EXT_ARG.</summary>
[CStruct("struct io_uring_getevents_arg", "linux/io_uring.h")]
public struct io_uring_getevents_arg
{
    public ulong sigmask;
    public uint sigmask_sz;
    public uint pad;
    public ulong ts;
}

/// <summary>A time of io_uring: 64 bits on every architecture.</summary>
[CStruct("struct __kernel_timespec", "linux/time_types.h")]
public struct __kernel_timespec
{
    public long tv_sec;
    public long tv_nsec;
}

public static unsafe partial class LibC
{
    /// <summary>io_uring_setup(2), Linux 5.1; the C library has no wrapper.</summary>
    public static int io_uring_setup(uint entries, io_uring_params* parameters) =>
        (int)syscall(io_uring_calls.SYS_io_uring_setup, (nint)entries, (nint)parameters, 0, 0, 0, 0);

    /// <summary>io_uring_enter(2).</summary>
    public static int io_uring_enter(int ring, uint submit, uint wait, uint flags, void* argument, nuint size) =>
        (int)syscall(io_uring_calls.SYS_io_uring_enter, ring, (nint)submit, (nint)wait, (nint)flags, (nint)argument, (nint)size);

    /// <summary>io_uring_register(2).</summary>
    public static int io_uring_register(int ring, uint opcode, void* argument, uint count) =>
        (int)syscall(io_uring_calls.SYS_io_uring_register, ring, (nint)opcode, (nint)argument, (nint)count, 0, 0);
}
