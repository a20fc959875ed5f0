using System.Diagnostics;
using Dpu.Fuse.Wire;
using Dpu.Qtfs.Mount.Handover;
using Microsoft.Win32.SafeHandles;

namespace Dpu.Qtfs.Mount;

/// <summary>A request that was read while every lane was busy, and the descriptor that its reply must go to.</summary>
/// <param name="parked">The request; this one's from now on.</param>
/// <param name="device">Where it was read.</param>
internal sealed unsafe class OverflowRequest(ParkedRequest parked, SafeFileHandle device) : IDisposable
{
    public byte* Message => parked.Message;

    public int Length => parked.Length;

    public SafeFileHandle Device => device;

    public ulong Unique => parked.Unique;

    /// <summary>When it was read from /dev/fuse, as a timestamp of <see cref="Stopwatch"/>.</summary>
    public long ReadAt { get; } = Stopwatch.GetTimestamp();

    /// <summary>The request without its body.</summary>
    public RequestUnderWay Pending
    {
        get
        {
            // SAFETY: a whole header was copied; whoever asks has the queue's lock, or has taken the request out of it.
            var header = (fuse_in_header*)Message;
            return new RequestUnderWay(Unique, header->opcode, header->nodeid, header->pid, ReadAt);
        }
    }

    /// <summary>Once it is answered, or has gone on to where it waits for the host.</summary>
    public void Dispose() => parked.Dispose();
}

/// <summary>Requests that wait for a lane, in the order they were read, bounded in bytes. Thread-safe.</summary>
/// <param name="maxBytes">Beyond this nothing more is read from the kernel, which then makes its callers wait.</param>
internal sealed class OverflowQueue(long maxBytes)
{
    private readonly Lock _lock = new();
    private readonly LinkedList<OverflowRequest> _requests = new();
    private long _bytes;
    private int _count;

    /// <summary>Requests waiting; read without the lock on every lane's way to the device.</summary>
    public int Count => Volatile.Read(ref _count);

    public bool HasRoom
    {
        get
        {
            lock (_lock)
            {
                return _bytes < maxBytes;
            }
        }
    }

    public void Add(OverflowRequest request)
    {
        lock (_lock)
        {
            _requests.AddLast(request);
            _bytes += request.Length;
            Volatile.Write(ref _count, _requests.Count);
        }
    }

    /// <summary>Takes the oldest request; the caller disposes of it.</summary>
    public OverflowRequest? TryTake()
    {
        if (Count == 0)
        {
            return null;
        }

        lock (_lock)
        {
            return Remove(_requests.First);
        }
    }

    /// <summary>Takes the request of that number; the caller disposes of it.</summary>
    public OverflowRequest? TryTake(ulong unique)
    {
        lock (_lock)
        {
            return Remove(NodeOf(unique));
        }
    }

    /// <summary>Whether the request of that number is in it.</summary>
    public bool Has(ulong unique) => Find(unique) is not null;

    /// <summary>The request of that number; null where it is not in it.</summary>
    public RequestUnderWay? Find(ulong unique)
    {
        lock (_lock)
        {
            return NodeOf(unique)?.Value.Pending;
        }
    }

    /// <summary>Adds what waits to a list, the oldest first.</summary>
    public void CopyTo(List<RequestUnderWay> pending)
    {
        if (Count == 0)
        {
            return;
        }

        lock (_lock)
        {
            pending.AddRange(_requests.Select(request => request.Pending));
        }
    }

    private LinkedListNode<OverflowRequest>? NodeOf(ulong unique)
    {
        LinkedListNode<OverflowRequest>? node = _requests.First;
        while (node is not null && node.Value.Unique != unique)
        {
            node = node.Next;
        }

        return node;
    }

    private OverflowRequest? Remove(LinkedListNode<OverflowRequest>? node)
    {
        if (node is null)
        {
            return null;
        }

        _requests.Remove(node);
        _bytes -= node.Value.Length;
        Volatile.Write(ref _count, _requests.Count);
        return node.Value;
    }
}
