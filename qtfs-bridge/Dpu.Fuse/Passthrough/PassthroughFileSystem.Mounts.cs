using System.Runtime.CompilerServices;
using Dpu.Linux;
using static Dpu.Linux.LibC;

namespace Dpu.Fuse;

// Mounts of this machine below the exported directory: they are part of it, come and go as here, and are held no longer
// than they are used.
public sealed unsafe partial class PassthroughFileSystem
{
    /// <summary>
    /// Lets go of mounts below the root that the peer has not used since the last call and has no file open on, so that
    /// they can be unmounted. Call it every second or so, on any thread that is the daemon itself.
    /// </summary>
    public void ReleaseIdleMounts()
    {
        if (_nodes.HoldsForeign)
        {
            _nodes.ShutIdleForeign(_handles.OpenedNodes());
        }
    }

    /// <summary>
    /// Lets go of a mount below the root that is about to be unmounted, whatever the peer's kernel remembers of it.
    /// </summary>
    /// <param name="mount">Its number, as statx tells it.</param>
    /// <returns>False where the peer has a file open there: it is busy.</returns>
    public bool TryLetGo(ulong mount) => _nodes.TryShutMount(mount, _handles.OpenedNodes());

    /// <summary>
    /// A descriptor of a node's file (O_PATH) for as long as the caller wants, and where it is below the root. For a thread that is the daemon itself.
    /// </summary>
    /// <param name="node">The node.</param>
    /// <param name="path">Room for its path from the root, without a slash before it; empty is the root.</param>
    /// <param name="length">The path's length.</param>
    /// <returns>The descriptor, the caller's, or a negated errno: ESTALE where it is not inside.</returns>
    public int OpenPlace(ulong node, Span<byte> path, out int length)
    {
        using NodePin file = _nodes.Pin(node);
        length = 0;
        int error = file.Valid ? _boundary.Check(file.Descriptor) : file.Error;
        error = error < 0 ? error : _boundary.RelativePath(file.Descriptor, path);
        length = Math.Max(0, error);
        return error < 0 ? error : Result(fcntl_int(file.Descriptor, fcntl.F_DUPFD_CLOEXEC, 0));
    }

    /// <summary>Opens (O_PATH) the directory that a path leads to from the root, without a symbolic link on the way; a descriptor or a negated errno.</summary>
    /// <param name="path">The path, without a slash before it; empty is the root.</param>
    [SkipLocalsInit]
    public int OpenDirectory(ReadOnlySpan<byte> path)
    {
        byte* name = stackalloc byte[limits.PATH_MAX + 1];
        if (!path.TryCopyTo(new Span<byte>(name, limits.PATH_MAX)))
        {
            return -errno.ENAMETOOLONG;
        }

        name[0] = path.IsEmpty ? (byte)'.' : name[0];
        name[Math.Max(1, path.Length)] = 0;
        using NodePin root = _nodes.Pin(NodeTable.RootId);
        var how = new open_how
        {
            flags = (ulong)(fcntl.O_PATH | fcntl.O_CLOEXEC | fcntl.O_DIRECTORY),
            resolve = openat2_h.RESOLVE_BENEATH | openat2_h.RESOLVE_NO_SYMLINKS | openat2_h.RESOLVE_NO_MAGICLINKS,
        };

        // SAFETY: a string with an end, and a struct, on this stack.
        return root.Valid ? Result(openat2(root.Descriptor, name, &how)) : root.Error;
    }

    /// <summary>
    /// The node of the directory in which something is mounted or was; 0 where the peer does not know it, or the place is
    /// outside of the root. For a thread that is the daemon itself.
    /// </summary>
    /// <param name="point">The mount point, an absolute path of this machine.</param>
    /// <param name="name">Its last component.</param>
    [SkipLocalsInit]
    public ulong FindMountPoint(ReadOnlySpan<byte> point, out ReadOnlySpan<byte> name)
    {
        name = default;
        byte* root = stackalloc byte[limits.PATH_MAX];
        byte* number = stackalloc byte[DescriptorPath.MaxSize];
        using NodePin held = _nodes.Pin(NodeTable.RootId);
        int slash = point.LastIndexOf((byte)'/');
        if (!held.Valid || slash < 0 || slash == point.Length - 1)
        {
            return 0;
        }

        // SAFETY: the kernel writes at most PATH_MAX bytes.
        int length = (int)Result(readlinkat(_descriptors, DescriptorPath.Format(held.Descriptor, number), root, limits.PATH_MAX));
        ReadOnlySpan<byte> parent = slash == 0 ? "/"u8 : point[..slash];
        if (length <= 0 || length == limits.PATH_MAX || !ExportBoundary.IsBelow(parent, new ReadOnlySpan<byte>(root, length)))
        {
            return 0;
        }

        fixed (byte* path = parent.ToNulTerminated())
        {
            int opened = Result(openat(fcntl.AT_FDCWD, path, fcntl.O_PATH | fcntl.O_NOFOLLOW | fcntl.O_DIRECTORY | fcntl.O_CLOEXEC, 0));
            name = point[(slash + 1)..];
            return opened < 0 ? 0 : _nodes.FindOpened(opened, out _);
        }
    }
}
