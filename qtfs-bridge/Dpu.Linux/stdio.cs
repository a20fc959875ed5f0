#pragma warning disable CA1707, CA1051, CA1815, CS1591, IDE1006, CS8981, CA1716
using System.Runtime.InteropServices;

namespace Dpu.Linux;

/// <summary>Flags of renameat2(2).</summary>
[CConstants("stdio.h")]
public static class stdio
{
    public const uint RENAME_NOREPLACE = 1;
    public const uint RENAME_EXCHANGE = 2;
    public const uint RENAME_WHITEOUT = 4;
}

public static unsafe partial class LibC
{
    /// <summary>renameat2(2).</summary>
    [LibraryImport(Library)]
    public static partial int renameat2(int oldDirfd, byte* oldPath, int newDirfd, byte* newPath, uint flags);
}
