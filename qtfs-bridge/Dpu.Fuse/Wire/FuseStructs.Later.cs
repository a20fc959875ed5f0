// FUSE wire structs, second half of the header. Names, order and types are those of linux/fuse.h, so that whoever knows the header knows these;
// tests/Dpu.Linux.Tests compiles static asserts of every size and offset against it for x86-64 and arm64.
#pragma warning disable CA1707, CA1051, CA1815, CS1591, IDE1006, CS8981, CA1716

using Dpu.Linux;

namespace Dpu.Fuse.Wire;

/// <summary>A time of <see cref="fuse_statx"/>.</summary>
[CStruct("struct fuse_sx_time", "linux/fuse.h", Since = "6.6")]
public struct fuse_sx_time
{
    public long tv_sec;
    public uint tv_nsec;
    public int __reserved;
}

/// <summary>The attributes of statx(2), as <c>struct statx</c> has them.</summary>
[CStruct("struct fuse_statx", "linux/fuse.h", Since = "6.6")]
public unsafe struct fuse_statx
{
    public uint mask;
    public uint blksize;
    public ulong attributes;
    public uint nlink;
    public uint uid;
    public uint gid;
    public ushort mode;
    public ushort __spare0;
    public ulong ino;
    public ulong size;
    public ulong blocks;
    public ulong attributes_mask;
    public fuse_sx_time atime;
    public fuse_sx_time btime;
    public fuse_sx_time ctime;
    public fuse_sx_time mtime;
    public uint rdev_major;
    public uint rdev_minor;
    public uint dev_major;
    public uint dev_minor;
    public fixed ulong __spare2[14];
}

[CStruct("struct fuse_statx_in", "linux/fuse.h", Since = "6.6")]
public struct fuse_statx_in
{
    public uint getattr_flags;
    public uint reserved;
    public ulong fh;
    public uint sx_flags;
    public uint sx_mask;
}

[CStruct("struct fuse_statx_out", "linux/fuse.h", Since = "6.6")]
public unsafe struct fuse_statx_out
{
    public ulong attr_valid;
    public uint attr_valid_nsec;
    public uint flags;
    public fixed ulong spare[2];
    public fuse_statx stat;
}

[CStruct("struct fuse_interrupt_in", "linux/fuse.h")]
public struct fuse_interrupt_in
{
    public ulong unique;
}

[CStruct("struct fuse_bmap_in", "linux/fuse.h")]
public struct fuse_bmap_in
{
    public ulong block;
    public uint blocksize;
    public uint padding;
}

[CStruct("struct fuse_bmap_out", "linux/fuse.h")]
public struct fuse_bmap_out
{
    public ulong block;
}

[CStruct("struct fuse_ioctl_in", "linux/fuse.h")]
public struct fuse_ioctl_in
{
    public ulong fh;
    public uint flags;
    public uint cmd;
    public ulong arg;
    public uint in_size;
    public uint out_size;
}

[CStruct("struct fuse_ioctl_iovec", "linux/fuse.h")]
public struct fuse_ioctl_iovec
{
    public ulong @base;
    public ulong len;
}

[CStruct("struct fuse_ioctl_out", "linux/fuse.h")]
public struct fuse_ioctl_out
{
    public int result;
    public uint flags;
    public uint in_iovs;
    public uint out_iovs;
}

[CStruct("struct fuse_poll_in", "linux/fuse.h")]
public struct fuse_poll_in
{
    public ulong fh;
    public ulong kh;
    public uint flags;
    public uint events;
}

[CStruct("struct fuse_poll_out", "linux/fuse.h")]
public struct fuse_poll_out
{
    public uint revents;
    public uint padding;
}

[CStruct("struct fuse_notify_poll_wakeup_out", "linux/fuse.h")]
public struct fuse_notify_poll_wakeup_out
{
    public ulong kh;
}

[CStruct("struct fuse_fallocate_in", "linux/fuse.h")]
public struct fuse_fallocate_in
{
    public ulong fh;
    public ulong offset;
    public ulong length;
    public uint mode;
    public uint padding;
}

[CStruct("struct fuse_in_header", "linux/fuse.h")]
public struct fuse_in_header
{
    public uint len;
    public uint opcode;
    public ulong unique;
    public ulong nodeid;
    public uint uid;
    public uint gid;
    public uint pid;

    /// <summary>Size of all extensions at the message's end, in units of 8 bytes.</summary>
    [CName(Since = "6.2")]
    public ushort total_extlen;
    [CName(Since = "6.2")]
    public ushort padding;
}

