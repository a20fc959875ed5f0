using System.Runtime.CompilerServices;
using Dpu.Fuse.Wire;
using Dpu.Linux;
using static Dpu.Fuse.Wire.fuse_opcode;

namespace Dpu.Fuse;

// Which opcode is decoded where, and what its reply takes at least.
public sealed unsafe partial class FuseDispatcher
{
    private int Call(ref FuseRequest request, FuseReply reply, FuseNegotiation negotiation) => request.Opcode switch
    {
        FUSE_LOOKUP => Lookup(ref request, reply),
        FUSE_FORGET => Forget(ref request),
        FUSE_BATCH_FORGET => BatchForget(ref request),
        FUSE_GETATTR => GetAttr(ref request, reply),
        FUSE_STATX => StatX(ref request, reply),
        FUSE_SETATTR => SetAttr(ref request, reply),
        FUSE_READLINK => ReadLink(ref request, reply),
        FUSE_SYMLINK => SymLink(ref request, reply),
        FUSE_MKNOD => MkNod(ref request, reply),
        FUSE_MKDIR => MkDir(ref request, reply),
        FUSE_UNLINK => Unlink(ref request),
        FUSE_RMDIR => RmDir(ref request),
        FUSE_RENAME => Rename(ref request),
        FUSE_RENAME2 => Rename2(ref request),
        FUSE_LINK => Link(ref request, reply),
        FUSE_OPEN => negotiation.HasZeroMessageOpen ? -errno.ENOSYS : Open(ref request, reply),
        FUSE_CREATE => Create(ref request, reply),
        FUSE_TMPFILE => TmpFile(ref request, reply),
        FUSE_READ => Read(ref request, reply),
        FUSE_WRITE => Write(ref request, reply, negotiation),
        FUSE_FLUSH => negotiation.HasZeroMessageOpen ? -errno.ENOSYS : Flush(ref request),
        FUSE_RELEASE => Release(ref request),
        FUSE_FSYNC => FSync(ref request),
        FUSE_FALLOCATE => FAllocate(ref request),
        FUSE_LSEEK => LSeek(ref request, reply),
        FUSE_COPY_FILE_RANGE => CopyFileRange(ref request, reply),
        FUSE_IOCTL => Ioctl(ref request, reply),
        FUSE_POLL => Poll(ref request, reply),
        FUSE_OPENDIR => OpenDir(ref request, reply),
        FUSE_READDIR => ReadDir(ref request, reply, plus: false),
        FUSE_READDIRPLUS => ReadDir(ref request, reply, plus: true),
        FUSE_RELEASEDIR => ReleaseDir(ref request),
        FUSE_FSYNCDIR => FSyncDir(ref request),
        FUSE_STATFS => StatFs(ref request, reply),
        FUSE_SYNCFS => StatusOf(_fileSystem.SyncFs(request.Caller, request.Node)),
        FUSE_ACCESS => Access(ref request),
        FUSE_SETXATTR => SetXAttr(ref request, negotiation),
        FUSE_GETXATTR => GetXAttr(ref request, reply),
        FUSE_LISTXATTR => ListXAttr(ref request, reply),
        FUSE_REMOVEXATTR => RemoveXAttr(ref request),
        FUSE_GETLK => GetLk(ref request, reply),
        FUSE_SETLK => SetLk(ref request, wait: false),
        FUSE_SETLKW => SetLk(ref request, wait: true),
        FUSE_INTERRUPT => Interrupt(ref request),
        FUSE_DESTROY => Destroy(),

        // BMAP, DAX mappings and what later kernels bring: the kernel does without, and does not ask again.
        _ => -errno.ENOSYS,
    };

    /// <summary>The payload that a successful reply has in any case: less room is an error before anything happens.</summary>
    private static int FixedReplySize(fuse_opcode opcode) => opcode switch
    {
        FUSE_LOOKUP or FUSE_SYMLINK or FUSE_MKNOD or FUSE_MKDIR or FUSE_LINK => Unsafe.SizeOf<fuse_entry_out>(),
        FUSE_GETATTR or FUSE_SETATTR => Unsafe.SizeOf<fuse_attr_out>(),
        FUSE_STATX => Unsafe.SizeOf<fuse_statx_out>(),
        FUSE_CREATE or FUSE_TMPFILE => Unsafe.SizeOf<fuse_entry_out>() + Unsafe.SizeOf<fuse_open_out>(),
        FUSE_OPEN or FUSE_OPENDIR => Unsafe.SizeOf<fuse_open_out>(),
        FUSE_WRITE or FUSE_COPY_FILE_RANGE => Unsafe.SizeOf<fuse_write_out>(),
        FUSE_STATFS => Unsafe.SizeOf<fuse_statfs_out>(),
        FUSE_GETLK => Unsafe.SizeOf<fuse_lk_out>(),
        FUSE_LSEEK => Unsafe.SizeOf<fuse_lseek_out>(),
        FUSE_IOCTL => Unsafe.SizeOf<fuse_ioctl_out>(),
        FUSE_POLL => Unsafe.SizeOf<fuse_poll_out>(),
        _ => 0,
    };
}
