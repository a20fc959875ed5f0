#pragma warning disable CA1707, CA1051, CA1815, CS1591, IDE1006, CS8981, CA1716
using System.Runtime.InteropServices;

namespace Dpu.Linux;

/// <summary>The state of a mounted file system; sizes in units of <c>f_frsize</c> bytes.</summary>
[CStruct("struct statfs", "sys/statfs.h")]
public unsafe struct statfs
{
    public long f_type;
    public long f_bsize;
    public ulong f_blocks;
    public ulong f_bfree;
    public ulong f_bavail;
    public ulong f_files;
    public ulong f_ffree;
    public fixed int f_fsid[2];
    public long f_namelen;
    public long f_frsize;
    public long f_flags;
    public fixed long f_spare[4];
}

/// <summary>Values of <c>f_type</c>.</summary>
[CConstants("linux/magic.h")]
public static class magic
{
    public const long EXT4_SUPER_MAGIC = 0xef53;
    public const long XFS_SUPER_MAGIC = 0x58465342;
    public const long BTRFS_SUPER_MAGIC = 0x9123683e;
    public const long TMPFS_MAGIC = 0x01021994;
    public const long RAMFS_MAGIC = 0x858458f6;
    public const long PROC_SUPER_MAGIC = 0x9fa0;
    public const long NFS_SUPER_MAGIC = 0x6969;
    public const long SMB_SUPER_MAGIC = 0x517b;
    public const long SMB2_SUPER_MAGIC = 0xfe534d42;
    public const long CIFS_SUPER_MAGIC = 0xff534d42;
    public const long CEPH_SUPER_MAGIC = 0xc36400;
    public const long FUSE_SUPER_MAGIC = 0x65735546;
    public const long V9FS_MAGIC = 0x01021997;
    public const long AFS_SUPER_MAGIC = 0x5346414f;
    public const long SYSFS_MAGIC = 0x62656572;
    public const long CGROUP_SUPER_MAGIC = 0x27e0eb;
    public const long CGROUP2_SUPER_MAGIC = 0x63677270;
    public const long RDTGROUP_SUPER_MAGIC = 0x7655821;
    public const long DEBUGFS_MAGIC = 0x64626720;
    public const long TRACEFS_MAGIC = 0x74726163;
    public const long SECURITYFS_MAGIC = 0x73636673;
    public const long SELINUX_MAGIC = 0xf97cff8c;
    public const long SMACK_MAGIC = 0x43415d53;
    public const long PSTOREFS_MAGIC = 0x6165676c;
    public const long EFIVARFS_MAGIC = 0xde5e81e4;
    public const long BINFMTFS_MAGIC = 0x42494e4d;
    public const long BPF_FS_MAGIC = 0xcafe4a11;
}

public static unsafe partial class LibC
{
    /// <summary>fstatfs(2); takes O_PATH descriptors too.</summary>
    [LibraryImport(Library)]
    public static partial int fstatfs(int fd, statfs* buffer);
}
