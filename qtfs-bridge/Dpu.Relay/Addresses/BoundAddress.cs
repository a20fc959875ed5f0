using System.Runtime.InteropServices;
using System.Text;
using Dpu.Linux;
using Dpu.Linux.Sockets;
using Microsoft.Win32.SafeHandles;

namespace Dpu.Relay.Addresses;

/// <summary>
/// A socket that is bound to an address of this machine. A path's file has its mode and owner before anybody can connect; one that a dead program has
/// left is replaced, a living one's never; it is removed at the end.
/// </summary>
public sealed unsafe class BoundAddress : IDisposable
{
    private readonly string _address;
    private readonly (ulong Device, ulong Inode) _file;

    private BoundAddress(string address, SafeFileHandle socket, (ulong Device, ulong Inode) file) => (_address, Socket, _file) = (address, socket, file);

    /// <summary>It, not listening yet; closed with this object, and not before: as long as it is open no other file has its file's number.</summary>
    public SafeFileHandle Socket { get; }

    /// <summary>Binds one.</summary>
    /// <param name="address">As <see cref="UnixAddress"/> says.</param>
    /// <param name="type">SOCK_STREAM or another.</param>
    /// <param name="mode">Of the file.</param>
    /// <param name="uid">Its owner.</param>
    /// <param name="gid">Its group.</param>
    /// <param name="bound">It.</param>
    /// <returns>0 or a negated errno: EADDRINUSE where another socket is bound there, EEXIST where another file is in the place.</returns>
    public static int TryBind(string address, int type, uint mode, uint uid, uint gid, out BoundAddress? bound)
    {
        bound = null;
        int descriptor = sys_socket.socket(sys_socket.AF_UNIX, type | sys_socket.SOCK_CLOEXEC, 0);
        if (descriptor < 0)
        {
            return -Marshal.GetLastPInvokeError();
        }

        var socket = new SafeFileHandle(descriptor, ownsHandle: true);
        bool isPath = address.StartsWith('/');

        // The file that bind(2) makes gets no more than the mode that the socket has.
        int error = isPath ? LibC.Result(LibC.fchmod(descriptor, 0)) : 0;
        error = error < 0 ? error : UnixAddress.Bind(socket, address);
        if (error == -errno.EADDRINUSE && isPath && (error = RemoveDead(address, type)) == 0)
        {
            error = UnixAddress.Bind(socket, address);
        }

        (ulong, ulong) file = default;
        if (error == 0 && isPath)
        {
            fixed (byte* path = Encoding.UTF8.GetBytes(address + '\0'))
            {
                // SAFETY: a NUL-terminated string, pinned.
                error = LibC.Result(LibC.fchownat(fcntl.AT_FDCWD, path, uid, gid, fcntl.AT_SYMLINK_NOFOLLOW));
                error = error < 0 ? error : LibC.Result(LibC.fchmodat(fcntl.AT_FDCWD, path, mode, 0));
            }

            file = FileAt(address, out _);
        }

        bound = new BoundAddress(address, socket, file);
        if (error < 0)
        {
            bound.Dispose();
            bound = null;
        }

        return error;
    }

    /// <summary>Closes it, and removes its file, unless another is in its place.</summary>
    public void Dispose()
    {
        if (_file != default && FileAt(_address, out _) == _file)
        {
            File.Delete(_address);
        }

        Socket.Dispose();
    }

    private static int RemoveDead(string address, int type)
    {
        (ulong device, ulong inode) = FileAt(address, out bool isSocket);
        if (!isSocket)
        {
            return -errno.EEXIST;
        }

        // Without connecting to it, which its program would notice. By its file: another socket may have the same path in another mount namespace.
        using (var diagnosis = UnixDiagnosis.TryOpen())
        {
            if (diagnosis?.Find(device, inode).Receives == true)
            {
                return -errno.EADDRINUSE;
            }
        }

        // It may be of another network namespace.
        using var probe = new SafeFileHandle(sys_socket.socket(sys_socket.AF_UNIX, type | sys_socket.SOCK_CLOEXEC | sys_socket.SOCK_NONBLOCK, 0), ownsHandle: true);
        if (UnixAddress.Connect(probe, address) is not (-errno.ECONNREFUSED or -errno.ENOENT))
        {
            return -errno.EADDRINUSE;
        }

        File.Delete(address);
        return 0;
    }

    private static (ulong Device, ulong Inode) FileAt(string path, out bool isSocket)
    {
        statx status;
        fixed (byte* name = Encoding.UTF8.GetBytes(path + '\0'))
        {
            // SAFETY: a NUL-terminated string, pinned; the kernel fills the local.
            bool there = LibC.statx(fcntl.AT_FDCWD, name, fcntl.AT_SYMLINK_NOFOLLOW, stat.STATX_BASIC_STATS, &status) == 0;
            isSocket = there && (status.stx_mode & stat.S_IFMT) == stat.S_IFSOCK;
            return there ? (((ulong)status.stx_dev_major << 32) | status.stx_dev_minor, status.stx_ino) : default;
        }
    }
}
