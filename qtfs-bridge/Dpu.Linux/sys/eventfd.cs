#pragma warning disable CA1707, CS1591, IDE1006, CS8981
using System.Runtime.InteropServices;

namespace Dpu.Linux;

/// <summary>Flags of eventfd(2).</summary>
[CConstants("sys/eventfd.h")]
public static class eventfd_h
{
    public const int EFD_CLOEXEC = 0x80000;
    public const int EFD_NONBLOCK = 0x800;
    public const int EFD_SEMAPHORE = 1;
}

public static unsafe partial class LibC
{
    /// <summary>eventfd(2): a descriptor that one thread writes to wake another that waits for many things.</summary>
    [LibraryImport(Library)]
    public static partial int eventfd(uint value, int flags);

    /// <summary>sched_setaffinity(2): which processors a thread (0: the calling one) may run on, a bit each.</summary>
    [LibraryImport(Library)]
    public static partial int sched_setaffinity(int thread, nuint size, ulong* mask);
}
