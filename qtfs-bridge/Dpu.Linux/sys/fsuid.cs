#pragma warning disable CA1707, CA1051, CA1815, CS1591, IDE1006, CS8981, CA1716
using System.Runtime.InteropServices;

namespace Dpu.Linux;

public static unsafe partial class LibC
{
    /// <summary>
    /// setfsuid(2): the identity of this thread in file system calls. Returns the previous one, also where it failed,
    /// so only a second call tells. Leaving 0 drops the file capabilities from the effective set, and back restores them.
    /// </summary>
    [LibraryImport(Library)]
    public static partial int setfsuid(uint uid);

    /// <summary>setfsgid(2); returns the previous one, as <see cref="setfsuid"/> does.</summary>
    [LibraryImport(Library)]
    public static partial int setfsgid(uint gid);
}
