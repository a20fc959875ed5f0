#pragma warning disable CA1707, CA1051, CA1815, CS1591, IDE1006, CS8981, CA1716
using System.Runtime.InteropServices;

namespace Dpu.Linux;

/// <summary>Limits of getrlimit(2).</summary>
[CConstants("sys/resource.h")]
public static class resource
{
    public const int RLIMIT_CORE = 4;
    public const int RLIMIT_NOFILE = 7;
    public const int RLIMIT_MEMLOCK = 8;
    public const ulong RLIM_INFINITY = ulong.MaxValue;
}

/// <summary>A soft and a hard limit.</summary>
[CStruct("struct rlimit", "sys/resource.h")]
public struct rlimit
{
    public ulong rlim_cur;
    public ulong rlim_max;
}

public static unsafe partial class LibC
{
    [LibraryImport(Library)]
    public static partial int getrlimit(int resource, rlimit* limit);

    [LibraryImport(Library)]
    public static partial int setrlimit(int resource, rlimit* limit);
}
