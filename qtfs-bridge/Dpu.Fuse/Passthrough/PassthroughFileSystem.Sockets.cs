using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Dpu.Fuse.Wire;
using Dpu.Linux;
using Microsoft.Win32.SafeHandles;
using static Dpu.Linux.LibC;

namespace Dpu.Fuse;

// Unix sockets that this machine's programs have bound to files.
public sealed unsafe partial class PassthroughFileSystem
{
    private const int UnixPathOffset = sizeof(ushort);

    // sun_path without its NUL.
    private const int MaxSocketName = 107;

    /// <summary>Which file a socket's node is.</summary>
    /// <param name="node">The node.</param>
    /// <param name="path">Room for its path from the exported directory.</param>
    /// <param name="device">Its device, major number in the high half.</param>
    /// <param name="inode">Its inode's number.</param>
    /// <returns>The path's length; <c>-ENOTSOCK</c> where it is no socket, or why it is not known.</returns>
    public int FindSocket(ulong node, Span<byte> path, out ulong device, out ulong inode)
    {
        using NodePin file = _nodes.Pin(node);
        (device, inode) = (0, 0);
        int length = !file.Valid ? file.Error : file.Type != stat.S_IFSOCK ? -errno.ENOTSOCK : _boundary.RelativePath(file.Descriptor, path);
        if (length < 0)
        {
            return length;
        }

        int error = StatusOf(file.Descriptor, out statx status);
        if (error < 0)
        {
            return error;
        }

        (device, inode) = (DeviceOf(status), status.stx_ino);
        return length;
    }

    /// <summary>Makes a socket listen as the caller, whose user and group who connects sees (SO_PEERCRED).</summary>
    /// <param name="caller">Who listens on the peer's machine.</param>
    /// <param name="socket">A bound unix socket.</param>
    /// <param name="backlog">As of listen(2).</param>
    /// <param name="uid">The user of this machine.</param>
    /// <param name="gid">That one's group.</param>
    /// <returns>0 or a negated errno. The thread keeps the identity.</returns>
    public int ListenSocket(in FuseCaller caller, SafeHandle socket, int backlog, out uint uid, out uint gid)
    {
        int error = _identity.AssumeMapped(caller, out uid, out gid);
        return error < 0 ? error : sys_socket.listen(socket, backlog) < 0 ? -Marshal.GetLastPInvokeError() : 0;
    }

    // bind(2) makes the file as mknod(2) does, so that owner, mode and the checks are the kernel's.
    [SkipLocalsInit]
    private int BindSocket(ISocketBinder binder, in FuseCaller caller, ulong parent, ReadOnlySpan<byte> name, in fuse_mknod_in request, out fuse_entry_out entry)
    {
        entry = default;
        int type = (int)Math.Min(request.rdev, int.MaxValue);
        if (type is not (sys_socket.SOCK_STREAM or sys_socket.SOCK_DGRAM or sys_socket.SOCK_SEQPACKET))
        {
            return -errno.EINVAL;
        }

        if (_options.ReadOnly)
        {
            return -errno.EROFS;
        }

        if (name.Length > MaxSocketName)
        {
            return -errno.ENAMETOOLONG;
        }

        byte* text = stackalloc byte[FileName.MaxSize];
        byte* path = stackalloc byte[limits.PATH_MAX + FileName.MaxSize];
        using NodePin directory = _nodes.Pin(parent);
        int length = directory.Valid ? _boundary.RelativePath(directory.Descriptor, new Span<byte>(path, limits.PATH_MAX)) : directory.Error;
        if (length < 0)
        {
            return length;
        }

        if (length > 0)
        {
            path[length++] = (byte)'/';
        }

        name.CopyTo(new Span<byte>(path + length, FileName.MaxSize));
        var relative = new ReadOnlySpan<byte>(path, length + name.Length);
        if (!binder.MayBind(relative))
        {
            return -errno.EACCES;
        }

        int error = BeginCreation(caller, directory, name, text, request.umask);
        int descriptor = error < 0 ? error : sys_socket.socket(sys_socket.AF_UNIX, type | sys_socket.SOCK_CLOEXEC, 0);
        if (descriptor < 0)
        {
            return error < 0 ? error : -Marshal.GetLastPInvokeError();
        }

        var socket = new SafeFileHandle(descriptor, ownsHandle: true);
        error = BindIn(directory.Descriptor, socket, name, request.mode & ModeBits);
        if (error >= 0)
        {
            error = EnterMade(directory.Descriptor, text, stat.S_IFSOCK, out entry);
        }

        if (error < 0)
        {
            socket.Dispose();
            return error;
        }

        binder.Bound(entry, type, relative, socket);
        return error;
    }

