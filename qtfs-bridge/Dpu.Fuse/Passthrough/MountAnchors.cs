using Dpu.Linux;
using static Dpu.Linux.LibC;

namespace Dpu.Fuse;

/// <summary>
/// A descriptor on each mount of an export, by which handles of its files are opened. A mount below the root is held as
/// long as nodes of it are, no longer. Thread-safe; asked only where a node is made, shut or opened again.
/// </summary>
/// <remarks>As it holds the mount, the number in <c>stx_mnt_id</c> belongs to no other one meanwhile.</remarks>
/// <param name="rootMount">The mount of the root, which is not counted.</param>
/// <param name="root">The root's descriptor.</param>
internal sealed unsafe class MountAnchors(ulong rootMount, int root)
{
    /// <summary>Mounts beyond these get no anchor, and their nodes keep their descriptors.</summary>
    private const int MaxMounts = 1024;

    private readonly Lock _lock = new();
    private readonly Dictionary<ulong, Anchor> _anchors = [];
    private readonly int _root = CanReopen(root) ? root : -1;

    /// <summary>
    /// Counts a node of a mount; false where the mount has no anchor yet and cannot get it from this file. May leave the
    /// thread as the agent.
    /// </summary>
    /// <param name="mount">The mount's number, as statx tells it.</param>
    /// <param name="descriptor">The node's file.</param>
    /// <param name="isDirectory">Whether it is a directory.</param>
    public bool TryReference(ulong mount, int descriptor, bool isDirectory)
    {
        if (mount == rootMount)
        {
            return true;
        }

        lock (_lock)
        {
            if (!_anchors.TryGetValue(mount, out Anchor anchor))
            {
                if (!isDirectory || _anchors.Count >= MaxMounts)
                {
                    return false;
                }

                int error = Make(descriptor, out anchor);
                if (error < 0)
                {
                    return false;
                }
            }

            _anchors[mount] = anchor with { Nodes = anchor.Nodes + 1 };
            return true;
        }
    }

    /// <summary>Gives back what <see cref="TryReference"/> counted.</summary>
    public void Return(ulong mount)
    {
        if (mount == rootMount)
        {
            return;
        }

        lock (_lock)
        {
            Anchor anchor = _anchors[mount];
            if (anchor.Nodes > 1)
            {
                _anchors[mount] = anchor with { Nodes = anchor.Nodes - 1 };
                return;
            }

            _anchors.Remove(mount);
            if (anchor.Descriptor >= 0)
            {
                _ = close(anchor.Descriptor);
            }
        }
    }

    /// <summary>The descriptor on a mount of which a node is counted; -1 where its files cannot be opened again.</summary>
    public int DescriptorOf(ulong mount)
    {
        if (mount == rootMount)
        {
            return _root;
        }

        lock (_lock)
        {
            return _anchors.TryGetValue(mount, out Anchor anchor) ? anchor.Descriptor : -1;
        }
    }

    private static int Make(int directory, out Anchor anchor)
    {
        anchor = new Anchor(-1, 0);
        int error = FuseWorkerThread.Current.BecomeAgent();
        if (error < 0)
        {
            return error;
        }

        // SAFETY: the text is "." and NUL. A file system that cannot be listed or has no handles is remembered as such.
        byte* self = stackalloc byte[2] { (byte)'.', 0 };
        int opened = Result(openat(directory, self, fcntl.O_RDONLY | fcntl.O_DIRECTORY | fcntl.O_CLOEXEC, 0));
        if (opened >= 0 && !CanReopen(opened))
        {
            _ = close(opened);
            opened = -1;
        }

        if (opened >= 0)
        {
            anchor = new Anchor(opened, 0);
        }

        return opened is -errno.EMFILE or -errno.ENFILE ? opened : 0;
    }

    // The whole way once, for it may lack the capability, or the file system's handles may be good for comparing only.
    private static bool CanReopen(int directory)
    {
        if (FileHandle.Create(directory, out FileHandle handle) < 0)
        {
            return false;
        }

        int again = handle.Open(directory);
        if (again < 0)
        {
            return false;
        }

        _ = close(again);
        return true;
    }

    private readonly record struct Anchor(int Descriptor, int Nodes);
}
