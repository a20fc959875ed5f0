using System.Runtime.InteropServices;
using Dpu.Linux;
using Dpu.Relay.Addresses;
using Microsoft.Win32.SafeHandles;

namespace Dpu.HostAgent.Sockets;

/// <summary>Where this machine listens for a peer: connections of programs wait in the kernel's queue until the peer takes them. Thread-safe.</summary>
internal sealed unsafe class ForwardListener : IDisposable
{
    private const int Backlog = 4096;
    private const int RetryMilliseconds = 100;

    private readonly BoundAddress _bound;
    private readonly int _type;
    private readonly TimeProvider _time;
    private readonly Lock _lock = new();
    private readonly HashSet<IDisposable> _datagrams = [];
    private int _waiting;
    private long _left;
    private bool _ended;

    private ForwardListener(BoundAddress bound, int type, TimeProvider time) => (_bound, _type, _time, _left) = (bound, type, time, time.GetTimestamp());

    /// <summary>For how long nobody has waited for a program.</summary>
    public TimeSpan Deserted
    {
        get
        {
            lock (_lock)
            {
                return _waiting > 0 ? TimeSpan.Zero : _time.GetElapsedTime(_left);
            }
        }
    }

    public static int TryMake(string address, int type, uint mode, uint uid, uint gid, TimeProvider time, out ForwardListener? listener)
    {
        listener = null;
        int error = BoundAddress.TryBind(address, type, mode, uid, gid, out BoundAddress? bound);
        if (bound is null)
        {
            return error;
        }

        if ((error = LibC.SetNonBlocking(bound.Socket)) < 0
            || (type != sys_socket.SOCK_DGRAM && (error = sys_socket.listen(bound.Socket, Backlog) < 0 ? -Marshal.GetLastPInvokeError() : 0) < 0))
        {
            bound.Dispose();
            return error;
        }

        listener = new ForwardListener(bound, type, time);
        return 0;
    }

    /// <summary>Waits for a program; 0 or a negated errno.</summary>
    /// <param name="peer">The peer's connection; what comes on it ends the wait.</param>
    /// <param name="accepted">The program's connection; of a datagram socket a copy of it, whose relay counts until it is given to <see cref="Leave"/>.</param>
    public int Accept(SafeHandle peer, out SafeFileHandle? accepted)
    {
        accepted = null;
        bool held = false;
        lock (_lock)
        {
            if (_ended)
            {
                return -errno.EPIPE;
            }

            _waiting++;
            _bound.Socket.DangerousAddRef(ref held);
        }

        try
        {
            int socket = (int)_bound.Socket.DangerousGetHandle();
            int result = _type == sys_socket.SOCK_DGRAM ? LibC.Result(LibC.fcntl_int(socket, fcntl.F_DUPFD_CLOEXEC, 0)) : Wait(socket, (int)peer.DangerousGetHandle());
            accepted = result < 0 ? null : new SafeFileHandle(result, ownsHandle: true);
            return Math.Min(result, 0);
        }
        finally
        {
            _bound.Socket.DangerousRelease();
            lock (_lock)
            {
                if (accepted is null || _type != sys_socket.SOCK_DGRAM)
                {
                    Left();
                }
            }
        }
    }

    public bool TryJoin(IDisposable relay)
    {
        lock (_lock)
        {
            return _type != sys_socket.SOCK_DGRAM || (!_ended && _datagrams.Add(relay));
        }
    }

    public void Leave(IDisposable relay)
    {
        lock (_lock)
        {
            if (_datagrams.Remove(relay))
            {
                Left();
            }
        }
    }

    /// <summary>Closes it, and removes its file. Connections that were taken go on.</summary>
    public void Dispose()
    {
        IDisposable[] relays;
        lock (_lock)
        {
            if (_ended)
            {
                return;
            }

            _ended = true;
            relays = [.. _datagrams];
        }

        Array.ForEach(relays, relay => relay.Dispose());

        // Wakes who waits, whose reference keeps it open.
        _ = sys_socket.shutdown(_bound.Socket, sys_socket.SHUT_RDWR);
        _bound.Dispose();
    }

    private void Left()
    {
        _waiting--;
        _left = _time.GetTimestamp();
    }

    private static int Wait(int socket, int peer)
    {
        pollfd* waits = stackalloc pollfd[2];
        bool full = false;
        using var borrowed = new SafeFileHandle(socket, ownsHandle: false);
        while (true)
        {
            // Where there are no descriptors, only the peer's end and the time are waited for.
            waits[0] = new pollfd { fd = peer, events = poll.POLLIN | poll.POLLRDHUP };
            waits[1] = new pollfd { fd = full ? -1 : socket, events = poll.POLLIN };

            // SAFETY: two on this stack.
            _ = LibC.poll(waits, 2, full ? RetryMilliseconds : -1);
            if (waits[0].revents != 0)
            {
                return -errno.EPIPE;
            }

            int accepted = sys_socket.accept4(borrowed, null, null, sys_socket.SOCK_CLOEXEC);
            int error = accepted < 0 ? -Marshal.GetLastPInvokeError() : 0;
            if (error is not (-errno.EAGAIN or -errno.EINTR or -errno.ECONNABORTED or -errno.EMFILE or -errno.ENFILE or -errno.ENOMEM))
            {
                return error < 0 ? error : accepted;
            }

            full = error is -errno.EMFILE or -errno.ENFILE or -errno.ENOMEM;
        }
    }
}
