using System.Runtime.CompilerServices;
using Dpu.Fuse.Wire;
using Dpu.Linux;
using static Dpu.Linux.LibC;

namespace Dpu.Fuse;

// Files behind which the kernel is: procfs, sysfs, cgroups. docs/special-trees.md says what holds for them.
//
// 1. Nothing is kept: neither names and attributes nor contents, whatever the mount asks for. No event tells of a change.
// 2. Sizes are not believed: FOPEN_DIRECT_IO, so that each read(2) and write(2) of the peer is one here.
// 3. Every call runs as its caller, with root's capabilities for root only, also where the peer's kernel is trusted with
//    access checks: the kernel decides at each read and write who asks, beyond what modes say.
// 4. The daemon itself is not shown (ProcNames), and not moved (GroupWrites).
public sealed unsafe partial class PassthroughFileSystem
{
    /// <summary>Whether a node is behind the kernel's own trees, so that nothing of it may be kept; false where the id names none.</summary>
    public bool IsSpecial(ulong node) => _nodes.TreeOf(node) != TreeKind.Ordinary;

    /// <summary>Whether the export itself is the top of a procfs.</summary>
    public bool IsTopOfProcesses => IsTop(_nodes[(int)NodeTable.RootId].Tree, _nodes[(int)NodeTable.RootId].Inode);

    /// <summary>Whether the export itself is a part of the kernel's own trees.</summary>
    public bool RootIsSpecial => _rootTree != TreeKind.Ordinary;

    /// <inheritdoc/>
    /// <remarks>Of an ordinary export all files are always ready, as the peer's kernel knows by itself after the first answer.</remarks>
    public override int Poll(in FuseCaller caller, ulong node, in fuse_poll_in request, out uint events)
    {
        events = 0;
        if (!RootIsSpecial)
        {
            return NotImplemented;
        }

        using HandlePin file = _handles.Pin(request.fh, node, isDirectory: false);
        if (!file.Valid)
        {
            return -errno.EBADF;
        }

        // SAFETY: one pollfd, which lives on this stack during the call, which does not wait.
        var wanted = new pollfd { fd = file.Descriptor, events = (short)request.events };
        int error = Result(poll(&wanted, 1, 0));
        events = error < 0 ? 0u : (ushort)wanted.revents;
        return Math.Min(error, 0);
    }

    private static bool IsTop(TreeKind tree, ulong inode) => tree == TreeKind.Processes && inode == ProcNames.RootInode;

    /// <summary>The kind of a file that was found. A file system that is mounted inside of the export costs a system call.</summary>
    private TreeKind TreeOf(int descriptor, ulong device)
    {
        if (device == _rootDevice)
        {
            return _rootTree;
        }

        // One that cannot be told is taken for one where most is checked.
        return TreeKinds.Find(descriptor, out TreeKind tree) == 0 ? tree : TreeKind.Kernel;
    }

    private bool IsHidden(in NodePin directory, byte* name) =>
        directory.Tree == TreeKind.Processes
        && IsTop(directory.Tree, _nodes[directory.Index].Inode)
        && ProcNames.IsHidden(directory.Descriptor, System.Runtime.InteropServices.MemoryMarshal.CreateReadOnlySpanFromNullTerminated(name));

    private bool IsHidden(in HandlePin directory, ReadOnlySpan<byte> name) =>
        directory.Tree == TreeKind.Processes
        && StatusOf(directory.Descriptor, stat.STATX_INO, out statx status) == 0
        && IsTop(directory.Tree, status.stx_ino)
        && ProcNames.IsHidden(directory.Descriptor, name);

    private static IdentityUse UseFor(TreeKind tree, IdentityUse use) => tree == TreeKind.Ordinary ? use : IdentityUse.Checked;

    /// <summary>What the peer's kernel must know of an open file: no sizes, and where it cannot be sought.</summary>
    private static uint SpecialReplyFlags(int opened)
    {
        uint flags = FuseConstants.FOPEN_DIRECT_IO;
        if (lseek(opened, 0, unistd.SEEK_CUR) >= 0)
        {
            return flags;
        }

        // SAFETY: no byte is read or written; it is asked whether offsets are taken at all.
        iovec nothing = default;
        bool positioned = Result(preadv(opened, &nothing, 1, 0)) != -errno.ESPIPE && Result(pwritev(opened, &nothing, 1, 0)) != -errno.ESPIPE;
        return flags | (positioned ? FuseConstants.FOPEN_NONSEEKABLE : FuseConstants.FOPEN_STREAM);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private int ReadSpecial(in FuseCaller caller, in FilePin file, in fuse_read_in request, iovec* destination, int count)
    {
        int error = _identity.Assume(caller, IdentityUse.Checked);
        if (error < 0)
        {
            return error;
        }

        int read;
        do
        {
            read = (int)Result(preadv(file.Descriptor, destination, count, (long)request.offset));
            if (read == -errno.ESPIPE)
            {
                read = (int)Result(readv(file.Descriptor, destination, count));
            }
        }
        while (read == -errno.EINTR);

        return read;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private int WriteSpecial(in FuseCaller caller, in FilePin file, in fuse_write_in request, iovec* source, int count)
    {
        if (file.Tree == TreeKind.Groups && GroupWrites.MeansTheWriter(_descriptors, file.Descriptor, source, count))
        {
            // As for the number of no process: the peer's are none of this machine's.
            return -errno.ESRCH;
        }

        int error = _identity.Assume(caller, IdentityUse.Checked);
        if (error < 0)
        {
            return error;
        }

        // Without flags: O_APPEND and O_SYNC mean nothing to these files, and many of them refuse pwritev2(2). Not again
        // after EINTR either: what was written is a command.
        int written = (int)Result(pwritev(file.Descriptor, source, count, (long)request.offset));
        return written == -errno.ESPIPE ? (int)Result(writev(file.Descriptor, source, count)) : written;
    }
}
