using System.Diagnostics;
using Dpu.Linux;
using Dpu.Qtfs.Mount.Sockets;
using Microsoft.Win32.SafeHandles;

namespace Dpu.Runtime.Sockets;

/// <summary>Who has sent datagrams to a socket of a host: a pair of sockets, of which a relay has the other. One thread uses it.</summary>
internal sealed unsafe class Sender : IDisposable
{
    // Where the host takes no more, the thread looks in between whether the relay is over.
    private const int SendBuffer = 4 << 20;

    private readonly SafeFileHandle _end;
    private readonly byte[] _address;
    private long _used = Stopwatch.GetTimestamp();
    private IDisposable? _relay;
    private volatile bool _over;

    private Sender(SafeFileHandle end, byte[] address) => (_end, _address) = (end, address);

    public int Descriptor => (int)_end.DangerousGetHandle();

    public bool IsOver => _over;

    /// <summary>Whether it has an address, to which answers may come at any time.</summary>
    public bool HasAnswers => _address.Length > sizeof(ushort);

    public TimeSpan IdleFor => Stopwatch.GetElapsedTime(_used);

    /// <summary>Joins one with the host's socket; blocks. Null where that refuses.</summary>
    public static Sender? TryOpen(SocketRelays owner, RemoteSocket socket, ucred program, byte[] address, RelaySet relays, Action refused)
    {
        int* ends = stackalloc int[2];

        // SAFETY: two descriptors on the stack.
        if (sys_socket.socketpair(sys_socket.AF_UNIX, sys_socket.SOCK_DGRAM | sys_socket.SOCK_CLOEXEC, 0, ends) < 0)
        {
            return null;
        }

        var ours = new SafeFileHandle(ends[0], ownsHandle: true);
        var relaysEnd = new SafeFileHandle(ends[1], ownsHandle: true);
        int size = SendBuffer;

        // SAFETY: an int on the stack, with its own size.
        _ = sys_socket.setsockopt(ours, sys_socket.SOL_SOCKET, sys_socket.SO_SNDBUFFORCE, &size, sizeof(int));
        var timeout = new timeval { tv_sec = 1 };
        _ = sys_socket.setsockopt(ours, sys_socket.SOL_SOCKET, sys_socket.SO_SNDTIMEO, &timeout, (uint)sizeof(timeval));
        var sender = new Sender(ours, address);
        var credentials = new PeerCredentials(program.pid, program.uid, program.gid, []);
        sender._relay = owner.TryJoin(socket, credentials, relaysEnd, relays, () => sender._over = true);
        if (sender._relay is not null)
        {
            return sender;
        }

        relaysEnd.Dispose();
        sender.Dispose();
        refused();
        return null;
    }

    /// <summary>Sends one message; waits while the host takes no more.</summary>
    public void Send(byte* message, int size)
    {
        _used = Stopwatch.GetTimestamp();
        while (!_over)
        {
            // SAFETY: the caller's bytes.
            long sent = LibC.Result(sys_socket.send(Descriptor, message, (nuint)size, sys_socket.MSG_NOSIGNAL));
            if (sent is not (-errno.EAGAIN or -errno.EINTR))
            {
                return;
            }
        }
    }

    /// <summary>Sends what has been answered to the sender's address.</summary>
    public void GiveAnswers(SafeFileHandle from, byte* buffer, int room)
    {
        while (true)
        {
            // SAFETY: the caller's buffer.
            int received = (int)LibC.Result(sys_socket.recv(Descriptor, buffer, (nuint)room, msg_flags.MSG_DONTWAIT));
            if (received < 0)
            {
                return;
            }

            _used = Stopwatch.GetTimestamp();
            fixed (byte* address = _address)
            {
                var part = new iovec { iov_base = buffer, iov_len = (nuint)received };
                var message = new msghdr { msg_name = HasAnswers ? address : null, msg_namelen = HasAnswers ? (uint)_address.Length : 0, msg_iov = &part, msg_iovlen = 1 };

                // SAFETY: all is pinned or on this stack. Who does not take its answer loses it: others wait behind.
                _ = LibC.sendmsg((int)from.DangerousGetHandle(), &message, sys_socket.MSG_NOSIGNAL | msg_flags.MSG_DONTWAIT);
            }
        }
    }

    public void Dispose()
    {
        // The relay's end of the pair is not told by the other's end: datagrams have no connection.
        _over = true;
        _relay?.Dispose();
        _end.Dispose();
    }
}
