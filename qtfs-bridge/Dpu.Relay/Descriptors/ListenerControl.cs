using System.Runtime.InteropServices;
using Dpu.Linux;
using Microsoft.Win32.SafeHandles;

namespace Dpu.Relay.Descriptors;

/// <summary>
/// One end of the connection that belongs to a listening socket which a program has passed: it ends when one side has the socket no more. Its
/// other end is relayed. Used by one thread, which may wait; <see cref="IsOver"/> and <see cref="Pause"/> by any.
/// </summary>
public sealed unsafe class ListenerControl : IDisposable
{
    private const int RetryMilliseconds = 100;

    private readonly SafeFileHandle _end;

    private ListenerControl(SafeFileHandle end) => _end = end;

    /// <summary>Makes one, and what is to be relayed; null where there are no descriptors left.</summary>
    public static ListenerControl? TryMake(out SafeFileHandle? relayed)
    {
        if (Descriptor.TryMakePair(new PassedDescriptor(DescriptorKind.Socket, DescriptorFlags.None), out SafeFileHandle? ours, out relayed))
        {
            return new ListenerControl(ours!);
        }

        ours?.Dispose();
        relayed?.Dispose();
        return null;
    }

    /// <summary>Whether the other side has ended it.</summary>
    public bool IsOver => _end.IsClosed || (poll.Now(_end, poll.POLLRDHUP) & (poll.POLLRDHUP | poll.POLLHUP | poll.POLLERR)) != 0;

    /// <summary>Waits; true where something has come meanwhile, be it the end.</summary>
    public bool Pause(TimeSpan time) => poll.WaitReadable(_end, time);

    /// <summary>Says something; false where it is over.</summary>
    public bool TryWrite(ReadOnlySpan<byte> content)
    {
        while (!content.IsEmpty)
        {
            fixed (byte* bytes = content)
            {
                // SAFETY: pinned, with its length.
                int sent = (int)LibC.Result(sys_socket.send((int)_end.DangerousGetHandle(), bytes, (nuint)content.Length, msg_flags.MSG_NOSIGNAL));
                if (sent < 0 && sent != -errno.EINTR)
                {
                    return false;
                }

                content = content[Math.Max(sent, 0)..];
            }
        }

        return true;
    }

    /// <summary>Waits until all of it has come; false where it is over before.</summary>
    public bool TryRead(Span<byte> room)
    {
        while (!room.IsEmpty)
        {
            fixed (byte* bytes = room)
            {
                // SAFETY: pinned, with its length.
                int read = (int)LibC.Result(LibC.read((int)_end.DangerousGetHandle(), bytes, (nuint)room.Length));
                if (read <= 0 && read != -errno.EINTR)
                {
                    return false;
                }

                room = room[Math.Max(read, 0)..];
            }
        }

        return true;
    }

    /// <summary>Waits for the next connection of the socket that was passed.</summary>
    /// <remarks>
    /// Whether accept(2) waits is told by the open file description, which programs here have too, and which is left as it is. So it is asked only
    /// when a connection is there; where a program takes that first, it waits for the next one.
    /// </remarks>
    /// <param name="listener">The socket.</param>
    /// <param name="accepted">The connection.</param>
    /// <returns>0 or a negated errno: EPIPE where this is over.</returns>
    public int Accept(SafeHandle listener, out SafeFileHandle? accepted)
    {
        accepted = null;
        pollfd* waits = stackalloc pollfd[2];
        bool full = false;
        while (true)
        {
            // Where there are no descriptors, only the end and the time are waited for.
            waits[0] = new pollfd { fd = (int)_end.DangerousGetHandle(), events = poll.POLLRDHUP };
            waits[1] = new pollfd { fd = full ? -1 : (int)listener.DangerousGetHandle(), events = poll.POLLIN };

            // SAFETY: two on this stack; both handles are this thread's own.
            _ = LibC.poll(waits, 2, full ? RetryMilliseconds : -1);
            full = false;
            if (waits[0].revents != 0)
            {
                return -errno.EPIPE;
            }

            if ((waits[1].revents & (poll.POLLERR | poll.POLLHUP | poll.POLLNVAL)) != 0)
            {
                // Shut down: it accepts no more.
                return -errno.EINVAL;
            }

            if (waits[1].revents == 0)
            {
                continue;
            }

            int connection = sys_socket.accept4(listener, null, null, sys_socket.SOCK_CLOEXEC);
            int error = connection < 0 ? -Marshal.GetLastPInvokeError() : 0;
            if (error == 0)
            {
                accepted = new SafeFileHandle(connection, ownsHandle: true);
                return 0;
            }

            full = error is -errno.EMFILE or -errno.ENFILE or -errno.ENOMEM;
            if (!full && error is not (-errno.EAGAIN or -errno.EINTR or -errno.ECONNABORTED))
            {
                return error;
            }
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _end.Dispose();
}
