#pragma warning disable CA1707, CS1591, IDE1006, CS8981
using System.Runtime.InteropServices;

namespace Dpu.Linux;

/// <summary>Operations of prctl(2).</summary>
[CConstants("sys/prctl.h")]
public static class prctl
{
    public const int PR_SET_IO_FLUSHER = 57;
    public const int PR_GET_IO_FLUSHER = 58;
}

public static unsafe partial class LibC
{
    /// <summary>prctl(2).</summary>
    [LibraryImport(Library)]
    public static partial int prctl(int operation, nuint a2, nuint a3, nuint a4, nuint a5);
}
