using System.Runtime.InteropServices;
using Dpu.Linux;
using Microsoft.Win32.SafeHandles;

namespace Dpu.Link.Sockets;

/// <summary>
/// A unix socket of this machine whose programs a peer serves: their connections wait in the kernel's queue until a connection of
/// the peer takes each; one connection takes all datagrams. Thread-safe.
/// </summary>
/// <param name="socket">The socket, bound and non-blocking, its owner's still.</param>
/// <param name="type">SOCK_STREAM, SOCK_DGRAM or SOCK_SEQPACKET.</param>
/// <param name="time">The clock.</param>
public sealed unsafe class VisitedSocket(SafeHandle socket, int type, TimeProvider time)
{
    private const int RetryMilliseconds = 100;

    private readonly Lock _lock = new();
    private readonly HashSet<IDisposable> _datagrams = [];
    private int _waiting;
    private long _left = time.GetTimestamp();
    private bool _ended;

    /// <summary>For how long nobody has waited for a program.</summary>
    public TimeSpan Deserted
    {
        get
        {
            lock (_lock)
            {
                return _waiting > 0 ? TimeSpan.Zero : time.GetElapsedTime(_left);
            }
        }
    }

    /// <summary>Somebody is about to wait.</summary>
    public void Touch()
    {
        lock (_lock)
        {
            _left = time.GetTimestamp();
        }
    }

    /// <summary>Waits for a program of this machine; blocks.</summary>
    /// <param name="peer">The peer's connection, on which nothing comes until it is answered; what comes ends the wait (EPIPE).</param>
    /// <param name="accepted">The program's connection; of a datagram socket a copy of it, whose relay counts until it is given to <see cref="Leave"/>.</param>
    /// <returns>0 or a negated errno: ECONNREFUSED where it has ended.</returns>
    public int Accept(SafeHandle peer, out SafeFileHandle? accepted)
    {
        accepted = null;
        lock (_lock)
        {
            if (_ended)
            {
                return -errno.ECONNREFUSED;
            }

            _waiting++;
        }

        bool held = false;
        bool peerHeld = false;
        try
        {
            socket.DangerousAddRef(ref held);
            peer.DangerousAddRef(ref peerHeld);
            int descriptor = (int)socket.DangerousGetHandle();
            int result = type == sys_socket.SOCK_DGRAM ? LibC.Result(LibC.fcntl_int(descriptor, fcntl.F_DUPFD_CLOEXEC, 0)) : Wait(descriptor, (int)peer.DangerousGetHandle());
            accepted = result < 0 ? null : new SafeFileHandle(result, ownsHandle: true);
            return Math.Min(result, 0);
        }
        catch (ObjectDisposedException)
        {
            // Expected: either has ended.
            return -errno.ECONNREFUSED;
        }
        finally
        {
            if (held)
            {
                socket.DangerousRelease();
            }

            if (peerHeld)
            {
                peer.DangerousRelease();
            }

            lock (_lock)
            {
                // What carries datagrams counts until it ends.
                if (accepted is null || type != sys_socket.SOCK_DGRAM)
                {
                    Left();
                }
            }
        }
    }

    /// <summary>Is given what breaks off the relay of a datagram socket; false where it has ended.</summary>
    public bool TryJoin(IDisposable relay)
    {
        lock (_lock)
        {
            return type != sys_socket.SOCK_DGRAM || (!_ended && _datagrams.Add(relay));
        }
    }

    /// <summary>That relay has ended.</summary>
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

    /// <summary>Nobody waits any more, and who connects is refused. Connections that were taken go on. The owner still disposes of the socket.</summary>
    /// <returns>False where it had ended.</returns>
    public bool End()
    {
        IDisposable[] relays;
        lock (_lock)
        {
            if (_ended)
            {
                return false;
            }

            _ended = true;
            relays = [.. _datagrams];
        }

        Array.ForEach(relays, relay => relay.Dispose());

        // Wakes who waits, whose reference keeps it open.
        _ = sys_socket.shutdown(socket, sys_socket.SHUT_RDWR);
        return true;
    }

    private void Left()
    {
        _waiting--;
        _left = time.GetTimestamp();
    }

    private static int Wait(int socket, int peer)
    {
        pollfd* waits = stackalloc pollfd[2];
        bool full = false;
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

            int accepted = Accept(socket);
            if (accepted >= 0 || accepted is not (-errno.EAGAIN or -errno.EINTR or -errno.ECONNABORTED or -errno.EMFILE or -errno.ENFILE or -errno.ENOMEM))
            {
                // EINVAL: it was shut down.
                return accepted == -errno.EINVAL ? -errno.ECONNREFUSED : accepted;
            }

            full = accepted is -errno.EMFILE or -errno.ENFILE or -errno.ENOMEM;
        }
    }

    private static int Accept(int socket)
    {
        // The caller holds it.
        using var borrowed = new SafeFileHandle(socket, ownsHandle: false);
        int accepted = sys_socket.accept4(borrowed, null, null, sys_socket.SOCK_CLOEXEC);
        return accepted < 0 ? -Marshal.GetLastPInvokeError() : accepted;
    }
}
