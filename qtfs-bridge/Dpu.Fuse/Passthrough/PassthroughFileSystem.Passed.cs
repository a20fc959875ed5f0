using System.Runtime.CompilerServices;
using Dpu.Linux;
using static Dpu.Linux.LibC;

namespace Dpu.Fuse;

// Files that programs pass to each other through a relay of a socket.
public sealed unsafe partial class PassthroughFileSystem
{
    /// <summary>Opens a node for a program of this machine, to which a program of the peer passes it. The rules are those of open(2) through the mount.</summary>
    /// <param name="caller">As whom: who passes it.</param>
    /// <param name="node">The node; a regular file or a directory.</param>
    /// <param name="flags">Of open(2) on this machine; neither O_CREAT nor O_TRUNC.</param>
    /// <returns>The descriptor, the caller's, or a negated errno. The thread keeps the identity.</returns>
    public int OpenPassed(in FuseCaller caller, ulong node, int flags)
    {
        using NodePin file = _nodes.Pin(node);
        int error = (flags & fcntl.O_PATH) != 0 ? 0 : CheckOpenFlags((uint)flags);
        if (error < 0 || (error = Begin(caller, file)) < 0)
        {
            return error;
        }

        if (file.Tree != TreeKind.Ordinary || (flags & (fcntl.O_CREAT | fcntl.O_TRUNC)) != 0)
        {
            return -errno.EPERM;
        }

        error = file.Type == stat.S_IFDIR ? 0 : CheckOpenable(file.Type);
        return error < 0 ? error : Reopen(file.Descriptor, flags | fcntl.O_CLOEXEC | fcntl.O_NOCTTY | (file.Type == stat.S_IFDIR ? fcntl.O_DIRECTORY : 0));
    }

    /// <summary>
    /// Where below the exported directory a file is that a program of this machine has open: the path that leads to it there without a
    /// symbolic link, from this process's point of view. As the daemon itself.
    /// </summary>
    /// <param name="descriptor">The file.</param>
    /// <param name="path">Room for it; empty is the directory itself.</param>
    /// <returns>The path's length, or a negated errno: ESTALE where it is not inside.</returns>
    [SkipLocalsInit]
    public int PathOfPassed(int descriptor, Span<byte> path)
    {
        int length = _boundary.RelativePath(descriptor, path);
        if (length < 0 || length >= limits.PATH_MAX)
        {
            return length < 0 ? length : -errno.ENAMETOOLONG;
        }

        byte* name = stackalloc byte[limits.PATH_MAX + 1];
        path[..length].CopyTo(new Span<byte>(name, limits.PATH_MAX));
        if (length == 0)
        {
            name[length++] = (byte)'.';
        }

        name[length] = 0;
        using NodePin root = _nodes.Pin(Wire.FuseConstants.FUSE_ROOT_ID);
        var how = new open_how { flags = (ulong)(fcntl.O_PATH | fcntl.O_CLOEXEC | fcntl.O_NOFOLLOW), resolve = openat2_h.RESOLVE_BENEATH | openat2_h.RESOLVE_NO_SYMLINKS };

        // SAFETY: a string with an end, and a struct, on this stack.
        int found = root.Valid ? Result(openat2(root.Descriptor, name, &how)) : root.Error;
        if (found < 0)
        {
            return -errno.ESTALE;
        }

        // The text alone proves nothing: another mount namespace has the same paths.
        int error = StatusOf(found, out statx there);
        error = error < 0 ? error : StatusOf(descriptor, out statx given) is var second && second < 0 ? second
            : there.stx_ino == given.stx_ino && there.stx_dev_major == given.stx_dev_major && there.stx_dev_minor == given.stx_dev_minor ? 0 : -errno.ESTALE;
        _ = close(found);
        return error < 0 ? error : name[0] == (byte)'.' && length == 1 ? 0 : length;
    }
}
