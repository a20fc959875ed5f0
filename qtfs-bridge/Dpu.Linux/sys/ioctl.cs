#pragma warning disable IDE1006
using System.Runtime.InteropServices;

namespace Dpu.Linux;

public static unsafe partial class LibC
{
    /// <summary>ioctl(2) with a pointer.</summary>
    [LibraryImport(Library)]
    public static partial int ioctl(int fd, nuint request, void* argument);
}
