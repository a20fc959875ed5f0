using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Text;
using Dpu.Fuse.Wire;
using Dpu.Link.Sockets;
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

    private readonly SafeFileHandle _socket;
    private readonly VisitedSocket _visited;
    private readonly Lock _lock = new();
    private bool _listens;
    private bool _ended;

    public PeerSocket(in fuse_entry_out entry, int type, string path, SafeFileHandle socket, TimeProvider time)
        : this(entry.nodeid, entry.generation, entry.attr.ino, type, path, socket, time)
    {
    }

    private PeerSocket(ulong node, ulong generation, ulong inode, int type, string path, SafeFileHandle socket, TimeProvider time) =>
        (Node, Generation, Inode, Type, Path, _socket, _visited) = (node, generation, inode, type, path, socket, new VisitedSocket(socket, type, time));

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
                return _listens ? _visited.Deserted : TimeSpan.Zero;
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

            _visited.Touch();
            _listens = true;
        }

        return _visited.Accept(peer, out accepted);
    }

    /// <inheritdoc cref="VisitedSocket.TryJoin"/>
    public bool TryJoin(IDisposable relay) => _visited.TryJoin(relay);

    /// <inheritdoc cref="VisitedSocket.Leave"/>
    public void Leave(IDisposable relay) => _visited.Leave(relay);

    /// <summary>Closes it: who connects is refused, and who waits in the queue is told. Connections that were taken go on.</summary>
    public void Dispose()
    {
        lock (_lock)
        {
            _ended = true;
        }

        if (_visited.End())
        {
            _socket.Dispose();
        }
    }

    // Under the lock.
    private int Listen(Func<SafeHandle, int, int> listen)
    {
        int error = LibC.SetNonBlocking(_socket);
        return error < 0 ? error : listen(_socket, Backlog);
    }

    private static int Option(SafeHandle socket, int option)
    {
        int value = 0;
        uint size = sizeof(int);

        // SAFETY: an int on the stack, with its own size.
        return sys_socket.getsockopt(socket, sys_socket.SOL_SOCKET, option, &value, &size) < 0 ? 0 : value;
    }
}
