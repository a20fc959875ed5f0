using System.Runtime.InteropServices;
using Dpu.Fuse.Tests.Support;
using Dpu.Fuse.Wire;
using static Dpu.Fuse.Wire.fuse_opcode;

namespace Dpu.Fuse.Tests.Dispatcher;

/// <summary>A valid request of an opcode, the call that it must become, and the payload of its reply.</summary>
/// <param name="Request">The message.</param>
/// <param name="Call">What the file system must see, without the caller.</param>
/// <param name="PayloadSize">The reply's payload, in bytes.</param>
/// <param name="Returns">What the file system returns.</param>
internal sealed record DecodingCase(byte[] Request, string Call, int PayloadSize, int Returns = 0);

/// <summary>One case an opcode and form.</summary>
internal static class DecodingCases
{
    internal static readonly int EntrySize = Marshal.SizeOf<fuse_entry_out>();
    internal static readonly int AttrSize = Marshal.SizeOf<fuse_attr_out>();
    internal static readonly int OpenSize = Marshal.SizeOf<fuse_open_out>();

    private const ulong Node = 9;

    internal static IReadOnlyDictionary<string, DecodingCase> All { get; } = new Dictionary<string, DecodingCase>
    {
        ["LOOKUP"] = new(New(FUSE_LOOKUP).Name("file").Build(), "Lookup 9 file", EntrySize),
        ["LOOKUP of the longest name"] = new(New(FUSE_LOOKUP).Name(new string('n', 255)).Build(), $"Lookup 9 {new string('n', 255)}", EntrySize),
        ["LOOKUP of three dots"] = new(New(FUSE_LOOKUP).Name("...").Build(), "Lookup 9 ...", EntrySize),
        ["GETATTR"] = new(New(FUSE_GETATTR).Struct(new fuse_getattr_in { getattr_flags = 1, fh = 5 }).Build(), "GetAttr 9 1 5", AttrSize),
        ["STATX"] = new(New(FUSE_STATX).Struct(new fuse_statx_in { getattr_flags = 1, fh = 5, sx_mask = 0xfff }).Build(), "StatX 9 1 5 fff", Marshal.SizeOf<fuse_statx_out>()),
        ["SETATTR"] = new(New(FUSE_SETATTR).Struct(new fuse_setattr_in { valid = 9, size = 4096, mode = 420 }).Build(), "SetAttr 9 9 4096 420", AttrSize),
        ["READLINK"] = new(New(FUSE_READLINK).Build(), "ReadLink 9 4095", 6, 6),
        ["SYMLINK"] = new(New(FUSE_SYMLINK).Name("link").Name("../to/.").Build(), "SymLink 9 link ../to/.", EntrySize),
        ["MKNOD"] = new(New(FUSE_MKNOD).Struct(new fuse_mknod_in { mode = 1, rdev = 2, umask = 3 }).Name("node").Build(), "MkNod 9 node 1 2 3", EntrySize),
        ["MKDIR"] = new(New(FUSE_MKDIR).Struct(new fuse_mkdir_in { mode = 493, umask = 18 }).Name("dir").Build(), "MkDir 9 dir 493 18", EntrySize),
        ["UNLINK"] = new(New(FUSE_UNLINK).Name("gone").Build(), "Unlink 9 gone", 0),
        ["RMDIR"] = new(New(FUSE_RMDIR).Name("gone").Build(), "RmDir 9 gone", 0),
        ["RENAME"] = new(New(FUSE_RENAME).Struct(new fuse_rename_in { newdir = 11 }).Name("a").Name("b").Build(), "Rename 9 a 11 b 0", 0),
        ["RENAME2"] = new(New(FUSE_RENAME2).Struct(new fuse_rename2_in { newdir = 11, flags = 2 }).Name("a").Name("b").Build(), "Rename 9 a 11 b 2", 0),
        ["LINK"] = new(New(FUSE_LINK).Struct(new fuse_link_in { oldnodeid = 12 }).Name("b").Build(), "Link 12 9 b", EntrySize),
        ["OPEN"] = new(New(FUSE_OPEN).Struct(new fuse_open_in { flags = 2 }).Build(), "Open 9 2", OpenSize),
        ["OPEN with creating flags"] = new(New(FUSE_OPEN).Struct(new fuse_open_in { flags = 0x400000 | 0x200000 | 0x40 | 0x80 | 0x100 | 0x401 }).Build(), "Open 9 401", OpenSize),
        ["CREATE"] = new(New(FUSE_CREATE).Struct(new fuse_create_in { flags = 0x42, mode = 420, umask = 18 }).Name("new").Build(), "Create 9 new 42 420 18", EntrySize + OpenSize),
        ["TMPFILE"] = new(New(FUSE_TMPFILE).Struct(new fuse_create_in { flags = 2, mode = 384 }).Name("/").Build(), "TmpFile 9 2 384", EntrySize + OpenSize),
        ["READ"] = new(New(FUSE_READ).Struct(new fuse_read_in { fh = 7, offset = 1L << 40, size = 100, flags = 2 }).Build(), $"Read 9 7 {1L << 40} 100 2 1", 60, 60),
        ["READ of the most"] = new(New(FUSE_READ).Struct(new fuse_read_in { fh = 7, size = FuseLimits.MaxWrite }).Build(), $"Read 9 7 0 {FuseLimits.MaxWrite} 0 1", (int)FuseLimits.MaxWrite, (int)FuseLimits.MaxWrite),
        ["WRITE"] = new(New(FUSE_WRITE).Struct(new fuse_write_in { fh = 7, offset = 3, size = 4, flags = 1 }).Bytes("data"u8.ToArray()).Build(), "Write 9 7 3 4 1 data 1", 8, 4),
        ["STATFS"] = new(New(FUSE_STATFS).Build(), "StatFs 9", Marshal.SizeOf<fuse_statfs_out>()),
        ["RELEASE"] = new(New(FUSE_RELEASE).Struct(new fuse_release_in { fh = 7, flags = 2, release_flags = 1 }).Build(), "Release 9 7 2 1", 0),
        ["FSYNC"] = new(New(FUSE_FSYNC).Struct(new fuse_fsync_in { fh = 7, fsync_flags = 1 }).Build(), "FSync 9 7 1", 0),
        ["FLUSH"] = new(New(FUSE_FLUSH).Struct(new fuse_flush_in { fh = 7, lock_owner = 8 }).Build(), "Flush 9 7 8", 0),
        ["SETXATTR"] = new(New(FUSE_SETXATTR).Struct(new fuse_setxattr_in { size = 3, flags = 1, setxattr_flags = 1 }).Name("user.a/b").Bytes("abc"u8.ToArray()).Build(), "SetXAttr 9 user.a/b abc 1 1", 0),
        ["SETXATTR of nothing"] = new(New(FUSE_SETXATTR).Struct(default(fuse_setxattr_in)).Name("user.a").Build(), "SetXAttr 9 user.a  0 0", 0),
        ["GETXATTR"] = new(New(FUSE_GETXATTR).Struct(new fuse_getxattr_in { size = 10 }).Name("user.a").Build(), "GetXAttr 9 user.a 10", 7, 7),
        ["GETXATTR's size"] = new(New(FUSE_GETXATTR).Struct(new fuse_getxattr_in()).Name("user.a").Build(), "GetXAttr 9 user.a 0", 8, 70000),
        ["LISTXATTR"] = new(New(FUSE_LISTXATTR).Struct(new fuse_getxattr_in { size = 10 }).Build(), "ListXAttr 9 10", 10, 10),
        ["LISTXATTR of too much"] = new(New(FUSE_LISTXATTR).Struct(new fuse_getxattr_in { size = uint.MaxValue }).Build(), "ListXAttr 9 65536", 10, 10),
        ["REMOVEXATTR"] = new(New(FUSE_REMOVEXATTR).Name("user.a").Build(), "RemoveXAttr 9 user.a", 0),
        ["OPENDIR"] = new(New(FUSE_OPENDIR).Struct(new fuse_open_in()).Build(), "OpenDir 9 0", OpenSize),
        ["READDIR"] = new(New(FUSE_READDIR).Struct(new fuse_read_in { fh = 7, offset = 3, size = 4096 }).Build(), "ReadDir 9 7 3 4096 False", 3 * 32),
        ["READDIR into little"] = new(New(FUSE_READDIR).Struct(new fuse_read_in { fh = 7, size = 70 }).Build(), "ReadDir 9 7 0 70 False", 2 * 32),
        ["READDIRPLUS"] = new(New(FUSE_READDIRPLUS).Struct(new fuse_read_in { fh = 7, offset = 3, size = 4096 }).Build(), "ReadDir 9 7 3 4096 True", 3 * (32 + EntrySize)),
        ["RELEASEDIR"] = new(New(FUSE_RELEASEDIR).Struct(new fuse_release_in { fh = 7 }).Build(), "ReleaseDir 9 7", 0),
        ["FSYNCDIR"] = new(New(FUSE_FSYNCDIR).Struct(new fuse_fsync_in { fh = 7 }).Build(), "FSyncDir 9 7 0", 0),
        ["ACCESS"] = new(New(FUSE_ACCESS).Struct(new fuse_access_in { mask = 4 }).Build(), "Access 9 4", 0),
        ["GETLK"] = new(New(FUSE_GETLK).Struct(new fuse_lk_in { fh = 7, lk = new fuse_file_lock { start = 1, end = 2 } }).Build(), "GetLk 9 7 1 2", Marshal.SizeOf<fuse_lk_out>()),
        ["SETLK"] = new(New(FUSE_SETLK).Struct(new fuse_lk_in { fh = 7, lk = new fuse_file_lock { type = 1 } }).Build(), "SetLk 9 7 1 False", 0),
        ["SETLKW"] = new(New(FUSE_SETLKW).Struct(new fuse_lk_in { fh = 7, lk = new fuse_file_lock { type = 1 } }).Build(), "SetLk 9 7 1 True", 0),
        ["IOCTL"] = new(New(FUSE_IOCTL).Struct(new fuse_ioctl_in { cmd = 21, in_size = 2, out_size = 9 }).Bytes("in"u8.ToArray()).Build(), "Ioctl 9 21 in 9", Marshal.SizeOf<fuse_ioctl_out>() + 9, 9),
        ["POLL"] = new(New(FUSE_POLL).Struct(new fuse_poll_in { fh = 7, kh = 8, flags = 1, events = 3 }).Build(), "Poll 9 7 8 1 3", Marshal.SizeOf<fuse_poll_out>()),
        ["FALLOCATE"] = new(New(FUSE_FALLOCATE).Struct(new fuse_fallocate_in { offset = 1, length = 2, mode = 3 }).Build(), "FAllocate 9 1 2 3", 0),
        ["LSEEK"] = new(New(FUSE_LSEEK).Struct(new fuse_lseek_in { fh = 7, offset = 10, whence = 4 }).Build(), "LSeek 9 7 10 4", 8),
        ["COPY_FILE_RANGE"] = new(New(FUSE_COPY_FILE_RANGE).Struct(new fuse_copy_file_range_in { nodeid_out = 13, len = 100 }).Build(), "CopyFileRange 9 13 100", 8, 100),
        ["COPY_FILE_RANGE of too much"] = new(New(FUSE_COPY_FILE_RANGE).Struct(new fuse_copy_file_range_in { nodeid_out = 13, len = ulong.MaxValue }).Build(), "CopyFileRange 9 13 2147479552", 8, 100),
        ["SYNCFS"] = new(New(FUSE_SYNCFS).Struct(new fuse_syncfs_in()).Build(), "SyncFs 9", 0),
    };

