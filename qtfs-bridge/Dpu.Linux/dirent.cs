#pragma warning disable CA1707, CA1051, CA1815, CS1591, IDE1006, CS8981, CA1716
using System.Runtime.InteropServices;

namespace Dpu.Linux;

/// <summary>File types of a directory entry; a type is <c>(st_mode &amp; S_IFMT) &gt;&gt; 12</c>.</summary>
[CConstants("dirent.h")]
public static class dirent
{
    public const byte DT_UNKNOWN = 0;
    public const byte DT_FIFO = 1;
    public const byte DT_CHR = 2;
    public const byte DT_DIR = 4;
    public const byte DT_BLK = 6;
    public const byte DT_REG = 8;
    public const byte DT_LNK = 10;
    public const byte DT_SOCK = 12;
    public const byte DT_WHT = 14;
}

/// <summary>The head of an entry of getdents64(2); the name follows, ended by NUL. <c>d_off</c> is the position behind it.</summary>
[CStruct("struct dirent64", "dirent.h", Prefix = true)]
[StructLayout(LayoutKind.Sequential, Pack = 1)]
public struct dirent64
{
    public ulong d_ino;
    public long d_off;
    public ushort d_reclen;
    public byte d_type;
}

public static unsafe partial class LibC
{
    /// <summary>getdents64(2): fills a buffer with <see cref="dirent64"/> records; 0 at the end.</summary>
    [LibraryImport(Library)]
    public static partial nint getdents64(int fd, void* buffer, nuint size);
}
