using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Dpu.Linux;
using static Dpu.Linux.LibC;

namespace Dpu.Fuse;

// Unix sockets that this machine's programs have bound to files.
public sealed unsafe partial class PassthroughFileSystem
{
    private const int UnixPathOffset = sizeof(ushort);

    /// <summary>Which file a socket's node is.</summary>
    /// <param name="node">The node.</param>
    /// <param name="device">Its device, major number in the high half.</param>
    /// <param name="inode">Its inode's number.</param>
    /// <returns>0; <c>-ENOTSOCK</c> where it is no socket, or why it is not known.</returns>
    public int FindSocket(ulong node, out ulong device, out ulong inode)
    {
        using NodePin file = _nodes.Pin(node);
        (device, inode) = (0, 0);
        int error = !file.Valid ? file.Error : file.Type != stat.S_IFSOCK ? -errno.ENOTSOCK : _boundary.Check(file.Descriptor);
        if (error == 0 && (error = StatusOf(file.Descriptor, out statx status)) == 0)
        {
            (device, inode) = (DeviceOf(status), status.stx_ino);
        }

        return error;
    }

    /// <summary>
    /// Connects a socket to the one that is bound to a node, as the caller: this kernel asks for write permission of it, and the
    /// listener sees the caller's user and groups. A user without a counterpart here is refused, not taken for nobody.
    /// </summary>
    /// <param name="caller">Who connects.</param>
    /// <param name="node">The node.</param>
    /// <param name="socket">A unix socket.</param>
    /// <param name="uid">The user of this machine that it was connected as.</param>
    /// <param name="gid">That one's group.</param>
    /// <returns>0 or a negated errno. The thread keeps the identity.</returns>
    [SkipLocalsInit]
    public int ConnectSocket(in FuseCaller caller, ulong node, SafeHandle socket, out uint uid, out uint gid)
    {
        (uid, gid) = (IdentityPolicy.Nobody, IdentityPolicy.Nobody);
        using NodePin file = _nodes.Pin(node);
        int error = !file.Valid ? file.Error : file.Type != stat.S_IFSOCK ? -errno.ECONNREFUSED : 0;
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
}
