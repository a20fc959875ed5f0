using Dpu.Linux;
using static Dpu.Linux.LibC;

namespace Dpu.Fuse;

/// <summary>
/// A descriptor on each mount of an export, by which handles of its files are opened. A mount below the root is held as
/// long as nodes of it are in use; then it is let go, so that the host can unmount it, and found again when it is
/// needed. Thread-safe; asked only where a node is made, shut or opened again.
/// </summary>
/// <remarks>
/// Where the kernel gives each mount a number of its own (Linux 6.8), a mount that was let go is known again by it. On
/// older kernels numbers are used again, so that a mount is held as long as the peer knows a node of it.
/// </remarks>
/// <param name="rootMount">The mount of the root, which is not counted.</param>
/// <param name="root">The root's descriptor.</param>
internal sealed unsafe class MountAnchors(ulong rootMount, int root)
{
    /// <summary>Mounts beyond these get no anchor, and their nodes keep their descriptors.</summary>
    private const int MaxMounts = 1024;

    private readonly Lock _lock = new();
    private readonly Dictionary<ulong, Anchor> _anchors = [];
    private readonly int _root = CanReopen(root) ? root : -1;

    /// <summary>Whether a file is on another mount than the root.</summary>
    public bool IsForeign(ulong mount) => mount != rootMount;

    /// <summary>
    /// Counts a node of a mount; false where the mount has no anchor yet and cannot get it from this file. May leave the
    /// thread as the agent.
    /// </summary>
    /// <param name="mount">The mount's number, as statx tells it.</param>
    /// <param name="descriptor">The node's file.</param>
    /// <param name="type">S_IFMT of its mode.</param>
    public bool TryReference(ulong mount, int descriptor, uint type)
    {
        if (mount == rootMount)
        {
            return true;
        }

        lock (_lock)
        {
            if (!_anchors.TryGetValue(mount, out Anchor? anchor))
            {
                // A file that is a mount by itself is opened as it is: reading it later means nothing to it.
                if (type is not (stat.S_IFDIR or stat.S_IFREG) || _anchors.Count >= MaxMounts || Make(descriptor, type, out anchor) < 0)
                {
                    return false;
                }

                _anchors.Add(mount, anchor!);
            }

            anchor!.Nodes++;
            return true;
        }
    }

    /// <summary>Counts a node of an earlier life that has a handle; its mount is found when it is needed. False where that cannot be.</summary>
    public bool TryRestore(ulong mount)
    {
        if (mount == rootMount)
        {
            return _root >= 0;
        }

        lock (_lock)
        {
            if (!_anchors.TryGetValue(mount, out Anchor? anchor))
            {
                if (!KernelMounts.Available || _anchors.Count >= MaxMounts)
                {
                    return false;
                }

                _anchors.Add(mount, anchor = new Anchor(-1, reopens: true));
            }

            anchor.Nodes += anchor.Reopens ? 1 : 0;
            return anchor.Reopens;
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
            if (--anchor.Nodes == 0)
            {
                _anchors.Remove(mount);
                if (anchor.Users == 0)
                {
                    anchor.Close();
                }
            }
        }
    }

    /// <summary>Whether files of a mount of which a node is counted can be opened by their handles.</summary>
    public bool CanOpen(ulong mount)
    {
        if (mount == rootMount)
        {
            return _root >= 0;
        }

        lock (_lock)
        {
            return _anchors.TryGetValue(mount, out Anchor? anchor) && anchor.Reopens;
        }
    }

    /// <summary>Opens a file of a mount of which a node is counted, as the daemon itself; an O_PATH descriptor or a negated errno.</summary>
    /// <param name="mount">The mount.</param>
    /// <param name="handle">The file.</param>
    /// <param name="keep">Whether the mount is held from now on, where it is not: the file is about to be used.</param>
    public int Open(ulong mount, in FileHandle handle, bool keep = true)
    {
        if (mount == rootMount)
        {
            return _root >= 0 ? handle.Open(_root) : -errno.ESTALE;
        }

        Anchor? anchor;
        int descriptor;
        lock (_lock)
        {
            if (!_anchors.TryGetValue(mount, out anchor) || !anchor.Reopens)
            {
                return -errno.ESTALE;
            }

            anchor.Users++;
            descriptor = anchor.Descriptor;
        }

        int found = descriptor >= 0 ? descriptor : FindAgain(mount);
        int opened = found >= 0 ? handle.Open(found) : found;
        lock (_lock)
        {
            anchor.Users--;
            bool counted = anchor.Nodes > 0;
            if (descriptor < 0 && found >= 0)
            {
                if (keep && counted && anchor.Descriptor < 0)
                {
                    anchor.Descriptor = found;
                }
                else
                {
                    _ = close(found);
                }
            }

            if (!counted && anchor.Users == 0)
            {
                anchor.Close();
            }
        }

        return opened;
    }

