using Dpu.Fuse.Wire;
using Dpu.Linux;

namespace Dpu.Fuse;

/// <summary>
/// What a FUSE server serves: one method an opcode, called by <see cref="FuseDispatcher"/> on the thread that received
/// the request; several threads call at once.
/// </summary>
/// <remarks>
/// Every method returns 0 or more for success and a negated errno for failure, as the wire does; none throws for what a
/// peer or a file can cause, and none allocates on the managed heap for each call. Names are bytes without '/' and NUL,
/// neither empty nor "." nor "..": the dispatcher has refused others. Node ids, file handles, sizes and offsets are the
/// peer's and must be checked here. The default of every method is <c>-ENOSYS</c>, which tells the kernel not to ask
/// again; so answer another errno where only one file does not support the call.
/// Structs and their meaning: <c>linux/fuse.h</c>, fuse(4).
/// </remarks>
public abstract unsafe class FuseFileSystem
{
    /// <summary>Not supported, by this file system at all: the kernel stops sending this opcode.</summary>
    protected const int NotImplemented = -errno.ENOSYS;

    /// <summary>
    /// The request must wait: its answer comes by the caller's <see cref="FuseCaller.Late"/>. Only where that is not null.
    /// </summary>
    public const int Pending = int.MinValue;

    /// <summary>
    /// Negotiates the connection. The dispatcher has filled <paramref name="reply"/> with the common version and the
    /// features that both the kernel and the dispatcher know; the file system removes what it does not want.
    /// </summary>
    public virtual int Init(in fuse_init_in request, ref fuse_init_out reply) => 0;

    /// <summary>The connection ends; every node and handle of it may go.</summary>
    public virtual void Destroy() { }

    /// <summary>Looks a name up and takes one reference on the node found.</summary>
    public virtual int Lookup(in FuseCaller caller, ulong parent, ReadOnlySpan<byte> name, out fuse_entry_out entry)
    {
        entry = default;
        return NotImplemented;
    }

    /// <summary>Gives <paramref name="count"/> references of a node back. Has no reply.</summary>
    public virtual void Forget(ulong node, ulong count) { }

    /// <summary>Reads attributes, of the handle where <c>FUSE_GETATTR_FH</c> is set.</summary>
    public virtual int GetAttr(in FuseCaller caller, ulong node, in fuse_getattr_in request, out fuse_attr_out reply)
    {
        reply = default;
        return NotImplemented;
    }

    /// <summary>Reads attributes as statx(2) does, the time of birth among them, where the kernel's caller asked for that (FUSE 7.39).</summary>
    public virtual int StatX(in FuseCaller caller, ulong node, in fuse_statx_in request, out fuse_statx_out reply)
    {
        reply = default;
        return NotImplemented;
    }

    /// <summary>Changes the attributes named by <c>valid</c> and returns all.</summary>
    public virtual int SetAttr(in FuseCaller caller, ulong node, in fuse_setattr_in request, out fuse_attr_out reply)
    {
        reply = default;
        return NotImplemented;
    }

    /// <summary>Reads a symbolic link into <paramref name="target"/>; returns the number of bytes.</summary>
    public virtual int ReadLink(in FuseCaller caller, ulong node, Span<byte> target) => NotImplemented;

    /// <summary>Makes a symbolic link; <paramref name="target"/> is any bytes without NUL.</summary>
    public virtual int SymLink(in FuseCaller caller, ulong parent, ReadOnlySpan<byte> name, ReadOnlySpan<byte> target, out fuse_entry_out entry)
    {
        entry = default;
        return NotImplemented;
    }

    /// <summary>Makes a node of any kind but a directory.</summary>
    public virtual int MkNod(in FuseCaller caller, ulong parent, ReadOnlySpan<byte> name, in fuse_mknod_in request, out fuse_entry_out entry)
    {
        entry = default;
        return NotImplemented;
    }

    /// <summary>Makes a directory.</summary>
    public virtual int MkDir(in FuseCaller caller, ulong parent, ReadOnlySpan<byte> name, in fuse_mkdir_in request, out fuse_entry_out entry)
    {
        entry = default;
        return NotImplemented;
    }

