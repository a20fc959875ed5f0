// FUSE wire structs (those declared later in the header: FuseStructs.Later.cs). Names, order and types are those of linux/fuse.h, so that whoever knows the header knows these;
// tests/Dpu.Linux.Tests compiles static asserts of every size and offset against it for x86-64 and arm64.
#pragma warning disable CA1707, CA1051, CA1815, CS1591, IDE1006, CS8981, CA1716

using Dpu.Linux;

namespace Dpu.Fuse.Wire;

[CStruct("struct fuse_attr", "linux/fuse.h")]
public struct fuse_attr
{
    public ulong ino;
    public ulong size;
    public ulong blocks;
    public ulong atime;
    public ulong mtime;
    public ulong ctime;
    public uint atimensec;
    public uint mtimensec;
    public uint ctimensec;
    public uint mode;
    public uint nlink;
    public uint uid;
    public uint gid;
    public uint rdev;
    public uint blksize;
    public uint flags;
}

[CStruct("struct fuse_kstatfs", "linux/fuse.h")]
public unsafe struct fuse_kstatfs
{
    public ulong blocks;
    public ulong bfree;
    public ulong bavail;
    public ulong files;
    public ulong ffree;
    public uint bsize;
    public uint namelen;
    public uint frsize;
    public uint padding;
    public fixed uint spare[6];
}

[CStruct("struct fuse_file_lock", "linux/fuse.h")]
public struct fuse_file_lock
{
    public ulong start;
    public ulong end;
    public uint type;
    public uint pid;
}

[CStruct("struct fuse_entry_out", "linux/fuse.h")]
public struct fuse_entry_out
{
    public ulong nodeid;
    public ulong generation;
    public ulong entry_valid;
    public ulong attr_valid;
    public uint entry_valid_nsec;
    public uint attr_valid_nsec;
    public fuse_attr attr;
}

[CStruct("struct fuse_forget_in", "linux/fuse.h")]
public struct fuse_forget_in
{
    public ulong nlookup;
}

[CStruct("struct fuse_forget_one", "linux/fuse.h")]
public struct fuse_forget_one
{
    public ulong nodeid;
    public ulong nlookup;
}

[CStruct("struct fuse_batch_forget_in", "linux/fuse.h")]
public struct fuse_batch_forget_in
{
    public uint count;
    public uint dummy;
}

[CStruct("struct fuse_getattr_in", "linux/fuse.h")]
public struct fuse_getattr_in
{
    public uint getattr_flags;
    public uint dummy;
    public ulong fh;
}

[CStruct("struct fuse_attr_out", "linux/fuse.h")]
public struct fuse_attr_out
{
    public ulong attr_valid;
    public uint attr_valid_nsec;
    public uint dummy;
    public fuse_attr attr;
}

[CStruct("struct fuse_mknod_in", "linux/fuse.h")]
public struct fuse_mknod_in
{
    public uint mode;
    public uint rdev;
    public uint umask;
    public uint padding;
}

[CStruct("struct fuse_mkdir_in", "linux/fuse.h")]
public struct fuse_mkdir_in
{
    public uint mode;
    public uint umask;
}

[CStruct("struct fuse_rename_in", "linux/fuse.h")]
public struct fuse_rename_in
{
    public ulong newdir;
}

[CStruct("struct fuse_rename2_in", "linux/fuse.h")]
public struct fuse_rename2_in
{
    public ulong newdir;
    public uint flags;
    public uint padding;
}

[CStruct("struct fuse_link_in", "linux/fuse.h")]
public struct fuse_link_in
{
    public ulong oldnodeid;
}

[CStruct("struct fuse_setattr_in", "linux/fuse.h")]
public struct fuse_setattr_in
{
    public uint valid;
    public uint padding;
    public ulong fh;
    public ulong size;
    public ulong lock_owner;
    public ulong atime;
    public ulong mtime;
    public ulong ctime;
    public uint atimensec;
    public uint mtimensec;
    public uint ctimensec;
    public uint mode;
    public uint unused4;
    public uint uid;
    public uint gid;
    public uint unused5;
}

