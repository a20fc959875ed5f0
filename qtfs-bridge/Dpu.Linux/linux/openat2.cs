#pragma warning disable CA1707, CA1051, CA1815, CS1591, IDE1006, CS8981, CA1716
namespace Dpu.Linux;

/// <summary>How openat2(2) resolves a path.</summary>
[CConstants("linux/openat2.h")]
public static class openat2_h
{
    public const ulong RESOLVE_NO_XDEV = 0x01;
    public const ulong RESOLVE_NO_MAGICLINKS = 0x02;
    public const ulong RESOLVE_NO_SYMLINKS = 0x04;
    public const ulong RESOLVE_BENEATH = 0x08;
    public const ulong RESOLVE_IN_ROOT = 0x10;
    public const ulong RESOLVE_CACHED = 0x20;
}

/// <summary>The request of openat2(2).</summary>
[CStruct("struct open_how", "linux/openat2.h")]
public struct open_how
{
    public ulong flags;
    public ulong mode;
    public ulong resolve;
}

public static unsafe partial class LibC
{
    /// <summary>openat2(2), Linux 5.6; the C library of Debian 12 has no wrapper.</summary>
    public static int openat2(int dirfd, byte* path, open_how* how) =>
        (int)syscall(syscalls.SYS_openat2, dirfd, (nint)path, (nint)how, sizeof(open_how), 0, 0);
}