    /// <summary>Removes a name that is not a directory's.</summary>
    public virtual int Unlink(in FuseCaller caller, ulong parent, ReadOnlySpan<byte> name) => NotImplemented;

    /// <summary>Removes an empty directory.</summary>
    public virtual int RmDir(in FuseCaller caller, ulong parent, ReadOnlySpan<byte> name) => NotImplemented;

    /// <summary>Renames; <paramref name="flags"/> are those of renameat2(2).</summary>
    public virtual int Rename(in FuseCaller caller, ulong parent, ReadOnlySpan<byte> name, ulong newParent, ReadOnlySpan<byte> newName, uint flags) => NotImplemented;

    /// <summary>Makes another name of <paramref name="node"/> and takes one reference on it.</summary>
    public virtual int Link(in FuseCaller caller, ulong node, ulong newParent, ReadOnlySpan<byte> newName, out fuse_entry_out entry)
    {
        entry = default;
        return NotImplemented;
    }

    /// <summary>Opens a file; <c>flags</c> are the sender's open(2) flags without O_CREAT, O_EXCL and O_NOCTTY.</summary>
    public virtual int Open(in FuseCaller caller, ulong node, in fuse_open_in request, out fuse_open_out reply)
    {
        reply = default;
        return NotImplemented;
    }

    /// <summary>Creates and opens a file; takes one reference on the node.</summary>
    public virtual int Create(in FuseCaller caller, ulong parent, ReadOnlySpan<byte> name, in fuse_create_in request, out fuse_entry_out entry, out fuse_open_out reply)
    {
        entry = default;
        reply = default;
        return NotImplemented;
    }

    /// <summary>Creates and opens a file without a name (O_TMPFILE); takes one reference on the node.</summary>
    public virtual int TmpFile(in FuseCaller caller, ulong parent, in fuse_create_in request, out fuse_entry_out entry, out fuse_open_out reply)
    {
        entry = default;
        reply = default;
        return NotImplemented;
    }

    /// <summary>Reads at an offset into <paramref name="count"/> pieces of memory; returns the number of bytes, 0 at the end.</summary>
    /// <remarks>The pieces are one buffer for a daemon and guest memory for virtio-fs.</remarks>
    public virtual int Read(in FuseCaller caller, ulong node, in fuse_read_in request, iovec* destination, int count) => NotImplemented;

    /// <summary>Writes <paramref name="count"/> pieces of memory at an offset; returns the number of bytes.</summary>
    public virtual int Write(in FuseCaller caller, ulong node, in fuse_write_in request, iovec* source, int count) => NotImplemented;

    /// <summary>Reads the state of the file system.</summary>
    public virtual int StatFs(in FuseCaller caller, ulong node, out fuse_statfs_out reply)
    {
        reply = default;
        return NotImplemented;
    }

    /// <summary>Closes a file handle; its error is not seen by anyone.</summary>
    public virtual int Release(in FuseCaller caller, ulong node, in fuse_release_in request) => 0;

    /// <summary>Brings a file's data (with <c>FUSE_FSYNC_FDATASYNC</c>) or data and attributes to stable storage.</summary>
    public virtual int FSync(in FuseCaller caller, ulong node, in fuse_fsync_in request) => NotImplemented;

    /// <summary>Called at each close(2) of a descriptor of the handle.</summary>
    public virtual int Flush(in FuseCaller caller, ulong node, in fuse_flush_in request) => NotImplemented;

    /// <summary>Sets an extended attribute; <c>flags</c> are XATTR_CREATE or XATTR_REPLACE.</summary>
    public virtual int SetXAttr(in FuseCaller caller, ulong node, ReadOnlySpan<byte> name, ReadOnlySpan<byte> value, in fuse_setxattr_in request) => NotImplemented;

    /// <summary>Reads an extended attribute; an empty <paramref name="value"/> asks for the size. Returns bytes.</summary>
    public virtual int GetXAttr(in FuseCaller caller, ulong node, ReadOnlySpan<byte> name, Span<byte> value) => NotImplemented;

