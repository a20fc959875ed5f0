using System.Runtime.CompilerServices;
using Dpu.Linux;
using static Dpu.Linux.LibC;

namespace Dpu.Fuse;

// What a peer has open on a machine that was rebooted, and found again by its names. Each is looked up and opened as whom the peer says, as any
// other, so that a peer gets nothing that it could not have by looking it up.
public sealed unsafe partial class PassthroughFileSystem
{
    /// <summary>Makes room for what the peer is about to return; does nothing for what there is.</summary>
    /// <param name="nodes">The highest index of its nodes.</param>
    /// <param name="handles">The highest index of its open files.</param>
    public void ExpectReturns(uint nodes, uint handles)
    {
        _nodes.Expect(nodes);
        _handles.Expect(handles);
    }

    /// <summary>The peer has nothing more to return.</summary>
    public void EndReturns()
    {
        _nodes.EndExpecting();
        _handles.EndExpecting();
    }

    /// <summary>
    /// Gives the file of a name the node id by which the peer knows it, if it is the same file: of the same file system, inode number and
    /// generation (<see cref="PassthroughOptions.Identities"/>).
    /// </summary>
    /// <param name="caller">Who looks it up.</param>
    /// <param name="id">The node id.</param>
    /// <param name="parent">The directory, which has returned before or is the root.</param>
    /// <param name="name">Its name there.</param>
    /// <param name="identity">What the entry's generation said.</param>
    /// <param name="lookups">The references that the peer has.</param>
    /// <returns>Whether the id is the file's.</returns>
    [SkipLocalsInit]
    public bool ReturnNode(in FuseCaller caller, ulong id, ulong parent, ReadOnlySpan<byte> name, ulong identity, ulong lookups)
    {
        byte* text = stackalloc byte[FileName.MaxSize];
        using NodePin directory = _nodes.Pin(parent);
        if (FileName.Copy(name, text) < 0 || Begin(caller, directory) < 0 || IsHidden(directory, text))
        {
            return false;
        }

        int found = Result(openat(directory.Descriptor, text, PathFlags, 0));
        if (found < 0)
        {
            return false;
        }

        bool taken = false;
        try
        {
            if (StatusOf(found, out statx status) < 0 || CheckFound(found, directory.Descriptor) < 0)
            {
                return false;
            }

            NodeRecord record = RecordOf(found, status);
            record.Tree = TreeOf(found, record.Device);
            return record.Tree == TreeKind.Ordinary && _nodes.TryReturn(id, record, identity, lookups, out taken);
        }
        finally
        {
            if (!taken)
            {
                _ = close(found);
            }
        }
    }

    /// <summary>Opens a node that has returned once more, as it was open: nothing is made or truncated.</summary>
    /// <param name="caller">Who had opened it.</param>
    /// <param name="handle">The handle that the peer knows.</param>
    /// <param name="node">The node.</param>
    /// <param name="flags">How it was opened, in the peer's numbers; those that count here are the same for all architectures.</param>
    /// <param name="isDirectory">Whether it is a directory.</param>
    /// <returns>Whether the handle is open.</returns>
    public bool ReturnHandle(in FuseCaller caller, ulong handle, ulong node, uint flags, bool isDirectory)
    {
        using (HandlePin present = _handles.Pin(handle, node, isDirectory))
        {
            if (present.Valid)
            {
                return true;
            }
        }

        flags &= ~(uint)(fcntl.O_TRUNC | fcntl.O_CREAT | fcntl.O_EXCL);
        using NodePin file = _nodes.Pin(node);
        if ((!isDirectory && CheckOpenFlags(flags) < 0) || Begin(caller, file) < 0 || file.Type != (isDirectory ? stat.S_IFDIR : stat.S_IFREG) || file.Tree != TreeKind.Ordinary)
        {
            return false;
        }

        int opened = isDirectory
            ? Reopen(file.Descriptor, fcntl.O_RDONLY | fcntl.O_DIRECTORY | fcntl.O_CLOEXEC)
            : ReopenFile(file.Descriptor, flags, kill: 0);
        if (opened < 0)
        {
            return false;
        }

        if (!_handles.TryReturn(handle, opened, node, isDirectory, file.Tree))
        {
            _ = close(opened);
            return false;
        }

        if (!isDirectory)
        {
            _nodes.CountHandle(node, 1);
        }

        return true;
    }
}
