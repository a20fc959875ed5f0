#pragma warning disable CA1707, CA1051, CA1815, CS1591, IDE1006, CS8981, CA1716
using System.Runtime.InteropServices;

namespace Dpu.Linux;

/// <summary>Flags of preadv2(2) and pwritev2(2), for one call.</summary>
[CConstants("sys/uio.h")]
public static class uio
{
    public const int RWF_DSYNC = 2;
    public const int RWF_SYNC = 4;

    /// <summary>Does not wait, whatever the open file description says; EAGAIN instead.</summary>
    public const int RWF_NOWAIT = 8;

    /// <summary>Appends, whatever the offset says.</summary>
    public const int RWF_APPEND = 16;
}

/// <summary>A piece of memory of readv(2) and writev(2).</summary>
[CStruct("struct iovec", "sys/uio.h")]
public unsafe struct iovec
{
    public void* iov_base;
    public nuint iov_len;
}

public static unsafe partial class LibC
{
    [LibraryImport(Library)]
    public static partial nint readv(int fd, iovec* pieces, int count);

    [LibraryImport(Library)]
    public static partial nint writev(int fd, iovec* pieces, int count);

    [LibraryImport(Library)]
    public static partial nint preadv(int fd, iovec* pieces, int count, long offset);

    [LibraryImport(Library)]
    public static partial nint pwritev(int fd, iovec* pieces, int count, long offset);

    /// <summary>preadv2(2), Linux 4.6; <paramref name="flags"/> are of <see cref="uio"/>, an <paramref name="offset"/> of -1 is the file's own.</summary>
    [LibraryImport(Library)]
    public static partial nint preadv2(int fd, iovec* pieces, int count, long offset, int flags);

    /// <summary>pwritev2(2), Linux 4.6; <paramref name="flags"/> are of <see cref="uio"/>.</summary>
    [LibraryImport(Library)]
    public static partial nint pwritev2(int fd, iovec* pieces, int count, long offset, int flags);

    /// <summary>process_vm_readv(2): copies from another process's memory; the bytes, which may be fewer.</summary>
    [LibraryImport(Library)]
    public static partial nint process_vm_readv(int pid, iovec* local, nuint localCount, iovec* remote, nuint remoteCount, nuint flags);

    /// <summary>process_vm_writev(2): copies into another process's memory; the bytes, which may be fewer.</summary>
    [LibraryImport(Library)]
    public static partial nint process_vm_writev(int pid, iovec* local, nuint localCount, iovec* remote, nuint remoteCount, nuint flags);
}
