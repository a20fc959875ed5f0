#pragma warning disable CA1707, CS1591, IDE1006, CS8981
using System.Runtime.InteropServices;

namespace Dpu.Linux;

/// <summary>Signals of <c>signal.h</c>.</summary>
[CConstants("signal.h")]
public static class signal
{
    public const int SIGKILL = 9;
    public const int SIGSTOP = 19;
}

public static unsafe partial class LibC
{
    /// <summary>kill(2).</summary>
    [LibraryImport(Library)]
    public static partial int kill(int pid, int signal);
}
