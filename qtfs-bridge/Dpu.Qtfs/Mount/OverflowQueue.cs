using System.Diagnostics;
using System.Runtime.InteropServices;
using Dpu.Fuse.Wire;
using Microsoft.Win32.SafeHandles;

namespace Dpu.Qtfs.Mount;

/// <summary>A request that was read while every lane was busy, and the descriptor that its reply must go to.</summary>
internal sealed unsafe class OverflowRequest : IDisposable
{
    public OverflowRequest(byte* message, int length, SafeFileHandle device)
    {
        // SAFETY: 'message' has 'length' bytes; the copy is freed in Dispose.
        Message = (byte*)NativeMemory.Alloc((nuint)length);
        Buffer.MemoryCopy(message, Message, length, length);
        Length = length;
        Device = device;
        ReadAt = Stopwatch.GetTimestamp();
        Unique = ((fuse_in_header*)Message)->unique;
    }

    public byte* Message { get; private set; }

    public int Length { get; }

    public SafeFileHandle Device { get; }

    public ulong Unique { get; }

    /// <summary>When it was read from /dev/fuse, as a timestamp of <see cref="Stopwatch"/>.</summary>
    public long ReadAt { get; }

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

    public void Dispose()
    {
        // SAFETY: allocated by the constructor, owned by whoever took the request from the queue.
        NativeMemory.Free(Message);
        Message = null;
    }
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
            LinkedListNode<OverflowRequest>? node = _requests.First;
            while (node is not null && node.Value.Unique != unique)
            {
                node = node.Next;
            }

            return Remove(node);
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