    /// <summary>Requests without a reply, and what they must become.</summary>
    internal static IReadOnlyDictionary<string, (byte[] Request, string[] Calls)> Unanswered { get; } = new Dictionary<string, (byte[], string[])>
    {
        ["FORGET"] = (New(FUSE_FORGET).Struct(new fuse_forget_in { nlookup = 3 }).Build(), ["Forget 9 3"]),
        ["BATCH_FORGET"] = (New(FUSE_BATCH_FORGET).Struct(new fuse_batch_forget_in { count = 2 })
            .Struct(new fuse_forget_one { nodeid = 5, nlookup = 1 }).Struct(new fuse_forget_one { nodeid = 6, nlookup = 2 }).Build(), ["Forget 5 1", "Forget 6 2"]),
        ["BATCH_FORGET of more than it carries"] = (New(FUSE_BATCH_FORGET).Struct(new fuse_batch_forget_in { count = 2 })
            .Struct(new fuse_forget_one { nodeid = 5, nlookup = 1 }).Build(), []),
        ["INTERRUPT"] = (New(FUSE_INTERRUPT).Struct(new fuse_interrupt_in { unique = 88 }).Build(), ["Interrupt 88"]),
        ["NOTIFY_REPLY"] = (New(FUSE_NOTIFY_REPLY).Bytes(new byte[32]).Build(), []),
        ["FORGET cut short"] = (New(FUSE_FORGET).Bytes(1, 2, 3).Build(), []),
    };

    internal static RequestBuilder New(fuse_opcode opcode) => new(opcode, Node);
}
