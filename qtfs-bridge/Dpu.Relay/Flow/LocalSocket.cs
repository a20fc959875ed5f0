using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;
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
    /// <param name="flags">What the kernel says of it: MSG_TRUNC where the message was longer than the room, and its rest is lost; MSG_CTRUNC where descriptors were.</param>
    /// <param name="isMessage">Whether something came, be it an empty message; only where the socket has SO_PASSCRED.</param>
    /// <param name="descriptors">Those that came beside it, the caller's from now on; null for none.</param>
    /// <returns>The bytes or a negated errno.</returns>
    [SkipLocalsInit]
    public static int Receive(int socket, byte* room, int size, out int flags, out bool isMessage, out int[]? descriptors)
    {
        byte* control = stackalloc byte[ControlSize];
        var part = new iovec { iov_base = room, iov_len = (nuint)size };
        var message = new msghdr { msg_iov = &part, msg_iovlen = 1, msg_control = control, msg_controllen = ControlSize };

        // SAFETY: all is on this stack but the caller's room; the kernel writes within the lengths.
        int received = (int)LibC.Result(LibC.recvmsg(socket, &message, msg_flags.MSG_DONTWAIT | msg_flags.MSG_CMSG_CLOEXEC));
        (flags, isMessage, descriptors) = (received < 0 ? 0 : message.msg_flags, false, null);
        if (received < 0)
        {
            return received;
        }

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
                // The kernel gives all of a message at once (net/core/scm.c).
                descriptors = new ReadOnlySpan<int>(head + 1, (int)(head->cmsg_len - (nuint)sizeof(cmsghdr)) / sizeof(int)).ToArray();
            }

            nuint step = (head->cmsg_len + (nuint)sizeof(nuint) - 1) & ~((nuint)sizeof(nuint) - 1);
            at += step;
            left -= Math.Min(step, left);
        }

        return received;
    }

    /// <summary>Looks at bytes of a stream, which stay there.</summary>
    /// <param name="socket">The descriptor.</param>
    /// <param name="room">Where to.</param>
    /// <param name="size">The room in bytes.</param>
    /// <param name="rights">
    /// Whether descriptors wait in the socket. Of the parts that programs have sent, only the last one that was seen can have some: the
    /// kernel shows nothing beyond such a part (unix_stream_read_generic).
    /// </param>
    /// <returns>The bytes or a negated errno.</returns>
    public static int Peek(int socket, byte* room, int size, out bool rights)
    {
        var part = new iovec { iov_base = room, iov_len = (nuint)size };
        var message = new msghdr { msg_iov = &part, msg_iovlen = 1 };

        // SAFETY: all is on this stack but the caller's room; without room for descriptors the kernel makes none, and says so.
        int seen = (int)LibC.Result(LibC.recvmsg(socket, &message, msg_flags.MSG_DONTWAIT | msg_flags.MSG_PEEK));
        rights = seen > 0 && (message.msg_flags & msg_flags.MSG_CTRUNC) != 0;
        return seen;
    }

    /// <summary>Where the last part begins of the bytes that <see cref="Peek"/> has seen; 0 where there is one only.</summary>
    /// <remarks>
    /// The kernel does not tell. But it copies a part as a whole: where memory ends within one, it returns what it has copied before
    /// (and EFAULT where that is nothing). So it is given room for all bytes but the last.
    /// </remarks>
    public static int StartOfLastPart(int socket, byte* room, int seen)
    {
        if (seen < 2)
        {
            return 0;
        }

        iovec* parts = stackalloc iovec[2];
        parts[0] = new iovec { iov_base = room, iov_len = (nuint)seen - 1 };
        parts[1] = new iovec { iov_base = (void*)1, iov_len = 1 };
        var message = new msghdr { msg_iov = parts, msg_iovlen = 2 };

        // SAFETY: as of Peek. The second part is no memory of this process: the first page never is (mmap_min_addr).
        return Math.Clamp((int)LibC.Result(LibC.recvmsg(socket, &message, msg_flags.MSG_DONTWAIT | msg_flags.MSG_PEEK)), 0, seen - 1);
    }

    /// <summary>Sends bytes or one message; how many, or a negated errno.</summary>
    /// <param name="socket">The descriptor.</param>
    /// <param name="bytes">What.</param>
    /// <param name="size">How many.</param>
    /// <param name="speaker">Whom the message is from, for those that ask (SCM_CREDENTIALS); null for this process.</param>
    /// <param name="descriptors">What goes beside the first byte, or the message.</param>
    public static int Send(int socket, byte* bytes, int size, ucred? speaker, ReadOnlySpan<int> descriptors = default)
    {
        if (speaker is null && descriptors.IsEmpty)
        {
            return (int)LibC.Result(sys_socket.send(socket, bytes, (nuint)size, msg_flags.MSG_NOSIGNAL | msg_flags.MSG_DONTWAIT));
        }

        return SendMessage(socket, bytes, size, speaker, descriptors);
    }

    [SkipLocalsInit]
    private static int SendMessage(int socket, byte* bytes, int size, ucred? speaker, ReadOnlySpan<int> descriptors)
    {
        byte* control = stackalloc byte[ControlSize];
        int used = 0;
        if (speaker is { } credentials)
        {
            cmsg.PutCredentials(control, credentials);
            used = cmsg.SpaceOfCredentials;
        }

        if (!descriptors.IsEmpty)
        {
            used += cmsg.PutDescriptors(control + used, descriptors);
        }

        var part = new iovec { iov_base = bytes, iov_len = (nuint)size };
        var message = new msghdr { msg_iov = &part, msg_iovlen = 1, msg_control = control, msg_controllen = (nuint)used };

        // SAFETY: all is on this stack but the caller's bytes; credentials and SCM_MAX_FD descriptors fit.
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
