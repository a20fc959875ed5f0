using System.ComponentModel;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using Dpu.Linux;

namespace Dpu.Link.Sockets;

/// <summary>
/// Blocking sockets of any family. The managed Socket's own connect knows no time limit, makes sockets non-blocking
/// for ever once an asynchronous call was used, and does not know AF_VSOCK.
/// </summary>
internal static unsafe class NativeSocket
{
    /// <summary>A new stream socket, closed on exec, or the errno.</summary>
    internal static int Open(int family, out SafeSocketHandle? socket)
    {
        socket = null;
        var fd = sys_socket.socket(family, sys_socket.SOCK_STREAM | sys_socket.SOCK_CLOEXEC, 0);
        if (fd < 0)
        {
            return Marshal.GetLastPInvokeError();
        }

        socket = new SafeSocketHandle(fd, ownsHandle: true);
        return 0;
    }

    /// <summary>Connects within <paramref name="limit"/>; 0 or the errno (ETIMEDOUT when the limit passed).</summary>
    internal static int Connect(SafeSocketHandle socket, ReadOnlySpan<byte> address, TimeSpan limit)
    {
        // unix(7) and socket(7): connect obeys SO_SNDTIMEO; inet answers EINPROGRESS, unix and vsock EAGAIN.
        SetTimeout(socket, sys_socket.SO_SNDTIMEO, limit);
        int result;

        // SAFETY: the span is pinned for the call and its length is passed with it.
        fixed (byte* pointer = address)
        {
            result = sys_socket.connect(socket, pointer, (uint)address.Length);
        }

        var error = result < 0 ? Marshal.GetLastPInvokeError() : 0;
        SetTimeout(socket, sys_socket.SO_SNDTIMEO, TimeSpan.Zero);
        return error is errno.EINPROGRESS or errno.EAGAIN or errno.EALREADY ? errno.ETIMEDOUT : error;
    }

    /// <summary>bind(2): 0 or the errno.</summary>
    internal static int Bind(SafeSocketHandle socket, ReadOnlySpan<byte> address)
    {
        // SAFETY: the span is pinned for the call and its length is passed with it.
        fixed (byte* pointer = address)
        {
            return sys_socket.bind(socket, pointer, (uint)address.Length) < 0 ? Marshal.GetLastPInvokeError() : 0;
        }
    }

    /// <summary>listen(2): 0 or the errno.</summary>
    internal static int Listen(SafeSocketHandle socket, int backlog) =>
        sys_socket.listen(socket, backlog) < 0 ? Marshal.GetLastPInvokeError() : 0;

    /// <summary>Waits for a connection: 0 or the errno (EINVAL: shut down; EAGAIN: the socket's receive limit passed).</summary>
    internal static int Accept(SafeSocketHandle listener, out SafeSocketHandle? accepted, Span<byte> address, out int addressSize)
    {
        accepted = null;
        var size = (uint)address.Length;

        // SAFETY: the span is pinned for the call, which writes at most `size` bytes, and size to the local.
        fixed (byte* pointer = address)
        {
            var fd = sys_socket.accept4(listener, pointer, &size, sys_socket.SOCK_CLOEXEC);
            addressSize = (int)Math.Min(size, (uint)address.Length);
            if (fd < 0)
            {
                return Marshal.GetLastPInvokeError();
            }

            accepted = new SafeSocketHandle(fd, ownsHandle: true);
            return 0;
        }
    }

    /// <summary>The port that the kernel chose.</summary>
    internal static uint BoundPort(SafeSocketHandle socket)
    {
        Span<byte> address = stackalloc byte[SocketAddresses.MaxSize];
        var size = (uint)address.Length;

        // SAFETY: the span is pinned for the call, which writes at most `size` bytes.
        fixed (byte* pointer = address)
        {
            if (sys_socket.getsockname(socket, pointer, &size) < 0)
            {
                throw new Win32Exception(Marshal.GetLastPInvokeError());
            }
        }

        return SocketAddresses.Port(address);
    }

    /// <summary>Sets SO_RCVTIMEO or SO_SNDTIMEO; zero or less means no limit.</summary>
    internal static void SetTimeout(SafeSocketHandle socket, int option, TimeSpan limit)
    {
        var microseconds = Math.Max(0, limit.Ticks / TimeSpan.TicksPerMicrosecond);
        var value = new timeval { tv_sec = (nint)(microseconds / 1_000_000), tv_usec = (nint)(microseconds % 1_000_000) };

        // SAFETY: the local lives on this stack for the call, and its own size is passed.
        _ = sys_socket.setsockopt(socket, sys_socket.SOL_SOCKET, option, &value, (uint)sizeof(timeval));
    }

    /// <summary>
    /// Room for a whole message of 1 MiB on its way, so that who sends one need not wait for who receives it piece by piece.
    /// As much as the system allows where we may not have it all.
    /// </summary>
    internal static void RaiseSendBuffer(SafeSocketHandle socket)
    {
        // The kernel doubles it, for its own part.
        const int Size = 1 << 20;
        if (SetOption(socket, sys_socket.SOL_SOCKET, sys_socket.SO_SNDBUFFORCE, Size) != 0)
        {
            _ = SetOption(socket, sys_socket.SOL_SOCKET, sys_socket.SO_SNDBUF, Size);
        }
    }

    /// <summary>Sets an integer option: 0 or the errno.</summary>
    internal static int SetOption(SafeSocketHandle socket, int level, int option, int value) =>
        // SAFETY: the parameter lives on this stack for the call, and its own size is passed.
        sys_socket.setsockopt(socket, level, option, &value, sizeof(int)) < 0 ? Marshal.GetLastPInvokeError() : 0;

    /// <summary>Ends both directions, waking threads that block on the socket; harmless where it is not connected.</summary>
    internal static void ShutDown(SafeSocketHandle socket)
    {
        try
        {
            _ = sys_socket.shutdown(socket, sys_socket.SHUT_RDWR);
        }
        catch (ObjectDisposedException)
        {
            // Expected: the owner closed it in the meantime, which is what was wanted.
        }
    }

    /// <summary>The user and process at the other end of a unix socket.</summary>
    internal static ucred PeerCredentials(SafeSocketHandle socket)
    {
        ucred credentials;
        var size = (uint)sizeof(ucred);

        // SAFETY: the kernel writes at most `size` bytes, the local's own size.
        if (sys_socket.getsockopt(socket, sys_socket.SOL_SOCKET, sys_socket.SO_PEERCRED, &credentials, &size) < 0)
        {
            throw new Win32Exception(Marshal.GetLastPInvokeError());
        }

        return credentials;
    }

    /// <summary>What an errno means, for messages.</summary>
    internal static string Describe(int error) => Marshal.GetPInvokeErrorMessage(error);
}
