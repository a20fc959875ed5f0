using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Text;
using Dpu.Fuse.Wire;
using Dpu.Linux;
using Dpu.Qtfs.Export.Kept;
using Microsoft.Win32.SafeHandles;

namespace Dpu.Qtfs.Export.Sockets;

/// <summary>
/// A socket of this machine that is bound for a program of a peer. It listens once that program does, and its connections wait in the
/// kernel's queue until the peer takes them. Thread-safe.
/// </summary>
internal sealed unsafe class PeerSocket : IDisposable
{
    private const int Backlog = 4096;

    // Before the path, which is for people: generation and inode.
    private const int NoteSize = 2 * sizeof(ulong);
    private const int MostPath = 2048;
    private const int RetryMilliseconds = 100;

    private readonly SafeFileHandle _socket;
    private readonly TimeProvider _time;
    private readonly Lock _lock = new();
    private readonly HashSet<IDisposable> _datagrams = [];
    private int _waiting;
    private long _left;
    private bool _listens;
    private bool _ended;

    public PeerSocket(in fuse_entry_out entry, int type, string path, SafeFileHandle socket, TimeProvider time)
        : this(entry.nodeid, entry.generation, entry.attr.ino, type, path, socket, time)
    {
    }

    private PeerSocket(ulong node, ulong generation, ulong inode, int type, string path, SafeFileHandle socket, TimeProvider time)
    {
        (Node, Generation, Inode, Type, Path, _socket, _time) = (node, generation, inode, type, path, socket, time);
        _left = time.GetTimestamp();
    }

    /// <summary>One of an earlier life of this process; null where that has left something else.</summary>
    public static PeerSocket? TryRestore(ulong node, SafeFileHandle socket, ReadOnlySpan<byte> note, TimeProvider time)
    {
        int type = Option(socket, sys_socket.SO_TYPE);
        if (note.Length < NoteSize || type is not (sys_socket.SOCK_STREAM or sys_socket.SOCK_DGRAM or sys_socket.SOCK_SEQPACKET))
        {
            return null;
        }

        (ulong generation, ulong inode) = (BinaryPrimitives.ReadUInt64LittleEndian(note), BinaryPrimitives.ReadUInt64LittleEndian(note[sizeof(ulong)..]));
        return new PeerSocket(node, generation, inode, type, Encoding.UTF8.GetString(note[NoteSize..]), socket, time)
        {
            _listens = type == sys_socket.SOCK_DGRAM || Option(socket, sys_socket.SO_ACCEPTCONN) != 0,
        };
    }

    /// <summary>Gives it to the keeper.</summary>
    public void Hold(KeptMount kept)
    {
        byte[] path = Encoding.UTF8.GetBytes(Path);
        byte[] note = new byte[NoteSize + Math.Min(path.Length, MostPath)];
        BinaryPrimitives.WriteUInt64LittleEndian(note, Generation);
        BinaryPrimitives.WriteUInt64LittleEndian(note.AsSpan(sizeof(ulong)), Inode);
        path.AsSpan(0, note.Length - NoteSize).CopyTo(note.AsSpan(NoteSize));
        lock (_lock)
        {
            if (!_ended)
            {
                kept.HoldSocket(Node, _socket, note);
            }
        }
    }

    public ulong Node { get; }

    /// <summary>Its file's, as the peer's kernel has it.</summary>
    public ulong Generation { get; }

    /// <summary>The number of its file's inode.</summary>
    public ulong Inode { get; }

    /// <summary>SOCK_STREAM, SOCK_DGRAM or SOCK_SEQPACKET.</summary>
    public int Type { get; }

    /// <summary>Where it was bound, below the export.</summary>
    public string Path { get; }

    /// <summary>For how long connections of programs have had nobody to wait for; zero while there is somebody, and before the peer's program listens.</summary>
    public TimeSpan Deserted
    {
        get
        {
            lock (_lock)
            {
                return _waiting > 0 || !_listens ? TimeSpan.Zero : _time.GetElapsedTime(_left);
            }
        }
    }

    /// <summary>Waits for a program of this machine.</summary>
    /// <param name="peer">The peer's connection, on which nothing comes until it is answered; what comes ends the wait.</param>
    /// <param name="listen">Makes the socket listen, with so long a queue; 0 or a negated errno.</param>
    /// <param name="accepted">The program's connection; of a datagram socket a copy of it.</param>
    /// <returns>0 or a negated errno.</returns>
    public int Accept(SafeHandle peer, Func<SafeHandle, int, int> listen, out SafeFileHandle? accepted)
    {
        accepted = null;
        lock (_lock)
        {
            int error = _ended ? -errno.ECONNREFUSED : _listens || Type == sys_socket.SOCK_DGRAM ? 0 : Listen(listen);
            if (error < 0)
            {
                return error;
            }

            (_listens, _waiting) = (true, _waiting + 1);
        }

        bool held = false;
        bool peerHeld = false;
        try
        {
            _socket.DangerousAddRef(ref held);
            peer.DangerousAddRef(ref peerHeld);
            int result = Type == sys_socket.SOCK_DGRAM
                ? LibC.Result(LibC.fcntl_int((int)_socket.DangerousGetHandle(), fcntl.F_DUPFD_CLOEXEC, 0))
                : Wait((int)_socket.DangerousGetHandle(), (int)peer.DangerousGetHandle());
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
                _socket.DangerousRelease();
            }

            if (peerHeld)
            {
                peer.DangerousRelease();
            }

            lock (_lock)
            {
                // What carries datagrams counts until it ends.
                if (accepted is null || Type != sys_socket.SOCK_DGRAM)
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
            return Type != sys_socket.SOCK_DGRAM || (!_ended && _datagrams.Add(relay));
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

    /// <summary>Closes it: who connects is refused, and who waits in the queue is told. Connections that were taken go on.</summary>
    public void Dispose()
    {
        IDisposable[] relays;
        lock (_lock)
        {
            _ended = true;
            relays = [.. _datagrams];
        }

        Array.ForEach(relays, relay => relay.Dispose());
        try
        {
            // Wakes who waits, whose reference keeps it open.
            _ = sys_socket.shutdown(_socket, sys_socket.SHUT_RDWR);
            _socket.Dispose();
        }
        catch (ObjectDisposedException)
        {
            // Expected: it was closed by another thread.
            return;
        }
    }

    // Under the lock.
    private int Listen(Func<SafeHandle, int, int> listen)
    {
        int error = LibC.SetNonBlocking(_socket);
        return error < 0 ? error : listen(_socket, Backlog);
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

    private static int Option(SafeHandle socket, int option)
    {
        int value = 0;
        uint size = sizeof(int);

        // SAFETY: an int on the stack, with its own size.
        return sys_socket.getsockopt(socket, sys_socket.SOL_SOCKET, option, &value, &size) < 0 ? 0 : value;
    }

    private static int Accept(int socket)
    {
        // The caller holds it.
        using var borrowed = new SafeFileHandle(socket, ownsHandle: false);
        int accepted = sys_socket.accept4(borrowed, null, null, sys_socket.SOCK_CLOEXEC);
        return accepted < 0 ? -Marshal.GetLastPInvokeError() : accepted;
    }
}
