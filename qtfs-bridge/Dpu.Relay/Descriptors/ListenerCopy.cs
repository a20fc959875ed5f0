using System.Globalization;
using Dpu.Linux;
using Dpu.Relay.Addresses;
using Microsoft.Win32.SafeHandles;

namespace Dpu.Relay.Descriptors;

/// <summary>
/// A listening socket of a program here, which stands for one at the other end. Only this process connects to it: its file has no name any
/// more. The socket itself is the program's alone, so that it is gone when that closes it. Thread-safe.
/// </summary>
public sealed class ListenerCopy : IDisposable
{
    // The others wait where they have connected. One is ahead, for a program that asks poll(2) first.
    private const int Backlog = 0;

    // Where its file is for a moment, with mode 0.
    private static readonly string[] Folders = ["/run", "/tmp"];

    private static readonly TimeSpan Look = TimeSpan.FromMilliseconds(250);
    private static readonly TimeSpan QueuePause = TimeSpan.FromMilliseconds(20);

    private readonly SafeFileHandle _file;
    private readonly string _address;
    private readonly int _type;

    private ListenerCopy(SafeFileHandle file, int type, ListenerControl control)
    {
        (_file, _type, Control) = (file, type, control);
        _address = string.Create(CultureInfo.InvariantCulture, $"/proc/self/fd/{file.DangerousGetHandle()}");
    }

    /// <summary>What ends when one side has the socket no more.</summary>
    public ListenerControl Control { get; }

    /// <summary>What its connections carry.</summary>
    public SocketKind Kind => (SocketKind)_type;

    /// <summary>Whether the program has closed it, and whoever else had it.</summary>
    public bool IsClosed
    {
        get
        {
            // One of another type: it never connects, but the kernel says whether a socket is there (unix_find_bsd).
            using var probe = new SafeFileHandle(sys_socket.socket(sys_socket.AF_UNIX, sys_socket.SOCK_DGRAM | sys_socket.SOCK_CLOEXEC, 0), ownsHandle: true);
            return !probe.IsInvalid && UnixAddress.Connect(probe, _address) == -errno.ECONNREFUSED;
        }
    }

    /// <summary>Makes one; null where that fails, and why.</summary>
    /// <param name="flags">Its type, and whether its calls wait.</param>
    /// <param name="control">Its own from now on, but where that fails.</param>
    /// <param name="program">What the program gets.</param>
    /// <param name="reason">Why not.</param>
    public static ListenerCopy? TryMake(DescriptorFlags flags, ListenerControl control, out SafeFileHandle? program, out string reason)
    {
        int type = (flags & DescriptorFlags.Messages) != 0 ? sys_socket.SOCK_SEQPACKET : sys_socket.SOCK_STREAM;
        (program, reason) = (null, "");
        foreach (string folder in Folders)
        {
            string path = $"{folder}/.dpu-{Convert.ToHexString(PassedTokens.Create())}";
            int error = BoundAddress.TryBind(path, type, 0, uint.MaxValue, uint.MaxValue, out BoundAddress? bound);
            if (bound is null)
            {
                reason = $"no socket can be bound in {folder}: errno {-error}";
                continue;
            }

            // It removes the name, and closes its own descriptor.
            using (bound)
            {
                SafeFileHandle? file = Descriptor.TryOpen(path, fcntl.O_PATH | fcntl.O_NOFOLLOW, out reason);
                int own = file is null ? -1 : LibC.Result(LibC.fcntl_int((int)bound.Socket.DangerousGetHandle(), fcntl.F_DUPFD_CLOEXEC, 0));
                if (own < 0)
                {
                    reason = file is null ? reason : "there are no descriptors left";
                    file?.Dispose();
                    return null;
                }

                program = new SafeFileHandle(own, ownsHandle: true);
                _ = sys_socket.listen(program, Backlog);
                if ((flags & DescriptorFlags.NonBlock) != 0)
                {
                    _ = LibC.SetNonBlocking(program);
                }

                return new ListenerCopy(file!, type, control);
            }
        }

        return null;
    }

    /// <summary>Connects as a user, and waits where the program has not accepted the one before.</summary>
    /// <param name="uid">The user whom the program sees.</param>
    /// <param name="gid">Its group.</param>
    /// <param name="limit">How often it is tried, in time.</param>
    /// <param name="connected">The connection.</param>
    /// <returns>0 or a negated errno: EAGAIN after the time, ECONNREFUSED where nobody listens any more, EPIPE where the other side has ended.</returns>
    public int Connect(uint uid, uint gid, TimeSpan limit, out SafeFileHandle? connected)
    {
        connected = null;
        bool held = false;
        try
        {
            // As long as this is held, its number is no other's.
            _file.DangerousAddRef(ref held);
            for (long tries = 1; ; tries++)
            {
                int error = VisitorSocket.Connect(_address, _type, uid, gid, out connected);
                if (error != -errno.EAGAIN || tries * QueuePause >= limit)
                {
                    return error;
                }

                if (Control.Pause(QueuePause))
                {
                    return -errno.EPIPE;
                }
            }
        }
        catch (ObjectDisposedException)
        {
            // Expected: it ended meanwhile.
            return -errno.ECONNREFUSED;
        }
        finally
        {
            if (held)
            {
                _file.DangerousRelease();
            }
        }
    }

    /// <summary>Waits until the other side has something to say; false where the program has closed the socket before.</summary>
    public bool Await()
    {
        while (!Control.Pause(Look))
        {
            if (IsClosed)
            {
                return false;
            }
        }

        return true;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Control.Dispose();
        _file.Dispose();
    }
}