    // By the name alone, since an address has little room. The thread's working directory is its own, as its umask is.
    private static int BindIn(int directory, SafeFileHandle socket, ReadOnlySpan<byte> name, uint mode)
    {
        byte* address = stackalloc byte[UnixPathOffset + MaxSocketName + 1];
        *(ushort*)address = sys_socket.AF_UNIX;
        name.CopyTo(new Span<byte>(address + UnixPathOffset, MaxSocketName));
        address[UnixPathOffset + name.Length] = 0;

        // SAFETY: descriptors of the caller's, and strings on this stack. The file gets the mode that the socket has.
        int error = Result(fchmod((int)socket.DangerousGetHandle(), mode));
        if (error >= 0 && (error = Result(fchdir(directory))) >= 0)
        {
            error = sys_socket.bind(socket, address, (uint)(UnixPathOffset + name.Length + 1)) < 0 ? -Marshal.GetLastPInvokeError() : 0;
            byte* top = stackalloc byte[2] { (byte)'/', 0 };
            _ = chdir(top);
        }

        return error == -errno.EADDRINUSE ? -errno.EEXIST : error;
    }

    /// <summary>
    /// Connects a socket to the one that is bound to a node, as the caller: this kernel asks for write permission of it, and the
    /// listener sees the caller's user and groups. A user without a counterpart here is refused, not taken for nobody.
    /// </summary>
    /// <param name="caller">Who connects.</param>
    /// <param name="node">The node.</param>
    /// <param name="socket">A unix socket; one that does not wait where <paramref name="mayWait"/> is false.</param>
    /// <param name="mayWait">False where nothing may take time but this machine's memory: then only sockets of file systems that are there alone are connected to.</param>
    /// <param name="uid">The user of this machine that it was connected as.</param>
    /// <param name="gid">That one's group.</param>
    /// <returns>0 or a negated errno; EAGAIN where it would, or might, have to wait and may not. The thread keeps the identity.</returns>
    [SkipLocalsInit]
    public int ConnectSocket(in FuseCaller caller, ulong node, SafeHandle socket, bool mayWait, out uint uid, out uint gid)
    {
        (uid, gid) = (IdentityPolicy.Nobody, IdentityPolicy.Nobody);
        using NodePin file = _nodes.Pin(node);
        int error = !file.Valid ? file.Error : file.Type != stat.S_IFSOCK ? -errno.ECONNREFUSED : mayWait || IsInMemory(file.Descriptor) ? 0 : -errno.EAGAIN;
        if (error < 0 || (error = _identity.AssumeMapped(caller, out uid, out gid)) < 0)
        {
            return error;
        }

        error = _boundary.Check(file.Descriptor);
        if (error < 0)
        {
            return error;
        }

        // A path longer than an address can have does not matter: the kernel follows this one to the very file.
        byte* address = stackalloc byte[UnixPathOffset + DescriptorPath.MaxSize];
        *(ushort*)address = sys_socket.AF_UNIX;
        byte* number = DescriptorPath.Format(file.Descriptor, address + UnixPathOffset);
        int length = (int)(number - address) + MemoryMarshal.CreateReadOnlySpanFromNullTerminated(number).Length + 1;
        int result = sys_socket.connect(socket, address, (uint)length);
        return result < 0 ? -Marshal.GetLastPInvokeError() : 0;
    }

    // Others may ask a disk or a server for permission and owner, and write when it was last used.
    private static bool IsInMemory(int descriptor)
    {
        statfs state;

        // SAFETY: the kernel fills the local.
        return fstatfs(descriptor, &state) == 0 && state.f_type is magic.TMPFS_MAGIC or magic.RAMFS_MAGIC;
    }
}
