#pragma warning disable CA1707, CA1051, CA1815, CS1591, IDE1006, CS8981, CA1716
using System.Runtime.InteropServices;

namespace Dpu.Linux;

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
}