    /// <summary>Whether there is a mount to let go of. It may have no open node: its last one may just have been forgotten.</summary>
    public bool HoldsAny
    {
        get
        {
            lock (_lock)
            {
                return _anchors.Values.Any(static anchor => anchor.Descriptor >= 0);
            }
        }
    }

    /// <summary>The mounts below the root of which nodes are counted.</summary>
    public ulong[] Foreign()
    {
        lock (_lock)
        {
            return [.. _anchors.Keys];
        }
    }

    /// <summary>Lets go of the mounts below the root of which no node is open.</summary>
    public void LetGo(HashSet<ulong> inUse)
    {
        lock (_lock)
        {
            foreach ((ulong mount, Anchor anchor) in _anchors)
            {
                if (anchor.Users == 0 && !inUse.Contains(mount))
                {
                    anchor.Close();
                }
            }
        }
    }

    private static int Make(int file, uint type, out Anchor anchor)
    {
        anchor = new Anchor(-1, reopens: false);
        int error = FuseWorkerThread.Current.BecomeAgent();
        if (error < 0)
        {
            return error;
        }

        // SAFETY: Format ends the path with NUL. A file system that cannot be opened or has no handles is remembered as such.
        byte* path = stackalloc byte[DescriptorPath.MaxSize];
        DescriptorPath.Format(file, path);
        int opened = Result(openat(fcntl.AT_FDCWD, path, FlagsFor(type), 0));
        if (opened >= 0 && !CanReopen(opened))
        {
            _ = close(opened);
            opened = -1;
        }

        if (opened >= 0)
        {
            anchor = new Anchor(opened, reopens: true);
        }

        return opened is -errno.EMFILE or -errno.ENFILE ? opened : 0;
    }

    // By its path of now, which must lead to that very mount: another one may cover it, or stand in its place.
    private static int FindAgain(ulong mount)
    {
        if (KernelMounts.PointOf(mount) is not { } point)
        {
            return -errno.ESTALE;
        }

        // A mount's root may be a file.
        foreach (uint type in (ReadOnlySpan<uint>)[stat.S_IFDIR, stat.S_IFREG])
        {
            fixed (byte* path = point.AsSpan().ToNulTerminated())
            {
                // SAFETY: a path ended by NUL, pinned, and a struct on this stack.
                int opened = Result(openat(fcntl.AT_FDCWD, path, FlagsFor(type), 0));
                if (opened == -errno.ENOTDIR)
                {
                    continue;
                }

                statx status;
                byte empty = 0;
                if (opened >= 0 && (statx(opened, &empty, fcntl.AT_EMPTY_PATH | fcntl.AT_STATX_DONT_SYNC, KernelMounts.NumberBits, &status) != 0 || status.stx_mnt_id != mount))
                {
                    _ = close(opened);
                    opened = -errno.ESTALE;
                }

                return opened is >= 0 or -errno.EMFILE or -errno.ENFILE ? opened : -errno.ESTALE;
            }
        }

        return -errno.ESTALE;
    }

    private static int FlagsFor(uint type) =>
        fcntl.O_RDONLY | fcntl.O_NONBLOCK | fcntl.O_CLOEXEC | (type == stat.S_IFDIR ? fcntl.O_DIRECTORY : 0);

    // The whole way once, for it may lack the capability, or the file system's handles may be good for comparing only.
    private static bool CanReopen(int file)
    {
        if (FileHandle.Create(file, out FileHandle handle) < 0)
        {
            return false;
        }

        int again = handle.Open(file);
        if (again < 0)
        {
            return false;
        }

        _ = close(again);
        return true;
    }

    // Guarded by the lock of the anchors.
    private sealed class Anchor(int descriptor, bool reopens)
    {
        /// <summary>Not O_PATH; -1 while the mount is let go.</summary>
        public int Descriptor { get; set; } = descriptor;

        public bool Reopens { get; } = reopens;

        public int Nodes { get; set; }

        /// <summary>Threads that open a file by it.</summary>
        public int Users { get; set; }

        public void Close()
        {
            if (Descriptor >= 0)
            {
                _ = close(Descriptor);
                Descriptor = -1;
            }
        }
    }
}
