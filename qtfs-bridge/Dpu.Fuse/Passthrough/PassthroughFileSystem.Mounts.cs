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