[CStruct("struct fuse_out_header", "linux/fuse.h")]
public struct fuse_out_header
{
    public uint len;
    public int error;
    public ulong unique;
}

[CStruct("struct fuse_notify_inval_inode_out", "linux/fuse.h")]
public struct fuse_notify_inval_inode_out
{
    public ulong ino;
    public long off;
    public long len;
}

[CStruct("struct fuse_notify_inval_entry_out", "linux/fuse.h")]
public struct fuse_notify_inval_entry_out
{
    public ulong parent;
    public uint namelen;
    [CName(Since = "6.2")]
    public uint flags;
}

[CStruct("struct fuse_notify_delete_out", "linux/fuse.h")]
public struct fuse_notify_delete_out
{
    public ulong parent;
    public ulong child;
    public uint namelen;
    public uint padding;
}

[CStruct("struct fuse_notify_store_out", "linux/fuse.h")]
public struct fuse_notify_store_out
{
    public ulong nodeid;
    public ulong offset;
    public uint size;
    public uint padding;
}

[CStruct("struct fuse_notify_retrieve_out", "linux/fuse.h")]
public struct fuse_notify_retrieve_out
{
    public ulong notify_unique;
    public ulong nodeid;
    public ulong offset;
    public uint size;
    public uint padding;
}

[CStruct("struct fuse_notify_retrieve_in", "linux/fuse.h")]
public struct fuse_notify_retrieve_in
{
    public ulong dummy1;
    public ulong offset;
    public uint size;
    public uint dummy2;
    public ulong dummy3;
    public ulong dummy4;
}

[CStruct("struct fuse_lseek_in", "linux/fuse.h")]
public struct fuse_lseek_in
{
    public ulong fh;
    public ulong offset;
    public uint whence;
    public uint padding;
}

[CStruct("struct fuse_lseek_out", "linux/fuse.h")]
public struct fuse_lseek_out
{
    public ulong offset;
}

[CStruct("struct fuse_copy_file_range_in", "linux/fuse.h")]
public struct fuse_copy_file_range_in
{
    public ulong fh_in;
    public ulong off_in;
    public ulong nodeid_out;
    public ulong fh_out;
    public ulong off_out;
    public ulong len;
    public ulong flags;
}

[CStruct("struct fuse_setupmapping_in", "linux/fuse.h")]
public struct fuse_setupmapping_in
{
    public ulong fh;
    public ulong foffset;
    public ulong len;
    public ulong flags;
    public ulong moffset;
}

[CStruct("struct fuse_removemapping_in", "linux/fuse.h")]
public struct fuse_removemapping_in
{
    public uint count;
}

[CStruct("struct fuse_removemapping_one", "linux/fuse.h")]
public struct fuse_removemapping_one
{
    public ulong moffset;
    public ulong len;
}

[CStruct("struct fuse_syncfs_in", "linux/fuse.h")]
public struct fuse_syncfs_in
{
    public ulong padding;
}

[CStruct("struct fuse_secctx", "linux/fuse.h")]
public struct fuse_secctx
{
    public uint size;
    public uint padding;
}

[CStruct("struct fuse_secctx_header", "linux/fuse.h")]
public struct fuse_secctx_header
{
    public uint size;
    public uint nr_secctx;
}

[CStruct("struct fuse_ext_header", "linux/fuse.h", Since = "6.2")]
public struct fuse_ext_header
{
    public uint size;
    public uint type;
}

/// <summary>The extension <see cref="fuse_ext_type.FUSE_EXT_GROUPS"/>, followed by <see cref="nr_groups"/> group ids.</summary>
[CStruct("struct fuse_supp_groups", "linux/fuse.h", Since = "6.3")]
public struct fuse_supp_groups
{
    public uint nr_groups;
}

/// <summary>A directory entry, followed by <see cref="namelen"/> bytes of name and padding to 8 bytes.</summary>
[CStruct("struct fuse_dirent", "linux/fuse.h")]
public struct fuse_dirent
{
    public ulong ino;
    public ulong off;
    public uint namelen;
    public uint type;
}

/// <summary>A directory entry with its look-up, followed by the name as in <see cref="fuse_dirent"/>.</summary>
[CStruct("struct fuse_direntplus", "linux/fuse.h")]
public struct fuse_direntplus
{
    public fuse_entry_out entry_out;
    public fuse_dirent dirent;
}
