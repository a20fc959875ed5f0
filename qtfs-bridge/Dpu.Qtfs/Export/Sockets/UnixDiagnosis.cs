using System.Runtime.InteropServices;
using Dpu.Linux;
using Microsoft.Win32.SafeHandles;

namespace Dpu.Qtfs.Export.Sockets;

/// <summary>
/// Asks the kernel what is bound to a file (sock_diag(7), NETLINK_SOCK_DIAG): one network namespace, that of the thread that made it.
/// One thread at a time.
/// </summary>
internal sealed unsafe class UnixDiagnosis : IDisposable
{
    private const int BufferSize = 32 << 10;
    private const uint Waiting = (1u << socket_states.TCP_LISTEN) | (1u << socket_states.TCP_CLOSE);
    private const uint Connected = 1u << socket_states.TCP_ESTABLISHED;
    private static readonly TimeSpan AnswerLimit = TimeSpan.FromSeconds(2);

    private readonly SafeFileHandle _socket;
    private readonly byte[] _buffer = new byte[BufferSize];
    private uint _sequence;

    private UnixDiagnosis(SafeFileHandle socket) => _socket = socket;

    /// <summary>One for the calling thread's network namespace; null where the kernel has none.</summary>
    public static UnixDiagnosis? TryOpen()
    {
        int descriptor = sys_socket.socket(sys_socket.AF_NETLINK, sys_socket.SOCK_RAW | sys_socket.SOCK_CLOEXEC, linux_netlink.NETLINK_SOCK_DIAG);
        return descriptor < 0 ? null : new UnixDiagnosis(new SafeFileHandle(descriptor, ownsHandle: true));
    }

    /// <summary>What is bound to a file; nothing where the kernel does not say.</summary>
    /// <param name="device">As of <see cref="Dpu.Fuse.PassthroughFileSystem.FindSocket"/>.</param>
    /// <param name="inode">Likewise.</param>
    public BoundSocket Find(ulong device, ulong inode)
    {
        // Listeners and datagram sockets first: connections that were accepted have their listener's file too, and may be many.
        BoundSocket found = Ask(Waiting, device, inode);
        return found.Type != 0 ? found : Ask(Connected, device, inode);
    }

    public void Dispose() => _socket.Dispose();

    private BoundSocket Ask(uint states, ulong device, ulong inode)
    {
        byte* request = stackalloc byte[sizeof(nlmsghdr) + sizeof(unix_diag_req)];
        *(nlmsghdr*)request = new nlmsghdr
        {
            nlmsg_len = (uint)(sizeof(nlmsghdr) + sizeof(unix_diag_req)),
            nlmsg_type = linux_sock_diag.SOCK_DIAG_BY_FAMILY,
            nlmsg_flags = linux_netlink.NLM_F_REQUEST | linux_netlink.NLM_F_DUMP,
            nlmsg_seq = ++_sequence,
        };
        *(unix_diag_req*)(request + sizeof(nlmsghdr)) = new unix_diag_req { sdiag_family = sys_socket.AF_UNIX, udiag_states = states, udiag_show = linux_unix_diag.UDIAG_SHOW_VFS };
        int descriptor = (int)_socket.DangerousGetHandle();

        // SAFETY: the request is on this stack. A netlink socket without an address sends to the kernel (netlink(7)).
        if (LibC.Result(sys_socket.send(descriptor, request, (nuint)(sizeof(nlmsghdr) + sizeof(unix_diag_req)), 0)) < 0)
        {
            return default;
        }

        BoundSocket found = default;
        while (poll.WaitReadable(_socket, AnswerLimit))
        {
            int received;
            fixed (byte* buffer = _buffer)
            {
                // SAFETY: pinned for the call, with its length.
                received = (int)LibC.Result(sys_socket.recv(descriptor, buffer, BufferSize, 0));
            }

            // The rest is read all the same, or the next question would find it.
            if (received <= 0 || !UnixDiagnosisReply.Read(_buffer.AsSpan(0, received), _sequence, device, inode, ref found))
            {
                break;
            }
        }

        return found;
    }
}
