#pragma warning disable CA1707, CA1051, CA1815, CS1591, IDE1006, CS8981, CA1716
using System.Runtime.InteropServices;

namespace Dpu.Linux;

/// <summary>Flags of setxattr(2).</summary>
[CConstants("sys/xattr.h")]
public static class xattr
{
    public const int XATTR_CREATE = 1;
    public const int XATTR_REPLACE = 2;
}

/// <summary>Limits of extended attributes, in bytes.</summary>
[CConstants("linux/limits.h")]
public static class limits
{
    public const int NAME_MAX = 255;
    public const int PATH_MAX = 4096;
    public const int XATTR_NAME_MAX = 255;
    public const int XATTR_SIZE_MAX = 65536;
    public const int XATTR_LIST_MAX = 65536;
}

public static unsafe partial class LibC
{
    [LibraryImport(Library)]
    public static partial int setxattr(byte* path, byte* name, void* value, nuint size, int flags);

    [LibraryImport(Library)]
    public static partial nint getxattr(byte* path, byte* name, void* value, nuint size);

    [LibraryImport(Library)]
    public static partial nint listxattr(byte* path, byte* list, nuint size);

    [LibraryImport(Library)]
    public static partial int removexattr(byte* path, byte* name);
}
