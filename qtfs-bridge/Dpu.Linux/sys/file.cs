#pragma warning disable CA1707, CA1051, CA1815, CS1591, IDE1006, CS8981, CA1716
using System.Runtime.InteropServices;

namespace Dpu.Linux;

/// <summary>Operations of flock(2).</summary>
[CConstants("sys/file.h")]
public static class sys_file
{
    public const int LOCK_SH = 1;
    public const int LOCK_EX = 2;
    public const int LOCK_NB = 4;
    public const int LOCK_UN = 8;
}

public static unsafe partial class LibC
{
    /// <summary>flock(2); the lock belongs to the open file description. With LOCK_NB EAGAIN where another one has it.</summary>
    [LibraryImport(Library)]
    public static partial int flock(int fd, int operation);
}
