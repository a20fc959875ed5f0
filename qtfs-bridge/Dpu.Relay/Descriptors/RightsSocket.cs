using System.Runtime.InteropServices;
using Dpu.Linux;
using Dpu.Relay.Flow;

namespace Dpu.Relay.Descriptors;

/// <summary>Bytes of a unix socket of type STREAM with descriptors beside them, for what is no relay.</summary>
public static unsafe class RightsSocket
{
    // Whoever reads it does nothing else.
    private const int LimitMilliseconds = 30_000;

    /// <summary>Sends all, the descriptors beside the first byte; false where the other end is gone, or reads nothing for half a minute.</summary>
    public static bool TrySendAll(SafeHandle socket, ReadOnlySpan<byte> bytes, ReadOnlySpan<int> descriptors)
    {
        ArgumentNullException.ThrowIfNull(socket);
        while (!bytes.IsEmpty)
        {
            int sent = TrySend(socket, bytes, descriptors);
            if (sent == -errno.EAGAIN)
            {
                var wait = new pollfd { fd = (int)socket.DangerousGetHandle(), events = poll.POLLOUT };

                // SAFETY: one on this stack.
                if (LibC.poll(&wait, 1, LimitMilliseconds) <= 0)
                {
                    return false;
                }
            }
            else if (sent < 0 && sent != -errno.EINTR)
            {
                return false;
            }
            else if (sent > 0)
            {
                bytes = bytes[sent..];
                descriptors = [];
            }
        }

        return true;
    }

    /// <summary>Sends what goes without waiting; how many bytes, or a negated errno.</summary>
    public static int TrySend(SafeHandle socket, ReadOnlySpan<byte> bytes, ReadOnlySpan<int> descriptors)
    {
        ArgumentNullException.ThrowIfNull(socket);
        fixed (byte* at = bytes)
        {
            // SAFETY: pinned, with its length.
            return LocalSocket.Send((int)socket.DangerousGetHandle(), at, bytes.Length, null, descriptors);
        }
    }

    /// <summary>Receives what is there; bytes, 0 at the end, or a negated errno.</summary>
    /// <param name="socket">The socket.</param>
    /// <param name="room">Where to.</param>
    /// <param name="descriptors">What came beside, the caller's from now on.</param>
    /// <param name="lost">Whether some were lost, as this process has no room for more.</param>
    public static int TryReceive(SafeHandle socket, Span<byte> room, out int[]? descriptors, out bool lost)
    {
        ArgumentNullException.ThrowIfNull(socket);
        fixed (byte* at = room)
        {
            // SAFETY: pinned, with its length.
            int received = LocalSocket.Receive((int)socket.DangerousGetHandle(), at, room.Length, out int flags, out _, out descriptors);
            lost = (flags & msg_flags.MSG_CTRUNC) != 0;
            return received;
        }
    }
}