[CStruct("struct fuse_open_in", "linux/fuse.h")]
public struct fuse_open_in
{
    public uint flags;
    public uint open_flags;
}

[CStruct("struct fuse_create_in", "linux/fuse.h")]
public struct fuse_create_in
{
    public uint flags;
    public uint mode;
    public uint umask;
    public uint open_flags;
}

[CStruct("struct fuse_open_out", "linux/fuse.h")]
public struct fuse_open_out
{
    public ulong fh;
    public uint open_flags;
    [CName(Since = "6.9")]
    public int backing_id;
}

[CStruct("struct fuse_release_in", "linux/fuse.h")]
public struct fuse_release_in
{
    public ulong fh;
    public uint flags;
    public uint release_flags;
    public ulong lock_owner;
}

[CStruct("struct fuse_flush_in", "linux/fuse.h")]
public struct fuse_flush_in
{
    public ulong fh;
    public uint unused;
    public uint padding;
    public ulong lock_owner;
}

[CStruct("struct fuse_read_in", "linux/fuse.h")]
public struct fuse_read_in
{
    public ulong fh;
    public ulong offset;
    public uint size;
    public uint read_flags;
    public ulong lock_owner;
    public uint flags;
    public uint padding;
}

[CStruct("struct fuse_write_in", "linux/fuse.h")]
public struct fuse_write_in
{
    public ulong fh;
    public ulong offset;
    public uint size;
    public uint write_flags;
    public ulong lock_owner;
    public uint flags;
    public uint padding;
}

[CStruct("struct fuse_write_out", "linux/fuse.h")]
public struct fuse_write_out
{
    public uint size;
    public uint padding;
}

[CStruct("struct fuse_statfs_out", "linux/fuse.h")]
public struct fuse_statfs_out
{
    public fuse_kstatfs st;
}

[CStruct("struct fuse_fsync_in", "linux/fuse.h")]
public struct fuse_fsync_in
{
    public ulong fh;
    public uint fsync_flags;
    public uint padding;
}

[CStruct("struct fuse_setxattr_in", "linux/fuse.h")]
public struct fuse_setxattr_in
{
    public uint size;
    public uint flags;
    public uint setxattr_flags;
    public uint padding;
}

[CStruct("struct fuse_getxattr_in", "linux/fuse.h")]
public struct fuse_getxattr_in
{
    public uint size;
    public uint padding;
}

[CStruct("struct fuse_getxattr_out", "linux/fuse.h")]
public struct fuse_getxattr_out
{
    public uint size;
    public uint padding;
}

[CStruct("struct fuse_lk_in", "linux/fuse.h")]
public struct fuse_lk_in
{
    public ulong fh;
    public ulong owner;
    public fuse_file_lock lk;
    public uint lk_flags;
    public uint padding;
}

[CStruct("struct fuse_lk_out", "linux/fuse.h")]
public struct fuse_lk_out
{
    public fuse_file_lock lk;
}

[CStruct("struct fuse_access_in", "linux/fuse.h")]
public struct fuse_access_in
{
    public uint mask;
    public uint padding;
}

[CStruct("struct fuse_init_in", "linux/fuse.h")]
public unsafe struct fuse_init_in
{
    public uint major;
    public uint minor;
    public uint max_readahead;
    public uint flags;
    public uint flags2;
    public fixed uint unused[11];
}

[CStruct("struct fuse_init_out", "linux/fuse.h")]
public unsafe struct fuse_init_out
{
    public uint major;
    public uint minor;
    public uint max_readahead;
    public uint flags;
    public ushort max_background;
    public ushort congestion_threshold;
    public uint max_write;
    public uint time_gran;
    public ushort max_pages;
    public ushort map_alignment;
    public uint flags2;
    [CName(Since = "6.9")]
    public uint max_stack_depth;
    [CName(Since = "6.9")]
    public fixed uint unused[6];
}
