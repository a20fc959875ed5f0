#pragma warning disable CA1707, CA1051, CA1815, CS1591, IDE1006, CS8981, CA1716
using System.Runtime.InteropServices;

namespace Dpu.Linux;

/// <summary>Flags of clone(2), unshare(2) and setns(2).</summary>
[CConstants("sched.h")]
public static class sched
{
    public const int CLONE_FS = 0x200;
    public const int CLONE_FILES = 0x400;
    public const int CLONE_NEWNS = 0x20000;
    public const int CLONE_NEWCGROUP = 0x2000000;
    public const int CLONE_NEWUTS = 0x4000000;
    public const int CLONE_NEWIPC = 0x8000000;
    public const int CLONE_NEWUSER = 0x10000000;
    public const int CLONE_NEWPID = 0x20000000;
    public const int CLONE_NEWNET = 0x40000000;
}

public static unsafe partial class LibC
{
    /// <summary>unshare(2): concerns the calling thread only.</summary>
    [LibraryImport(Library)]
    public static partial int unshare(int flags);

    /// <summary>setns(2): moves the calling thread into the namespace of a descriptor.</summary>
    [LibraryImport(Library)]
    public static partial int setns(int fd, int type);
}
