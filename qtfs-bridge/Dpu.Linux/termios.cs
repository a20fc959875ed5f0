#pragma warning disable CA1707, CS1591, IDE1006, CS8981
using System.Runtime.InteropServices;

namespace Dpu.Linux;

/// <summary>Constants of <c>termios.h</c>.</summary>
[CConstants("termios.h")]
public static class termios
{
    public const int TCSANOW = 0;
}

public static unsafe partial class LibC
{
    /// <summary>Bytes enough for a <c>struct termios</c> (60 with glibc) that is read only to be put back.</summary>
    public const int TerminalModesSize = 256;

    /// <summary>tcgetattr(3).</summary>
    [LibraryImport(Library)]
    public static partial int tcgetattr(int fd, void* modes);

    /// <summary>tcsetattr(3).</summary>
    [LibraryImport(Library)]
    public static partial int tcsetattr(int fd, int actions, void* modes);
}
