using System.Runtime.CompilerServices;
using Dpu.Fuse.Wire;
using Dpu.Linux;
using static Dpu.Linux.LibC;

namespace Dpu.Fuse;

// Names to nodes.
public sealed unsafe partial class PassthroughFileSystem
{
    private static readonly int PathFlags = fcntl.O_PATH | fcntl.O_NOFOLLOW | fcntl.O_CLOEXEC;

    /// <inheritdoc/>
    [SkipLocalsInit]
    public override int Lookup(in FuseCaller caller, ulong parent, ReadOnlySpan<byte> name, out fuse_entry_out entry)
    {
        entry = default;
        byte* text = stackalloc byte[FileName.MaxSize];
        int error = FileName.Copy(name, text);
        if (error < 0)
        {
            return error;
        }

        using NodePin directory = _nodes.Pin(parent);
        error = Begin(caller, directory);
        if (error >= 0 && IsHidden(directory, text))
        {
            error = -errno.ENOENT;
        }

        return error < 0 ? error : Enter(directory.Descriptor, text, out entry, parent);
    }

    /// <inheritdoc/>
    public override void Forget(ulong node, ulong count) => _nodes.Forget(node, count);

    /// <summary>Opens a name of a directory, checks what was found, and takes one reference on its node.</summary>
    /// <param name="directory">The directory's descriptor.</param>
    /// <param name="name">The name, ended by NUL.</param>
    /// <param name="entry">The node.</param>
    /// <param name="parent">The directory's node, where the file may be opened again by its name there.</param>
    private int Enter(int directory, byte* name, out fuse_entry_out entry, ulong parent = 0)
    {
        int found = Result(openat(directory, name, PathFlags, 0));
        if (found >= 0)
        {
            return Adopt(found, directory, out entry, parent, name);
        }

        entry = default;
        return NodeLimit(found);
    }

    /// <summary>Makes an O_PATH descriptor a node with one reference, or gives the known node one more; it owns the descriptor.</summary>
    private int Adopt(int found, int directory, out fuse_entry_out entry, ulong parent = 0, byte* name = null)
    {
        entry = default;
        int error = StatusOf(found, out statx status);
        if (error == 0)
        {
            error = CheckFound(found, directory);
        }

        if (error < 0)
        {
            _ = close(found);
            return error;
        }

        NodeRecord record = RecordOf(found, status);
        record.Tree = TreeOf(found, record.Device);
        if (parent != 0 && record.Tree == TreeKind.Processes)
        {
            // procfs has no handles. Its inode numbers are of the inode in memory: what has another one is another file.
            record.Parent = parent;
            record.Handle = FileHandle.FromName(System.Runtime.InteropServices.MemoryMarshal.CreateReadOnlySpanFromNullTerminated(name));
        }

        using NodePin node = _nodes.Intern(record, out bool known);
        if (!node.Valid)
        {
            _ = close(found);
            return -errno.ENFILE;
        }

        if (known)
        {
            Refresh(node, found);
        }

        Fill(node, status, out entry);
        return 0;
    }

    // After it was opened: so no rename between the check of the directory and the look-up leads outside. A path that is
    // too long to be told is inside where its directory is, which can be climbed.
    private int CheckFound(int found, int directory)
    {
        int error = _boundary.Check(found);
        return error == -errno.ENAMETOOLONG ? _boundary.Check(directory) : error;
    }

    // The same file under a name inside the export, while the descriptor that the node has may be of a name that was moved
    // out: dup3 exchanges it under the feet of every user at once. A directory has one name only.
    private void Refresh(in NodePin node, int found)
    {
        if (node.Type != stat.S_IFDIR && _boundary.Check(node.Descriptor) < 0)
        {
            _ = dup3(found, node.Descriptor, fcntl.O_CLOEXEC);
        }

        _ = close(found);
    }

    private int NodeLimit(int error)
    {
        if (error is -errno.EMFILE or -errno.ENFILE)
        {
            _nodes.CountRefusal();
            return -errno.ENFILE;
        }

        return error;
    }

    private void Fill(in NodePin node, in statx status, out fuse_entry_out entry)
    {
        entry = new fuse_entry_out { nodeid = node.Id, generation = _nodes[node.Index].Identity is not 0 and ulong identity ? identity : node.Id >> 32 };
        if (node.Tree == TreeKind.Ordinary)
        {
            entry.attr_valid = _attributeTimeout.Seconds;
            entry.attr_valid_nsec = _attributeTimeout.Nanoseconds;
        }

        // Whether a socket's name leads to a listener may change at any time; that a FIFO is opened shows in its look-up only.
        if (node.Type is not (stat.S_IFSOCK or stat.S_IFIFO) && node.Tree == TreeKind.Ordinary)
        {
            entry.entry_valid = _entryTimeout.Seconds;
            entry.entry_valid_nsec = _entryTimeout.Nanoseconds;
        }

        Fill(status, out entry.attr);
    }

    internal static NodeRecord RecordOf(int descriptor, in statx status) => new()
    {
        Descriptor = descriptor,
        Device = DeviceOf(status),
        Inode = status.stx_ino,
        Mount = status.stx_mnt_id,
        Type = status.stx_mode & stat.S_IFMT,
        IsMountRoot = (status.stx_attributes & stat.STATX_ATTR_MOUNT_ROOT) != 0,
    };

    private static ulong DeviceOf(in statx status) => ((ulong)status.stx_dev_major << 32) | status.stx_dev_minor;
}
