using System.Text;
using Dpu.Fuse;
using Dpu.Fuse.Wire;
using Dpu.Qtfs.Export.Kept;
using Microsoft.Extensions.Logging;
using Microsoft.Win32.SafeHandles;

namespace Dpu.Qtfs.Export.Sockets;

/// <summary>The sockets that are bound for one mount. Thread-safe.</summary>
/// <param name="export">What the mount is of, whose policy says which may be bound.</param>
/// <param name="peer">Whose it is.</param>
/// <param name="time">The clock.</param>
/// <param name="logger">The log.</param>
/// <param name="kept">What holds them beside this process; null for nothing.</param>
internal sealed class PeerSockets(ExportDefinition export, string peer, TimeProvider time, ILogger logger, KeptMount? kept) : ISocketBinder, IDisposable
{
    /// <summary>Sockets of a mount; each is a descriptor, and where it listens a thread and a connection.</summary>
    public const int Most = 1024;

    /// <summary>How long connections wait for a peer that is gone. A runtime that takes the place of another one comes before.</summary>
    public static readonly TimeSpan DesertedLimit = TimeSpan.FromSeconds(30);

    private readonly Lock _lock = new();
    private readonly Dictionary<ulong, PeerSocket> _sockets = [];
    private bool _ended;

    /// <summary>Those that there are.</summary>
    public IReadOnlyList<PeerSocket> All
    {
        get
        {
            lock (_lock)
            {
                return [.. _sockets.Values];
            }
        }
    }

    /// <inheritdoc/>
    public bool MayBind(ReadOnlySpan<byte> path)
    {
        bool full;
        lock (_lock)
        {
            full = _sockets.Count >= Most;
        }

        if (!full && export.Bindable.Match(path))
        {
            return true;
        }

        Log.BindRefused(logger, peer, Encoding.UTF8.GetString(path), export.Name, full ? $"it has {Most} already" : "sockets.bind of the export does not name it");
        return false;
    }

    /// <inheritdoc/>
    public void Bound(in fuse_entry_out entry, int type, ReadOnlySpan<byte> path, SafeFileHandle socket)
    {
        string name = Encoding.UTF8.GetString(path);
        var bound = new PeerSocket(entry, type, name, socket, time);
        PeerSocket? old;
        bool ended;
        lock (_lock)
        {
            _ = _sockets.Remove(entry.nodeid, out old);
            ended = _ended;
            if (!ended)
            {
                _sockets.Add(entry.nodeid, bound);
            }
        }

        old?.Dispose();
        if (ended)
        {
            bound.Dispose();
            return;
        }

        if (kept is not null)
        {
            bound.Hold(kept);
        }

        Log.SocketBound(logger, peer, name, export.Name);
    }

    /// <summary>The one whose file is that node; null for none.</summary>
    public PeerSocket? Find(ulong node)
    {
        lock (_lock)
        {
            return _sockets.GetValueOrDefault(node);
        }
    }

    /// <summary>Closes one.</summary>
    public void Close(ulong node)
    {
        PeerSocket? closed;
        lock (_lock)
        {
            _ = _sockets.Remove(node, out closed);
        }

        if (closed is not null)
        {
            closed.Dispose();
            kept?.DropSocket(node);
        }
    }

    /// <summary>Goes on with those of an earlier life of this process.</summary>
    public void Restore()
    {
        foreach ((ulong node, SafeFileHandle handle, ReadOnlyMemory<byte> note) in kept?.TakeSockets() ?? [])
        {
            if (PeerSocket.TryRestore(node, handle, note.Span, time) is not { } socket)
            {
                handle.Dispose();
                kept!.DropSocket(node);
                continue;
            }

            lock (_lock)
            {
                _sockets.Add(node, socket);
            }
        }
    }

    /// <summary>Gives them to a keeper again that has lost them.</summary>
    public void HoldAgain()
    {
        if (kept is null)
        {
            return;
        }

        foreach (PeerSocket socket in All)
        {
            socket.Hold(kept);
        }
    }

    /// <summary>Closes those that nobody serves any more.</summary>
    public void CloseDeserted()
    {
        foreach (PeerSocket socket in All.Where(socket => socket.Deserted > DesertedLimit))
        {
            Log.SocketDeserted(logger, peer, socket.Path, export.Name, DesertedLimit.TotalSeconds);
            Close(socket.Node);
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        PeerSocket[] all;
        lock (_lock)
        {
            _ended = true;
            all = [.. _sockets.Values];
            _sockets.Clear();
        }

        Array.ForEach(all, socket => socket.Dispose());
    }
}
