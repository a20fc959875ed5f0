using System.Diagnostics.CodeAnalysis;
using System.Runtime.InteropServices;
using Dpu.Linux;
using Microsoft.Win32.SafeHandles;

namespace Dpu.Relay.Flow;

/// <summary>The calls on a relay's local socket. None of them waits.</summary>
internal static unsafe class LocalSocket
{
    // Credentials and the most descriptors that a message may have (SCM_MAX_FD, 253).
    private const int ControlSize = 1280;

    /// <summary>Receives bytes or one message.</summary>
    /// <param name="socket">The descriptor.</param>
    /// <param name="room">Where to.</param>
    /// <param name="size">The room in bytes.</param>
    /// <param name="cut">Whether the message was longer than the room, and its rest is lost.</param>
    /// <param name="isMessage">Whether something came, be it an empty message; only where the socket has SO_PASSCRED.</param>
    /// <param name="descriptors">How many descriptors came beside it; they are closed.</param>
    /// <returns>The bytes or a negated errno.</returns>
    public static int Receive(int socket, byte* room, int size, out bool cut, out bool isMessage, out int descriptors)
    {
        byte* control = stackalloc byte[ControlSize];
        var part = new iovec { iov_base = room, iov_len = (nuint)size };
        var message = new msghdr { msg_iov = &part, msg_iovlen = 1, msg_control = control, msg_controllen = ControlSize };

        // SAFETY: all is on this stack but the caller's room; the kernel writes within the lengths.
        int received = (int)LibC.Result(LibC.recvmsg(socket, &message, msg_flags.MSG_DONTWAIT | msg_flags.MSG_CMSG_CLOEXEC));
        (cut, isMessage, descriptors) = (false, false, 0);
        if (received < 0)
        {
            return received;
        }

        cut = (message.msg_flags & msg_flags.MSG_TRUNC) != 0;
        nuint left = Math.Min(message.msg_controllen, ControlSize);
        for (byte* at = control; left >= (nuint)sizeof(cmsghdr);)
        {
            var head = (cmsghdr*)at;
            if (head->cmsg_len < (nuint)sizeof(cmsghdr) || head->cmsg_len > left)
            {
                break;
            }

            if (head->cmsg_level == sys_socket.SOL_SOCKET && head->cmsg_type == cmsg.SCM_CREDENTIALS)
            {
                isMessage = true;
            }
            else if (head->cmsg_level == sys_socket.SOL_SOCKET && head->cmsg_type == cmsg.SCM_RIGHTS)
            {
                int count = (int)(head->cmsg_len - (nuint)sizeof(cmsghdr)) / sizeof(int);
                for (int i = 0; i < count; i++)
                {
                    _ = LibC.close(((int*)(head + 1))[i]);
                }

                descriptors += count;
            }

            nuint step = (head->cmsg_len + (nuint)sizeof(nuint) - 1) & ~((nuint)sizeof(nuint) - 1);
            at += step;
            left -= Math.Min(step, left);
        }

        return received;
    }

    /// <summary>Sends bytes or one message; how many, or a negated errno.</summary>
    /// <param name="socket">The descriptor.</param>
    /// <param name="bytes">What.</param>
    /// <param name="size">How many.</param>
    /// <param name="speaker">Whom the message is from, for those that ask (SCM_CREDENTIALS); null for this process.</param>
    public static int Send(int socket, byte* bytes, int size, ucred? speaker)
    {
        if (speaker is not { } credentials)
        {
            return (int)LibC.Result(sys_socket.send(socket, bytes, (nuint)size, msg_flags.MSG_NOSIGNAL | msg_flags.MSG_DONTWAIT));
        }

        byte* control = stackalloc byte[cmsg.SpaceOfCredentials];
        cmsg.PutCredentials(control, credentials);
        var part = new iovec { iov_base = bytes, iov_len = (nuint)size };
        var message = new msghdr { msg_iov = &part, msg_iovlen = 1, msg_control = control, msg_controllen = (nuint)cmsg.SpaceOfCredentials };

        // SAFETY: all is on this stack but the caller's bytes.
        return (int)LibC.Result(LibC.sendmsg(socket, &message, msg_flags.MSG_NOSIGNAL | msg_flags.MSG_DONTWAIT));
    }

    /// <summary>A pair of connected sockets.</summary>
    public static bool TryPair(SocketKind kind, [NotNullWhen(true)] out SafeFileHandle? one, out int other)
    {
        int* ends = stackalloc int[2];

        // SAFETY: two descriptors on the stack.
        bool made = sys_socket.socketpair(sys_socket.AF_UNIX, (int)kind | sys_socket.SOCK_CLOEXEC, 0, ends) == 0;
        one = made ? new SafeFileHandle(ends[0], ownsHandle: true) : null;
        other = made ? ends[1] : -1;
        return made;
    }

    /// <summary>Sets an integer option of a socket; 0 or a negated errno.</summary>
    public static int SetOption(SafeHandle socket, int option, int value) =>
        // SAFETY: an int on the stack, with its own size.
        sys_socket.setsockopt(socket, sys_socket.SOL_SOCKET, option, &value, sizeof(int)) < 0 ? -Marshal.GetLastPInvokeError() : 0;
}
