using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Dpu.Fuse.Wire;
using Dpu.Linux;
using Microsoft.Win32.SafeHandles;

namespace Dpu.Fuse;

/// <summary>One thread's loop: read a request, dispatch it, write the reply to the descriptor it came from.</summary>
internal sealed unsafe class FuseWorker(FuseDispatcher dispatcher, SafeFileHandle device, TimeProvider time, Action negotiated) : IFuseLateReplies
{
    /// <summary>Buffers begin on a page, and replies' data then crosses as few pages as it can.</summary>
    private const int Alignment = 4096;

    private long _busySince;

    /// <summary>When the request under way was read, as a timestamp of the clock; 0 where there is none.</summary>
    internal long BusySince => Volatile.Read(ref _busySince);

    /// <summary>Replies that the kernel refused as malformed (bugs); their requesters got EIO.</summary>
    internal long RefusedReplies { get; private set; }

    /// <summary>Closes the worker's clone of the device; to be called when it has ended, or will never run.</summary>
    internal void Close() => device.Dispose();

    /// <inheritdoc/>
    public void Complete(ulong unique, int error)
    {
        var header = new fuse_out_header { len = (uint)sizeof(fuse_out_header), error = error, unique = unique };
        bool held = false;
        try
        {
            device.DangerousAddRef(ref held);

            // SAFETY: a struct on the stack, written whole. A failure says that nobody waits any more.
            _ = FuseDevice.WriteReply(device, (byte*)&header, sizeof(fuse_out_header));
        }
        catch (ObjectDisposedException)
        {
            // Expected: the worker has ended, and the mount with it.
        }
        finally
        {
            if (held)
            {
                device.DangerousRelease();
            }
        }
    }

    /// <summary>Serves until the connection ends; says why.</summary>
    internal FuseServerEnd Run()
    {
        byte* request = (byte*)NativeMemory.AlignedAlloc(FuseLimits.MaxMessageSize, Alignment);
        byte* reply = (byte*)NativeMemory.AlignedAlloc(FuseLimits.MaxMessageSize, Alignment);
        try
        {
            // Touched before use: page faults would otherwise come with the first large requests.
            NativeMemory.Clear(request, FuseLimits.MaxMessageSize);
            NativeMemory.Clear(reply, FuseLimits.MaxMessageSize);
            return Serve(request, reply);
        }
        finally
        {
            // SAFETY: no request is under way on this thread, and nobody else knows these buffers.
            NativeMemory.AlignedFree(request);
            NativeMemory.AlignedFree(reply);
        }
    }

    private FuseServerEnd Serve(byte* request, byte* reply)
    {
        while (true)
        {
            int length = FuseDevice.ReadRequest(device, request, FuseLimits.MaxMessageSize);
            if (length <= 0)
            {
                if (length is -errno.EINTR or -errno.EAGAIN or -errno.ENOENT)
                {
                    continue;
                }

                return EndOf(length);
            }

            // A timestamp of 0 would read as idle; being a tick late does not matter.
            Volatile.Write(ref _busySince, Math.Max(time.GetTimestamp(), 1));
            int replyLength = dispatcher.Dispatch(request, length, reply, FuseLimits.MaxMessageSize, this);
            int written = replyLength > 0 ? Answer(reply, replyLength) : replyLength;
            Volatile.Write(ref _busySince, 0);
            if (((fuse_in_header*)request)->opcode == (uint)fuse_opcode.FUSE_INIT)
            {
                negotiated();
            }

            // ENOENT: whoever waited was killed meanwhile.
            if (written < 0 && written != -errno.ENOENT)
            {
                return replyLength == FuseDispatcher.Violation ? new FuseServerEnd(FuseServerEndReason.Failed, errno.EPROTO, null) : EndOf(written);
            }
        }
    }

    private int Answer(byte* reply, int length)
    {
        int written = FuseDevice.WriteReply(device, reply, length);
        if (written != -errno.EINVAL)
        {
            return written;
        }

        // The kernel did not like it and the requester still waits: an error is always understood.
        RefusedReplies++;
        ref fuse_out_header header = ref Unsafe.AsRef<fuse_out_header>(reply);
        header.len = (uint)sizeof(fuse_out_header);
        header.error = -errno.EIO;
        return FuseDevice.WriteReply(device, reply, sizeof(fuse_out_header));
    }

    private static FuseServerEnd EndOf(int result) => new(
        result switch
        {
            -errno.ENODEV => FuseServerEndReason.Unmounted,
            -errno.ECONNABORTED => FuseServerEndReason.Aborted,
            _ => FuseServerEndReason.Failed,
        },
        -result, null);
}
