using System.Collections.Concurrent;
using System.Runtime.InteropServices;
using Dpu.Fuse.Wire;
using Dpu.Linux;
using Microsoft.Win32.SafeHandles;

namespace Dpu.Fuse.Ring;

/// <summary>One thread that serves a queue: takes what the kernel has put into its slots, dispatches, commits all answers at once.</summary>
internal sealed unsafe class FuseRingWorker(FuseDispatcher dispatcher, SafeFileHandle device, int queue, int depth, TimeProvider time) : IFuseLateReplies
{
    private readonly ConcurrentQueue<(ulong Unique, int Error)> _late = new();
    private readonly Dictionary<ulong, FuseRingSlot> _held = [];
    private FuseRing? _ring;
    private long _busySince;
    private int _ended;

    /// <summary>When the first of the requests under way was taken, as a timestamp of the clock; 0 where there is none.</summary>
    internal long BusySince => Volatile.Read(ref _busySince);

    /// <summary>Makes the ring; on the thread that will run it.</summary>
    /// <exception cref="FuseMountException">It cannot be made.</exception>
    internal void Prepare() => _ring = FuseRing.Create(device, [queue], depth);

    /// <inheritdoc/>
    public void Complete(ulong unique, int error)
    {
        _late.Enqueue((unique, error));
        Volatile.Read(ref _ring)?.Wake();
    }

    /// <summary>Closes the ring and the worker's clone of the device.</summary>
    internal void Close()
    {
        _ring?.Dispose();
        device.Dispose();
    }

    /// <summary>Serves until the connection ends.</summary>
    /// <returns>Null where it ended as connections do, which whoever reads the device says; else what failed.</returns>
    internal FuseServerEnd? Run()
    {
        FuseRingSupport.Pin(queue);
        byte* reply = (byte*)NativeMemory.AlignedAlloc(FuseLimits.MaxMessageSize, 4096);
        try
        {
            int registered = _ring!.Register();
            return registered < 0 ? Failed(registered) : Serve(_ring, reply);
        }
        finally
        {
            // SAFETY: no request is under way on this thread, and nobody else knows the buffer.
            NativeMemory.AlignedFree(reply);
        }
    }

    private static FuseServerEnd Failed(int error) => new(FuseServerEndReason.Failed, -error, null);

    private FuseServerEnd? Serve(FuseRing ring, byte* buffer)
    {
        while (true)
        {
            if (ring.Enter(wait: true) is < 0 and int error)
            {
                return Failed(error);
            }

            while (ring.TryTake(out FuseRingEvent taken))
            {
                switch (taken.Kind)
                {
                    case FuseRingEventKind.Request when !Dispatch(ring, taken.Slot!, buffer):
                        return Failed(-errno.EPROTO);
                    case FuseRingEventKind.Woken:
                        AnswerLate(ring);
                        break;
                    case FuseRingEventKind.Ended:
                        // Unmounted, aborted. Anything else is one slot that the kernel refused: others may go on.
                        if (taken.Result is -errno.ENOTCONN or -errno.ECONNABORTED or -errno.ECANCELED)
                        {
                            return null;
                        }

                        if (++_ended == ring.Slots.Count)
                        {
                            return Failed(taken.Result);
                        }

                        break;
                }
            }
        }
    }

    private bool Dispatch(FuseRing ring, FuseRingSlot slot, byte* buffer)
    {
        // A timestamp of 0 would read as idle; being a tick late does not matter.
        Volatile.Write(ref _busySince, Math.Max(time.GetTimestamp(), 1));
        byte* reply = slot.ReplyIsApart ? slot.Reply : buffer;
        int length = dispatcher.Dispatch(slot.Request, slot.RequestLength, reply, FuseRingSlot.PayloadCapacity + sizeof(fuse_out_header), this);
        Volatile.Write(ref _busySince, 0);
        if (length > 0)
        {
            ring.Commit(slot, reply, length);
            return true;
        }

        if (length == 0)
        {
            // It waits, and its slot with it: the queue gets another one for the requests that do not.
            _held.Add(((fuse_in_header*)slot.Request)->unique, slot);
            return ring.TryAddSlot(slot.Queue) || _held.Count < ring.Slots.Count;
        }

        return false;
    }

    private void AnswerLate(FuseRing ring)
    {
        while (_late.TryDequeue(out (ulong Unique, int Error) late))
        {
            if (_held.Remove(late.Unique, out FuseRingSlot? slot))
            {
                ring.Commit(slot, late.Unique, late.Error);
            }
        }
    }
}
