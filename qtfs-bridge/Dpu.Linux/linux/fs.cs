#pragma warning disable CA1707, CA1051, CA1815, CS1591, IDE1006, CS8981
namespace Dpu.Linux;

/// <summary>ioctl(2) numbers and inode flags of <c>linux/fs.h</c>; the same on x86-64 and arm64.</summary>
[CConstants("sys/ioctl.h linux/fs.h")]
public static class linux_fs
{
    /// <summary>Reads an inode's flags (chattr(1)). Its number says <c>long</c>, the kernel writes an <c>int</c>.</summary>
    public const uint FS_IOC_GETFLAGS = 0x80086601;

    /// <summary>Changes an inode's flags; the kernel reads an <c>int</c>.</summary>
    public const uint FS_IOC_SETFLAGS = 0x40086602;

    /// <summary>Reads the flags, the project and the extent sizes of an inode: a <see cref="fsxattr"/>.</summary>
    public const uint FS_IOC_FSGETXATTR = 0x801C581F;

    /// <summary>Changes what <see cref="FS_IOC_FSGETXATTR"/> reads.</summary>
    public const uint FS_IOC_FSSETXATTR = 0x401C5820;
}

/// <summary>What FS_IOC_FSGETXATTR reads.</summary>
[CStruct("struct fsxattr", "sys/ioctl.h linux/fs.h")]
public unsafe struct fsxattr
{
    public uint fsx_xflags;
    public uint fsx_extsize;
    public uint fsx_nextents;
    public uint fsx_projid;
    public uint fsx_cowextsize;
    public fixed byte fsx_pad[8];
}
