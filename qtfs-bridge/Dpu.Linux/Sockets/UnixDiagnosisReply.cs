using System.Runtime.InteropServices;

namespace Dpu.Linux.Sockets;

/// <summary>Reads what sock_diag(7) answers. Pure: lengths are checked before they are believed.</summary>
internal static class UnixDiagnosisReply
{
    private const int Align = linux_netlink.NLMSG_ALIGNTO - 1;

    /// <summary>Looks through one piece of an answer.</summary>
    /// <param name="bytes">It.</param>
    /// <param name="sequence">The question's number; what answers another one is passed over.</param>
    /// <param name="device">The file's device, major number in the high half.</param>
    /// <param name="inode">The file's inode number, of which the kernel tells the low half.</param>
    /// <param name="found">Gets what is bound to it; of several, what receives.</param>
    /// <param name="number">Gets that socket's number.</param>
    /// <returns>Whether more pieces follow.</returns>
    public static bool Read(ReadOnlySpan<byte> bytes, uint sequence, ulong device, ulong inode, ref BoundSocket found, ref uint number)
    {
        int head = Marshal.SizeOf<nlmsghdr>();
        while (bytes.Length >= head)
        {
            nlmsghdr header = MemoryMarshal.Read<nlmsghdr>(bytes);
            if (header.nlmsg_len < head || header.nlmsg_len > bytes.Length)
            {
                return false;
            }

            if (header.nlmsg_seq == sequence)
            {
                if (header.nlmsg_type is linux_netlink.NLMSG_DONE or linux_netlink.NLMSG_ERROR)
                {
                    return false;
                }

                Take(bytes[head..(int)header.nlmsg_len], device, inode, ref found, ref number);
            }

            bytes = bytes[Math.Min(((int)header.nlmsg_len + Align) & ~Align, bytes.Length)..];
        }

        return true;
    }

    /// <summary>Reads the answer to a question about one socket.</summary>
    /// <param name="bytes">It.</param>
    /// <param name="sequence">The question's number.</param>
    /// <param name="number">The socket's.</param>
    /// <returns>Its type, and whether it listens; nothing where the answer is that there is none.</returns>
    public static BoundSocket ReadSocket(ReadOnlySpan<byte> bytes, uint sequence, uint number)
    {
        int head = Marshal.SizeOf<nlmsghdr>();
        if (bytes.Length < head + Marshal.SizeOf<unix_diag_msg>() || MemoryMarshal.Read<nlmsghdr>(bytes) is not { nlmsg_type: linux_sock_diag.SOCK_DIAG_BY_FAMILY } header
            || header.nlmsg_seq != sequence)
        {
            return default;
        }

        unix_diag_msg socket = MemoryMarshal.Read<unix_diag_msg>(bytes[head..]);
        return socket.udiag_ino == number ? new BoundSocket(socket.udiag_type, socket.udiag_state == socket_states.TCP_LISTEN || socket.udiag_type == sys_socket.SOCK_DGRAM) : default;
    }

    private static void Take(ReadOnlySpan<byte> body, ulong device, ulong inode, ref BoundSocket found, ref uint number)
    {
        int size = Marshal.SizeOf<unix_diag_msg>();
        if (body.Length < size)
        {
            return;
        }

        unix_diag_msg socket = MemoryMarshal.Read<unix_diag_msg>(body);
        for (body = body[size..]; body.Length >= Marshal.SizeOf<nlattr>();)
        {
            nlattr attribute = MemoryMarshal.Read<nlattr>(body);
            if (attribute.nla_len < Marshal.SizeOf<nlattr>() || attribute.nla_len > body.Length)
            {
                return;
            }

            ReadOnlySpan<byte> content = body[Marshal.SizeOf<nlattr>()..attribute.nla_len];
            if (attribute.nla_type == linux_unix_diag.UNIX_DIAG_VFS && content.Length >= Marshal.SizeOf<unix_diag_vfs>())
            {
                unix_diag_vfs file = MemoryMarshal.Read<unix_diag_vfs>(content);
                bool receives = socket.udiag_state == socket_states.TCP_LISTEN || socket.udiag_type == sys_socket.SOCK_DGRAM;
                if (file.udiag_vfs_ino == (uint)inode && IsDevice(file.udiag_vfs_dev, device) && !found.Receives)
                {
                    (found, number) = (new BoundSocket(socket.udiag_type, receives), socket.udiag_ino);
                }
            }

            body = body[Math.Min((attribute.nla_len + Align) & ~Align, body.Length)..];
        }
    }

    // The kernel's own form (linux/kdev_t.h): 12 bits of the major number, 20 of the minor.
    private static bool IsDevice(uint kernels, ulong device) => kernels >> 20 == (uint)(device >> 32) && (kernels & 0xfffff) == (uint)device;
}
