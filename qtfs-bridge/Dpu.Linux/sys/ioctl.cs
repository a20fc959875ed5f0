#pragma warning disable CA1707, CS1591, IDE1006, CS8981
using System.Runtime.InteropServices;

namespace Dpu.Linux;

/// <summary>Requests of ioctl(2) that many kinds of files know.</summary>
[CConstants("sys/ioctl.h")]
public static class ioctl_h
{
    /// <summary>How many bytes could be read at once (int).</summary>
    public const int FIONREAD = 0x541B;
}

public static unsafe partial class LibC
{
    /// <summary>ioctl(2) with a pointer.</summary>
    [LibraryImport(Library)]
    public static partial int ioctl(int fd, nuint request, void* argument);
}