    /// <summary>Lists the names of extended attributes, each ended by NUL; an empty <paramref name="list"/> asks for the size. Returns bytes.</summary>
    public virtual int ListXAttr(in FuseCaller caller, ulong node, Span<byte> list) => NotImplemented;

    /// <summary>Removes an extended attribute.</summary>
    public virtual int RemoveXAttr(in FuseCaller caller, ulong node, ReadOnlySpan<byte> name) => NotImplemented;

    /// <summary>Opens a directory.</summary>
    public virtual int OpenDir(in FuseCaller caller, ulong node, in fuse_open_in request, out fuse_open_out reply)
    {
        reply = default;
        return NotImplemented;
    }

    /// <summary>Appends entries from position <c>offset</c> to <paramref name="entries"/> until it is full.</summary>
    /// <param name="caller">Who asks.</param>
    /// <param name="node">The directory.</param>
    /// <param name="request">Handle, position and size.</param>
    /// <param name="plus">Whether each entry is a <c>fuse_direntplus</c>, which takes a reference on its node.</param>
    /// <param name="entries">The reply, at most <c>size</c> bytes.</param>
    public virtual int ReadDir(in FuseCaller caller, ulong node, in fuse_read_in request, bool plus, ref FuseDirectoryWriter entries) => NotImplemented;

    /// <summary>Closes a directory handle.</summary>
    public virtual int ReleaseDir(in FuseCaller caller, ulong node, in fuse_release_in request) => 0;

    /// <summary>Brings a directory to stable storage.</summary>
    public virtual int FSyncDir(in FuseCaller caller, ulong node, in fuse_fsync_in request) => NotImplemented;

    /// <summary>Checks access(2); not called under <c>default_permissions</c>.</summary>
    public virtual int Access(in FuseCaller caller, ulong node, uint mask) => NotImplemented;

    /// <summary>Tests for a lock.</summary>
    public virtual int GetLk(in FuseCaller caller, ulong node, in fuse_lk_in request, out fuse_lk_out reply)
    {
        reply = default;
        return NotImplemented;
    }

    /// <summary>
    /// Takes or releases a POSIX or (<c>FUSE_LK_FLOCK</c>) BSD lock. Where <paramref name="wait"/> and another one has it:
    /// <see cref="Pending"/>, or EAGAIN where the caller has no <see cref="FuseCaller.Late"/>.
    /// </summary>
    public virtual int SetLk(in FuseCaller caller, ulong node, in fuse_lk_in request, bool wait) => NotImplemented;

    /// <summary>A process waits for <paramref name="unique"/> no longer. Has no reply.</summary>
    public virtual void Interrupt(ulong unique) { }

    /// <summary>An ioctl(2); <paramref name="output"/> receives the reply's data, whose size is returned.</summary>
    public virtual int Ioctl(in FuseCaller caller, ulong node, in fuse_ioctl_in request, ReadOnlySpan<byte> input, Span<byte> output, out int result)
    {
        result = 0;
        return NotImplemented;
    }

    /// <summary>Says which of poll(2)'s events are there now. Whoever waits asks again when it is woken (FUSE_NOTIFY_POLL).</summary>
    public virtual int Poll(in FuseCaller caller, ulong node, in fuse_poll_in request, out uint events)
    {
        events = 0;
        return NotImplemented;
    }

    /// <summary>Allocates or frees space; <c>mode</c> is fallocate(2)'s.</summary>
    public virtual int FAllocate(in FuseCaller caller, ulong node, in fuse_fallocate_in request) => NotImplemented;

    /// <summary>Finds data or a hole (SEEK_DATA, SEEK_HOLE).</summary>
    public virtual int LSeek(in FuseCaller caller, ulong node, in fuse_lseek_in request, out fuse_lseek_out reply)
    {
        reply = default;
        return NotImplemented;
    }

    /// <summary>Copies within the file system without the data crossing the wire; returns the number of bytes.</summary>
    public virtual int CopyFileRange(in FuseCaller caller, ulong node, in fuse_copy_file_range_in request) => NotImplemented;

    /// <summary>Brings the whole file system to stable storage.</summary>
    public virtual int SyncFs(in FuseCaller caller, ulong node) => NotImplemented;
}
