using System.Runtime.InteropServices;
using Dpu.Fuse;
using Dpu.Fuse.Wire;
using Dpu.Link;
using Dpu.Qtfs.Export.Coherence;

namespace Dpu.Qtfs.Export;

/// <summary>
/// One connection of a mount, served on the thread it came with: receive a request, dispatch it, send its reply.
/// </summary>
internal sealed unsafe class ExportLane : IDisposable
{
    private readonly LinkConnection _connection;
    private readonly ExportedMount _mount;
    private readonly PeerUsage _peer;
    private readonly TimeProvider _time;
    private readonly FuseChannel _channel;
    private byte* _reply;
    private long _requests;

    public ExportLane(LinkConnection connection, ExportedMount mount, PeerUsage peer, TimeProvider time)
    {
        _connection = connection;
        _mount = mount;
        _peer = peer;
        _time = time;
        _channel = new FuseChannel(connection.Stream, sizeof(fuse_in_header), FuseLimits.MaxMessageSize);

        // SAFETY: freed in Dispose, by the thread that runs Serve.
        _reply = (byte*)NativeMemory.AlignedAlloc((nuint)FuseLimits.MaxMessageSize, 4096);
    }

    public long Requests => Interlocked.Read(ref _requests);

    public bool HasStalled(TimeSpan limit)
    {
        long since = _channel.PartialSince;
        return since != 0 && Environment.TickCount64 - since > (long)limit.TotalMilliseconds;
    }

    /// <summary>Breaks the connection, so that <see cref="Serve"/> returns soon.</summary>
    public void Cut() => _connection.Abort();

    /// <summary>Serves requests until the peer closes, the mount ends or the peer breaks the protocol.</summary>
    /// <exception cref="FuseChannelException">The peer broke the framing.</exception>
    /// <exception cref="IOException">The connection broke.</exception>
    public void Serve(CancellationToken stopping)
    {
        FuseWorkerThread.Enter();
        _mount.Changes?.EnterThread();
        try
        {
            ServeRequests(stopping);
        }
        finally
        {
            _mount.Changes?.LeaveThread();
        }
    }

    private void ServeRequests(CancellationToken stopping)
    {
        CacheGrants? grants = _mount.Grants;
        long lastReply = 0;
        while (!stopping.IsCancellationRequested)
        {
            int length = _channel.Receive(out byte* request);
            if (length == 0)
            {
                return;
            }

            Interlocked.Increment(ref _requests);
            TimeSpan wait = _peer.Charge(length + lastReply, _time.GetElapsedTime(0).Ticks);
            if (wait > TimeSpan.Zero && stopping.WaitHandle.WaitOne(wait))
            {
                return;
            }

            // SAFETY: Receive returns at least a whole header.
            uint opcode = ((fuse_in_header*)request)->opcode;
            CacheGrants.Ticket ticket = grants?.Prepare(request, length) ?? default;
            int replyLength = _mount.Dispatcher.Dispatch(request, length, _reply, FuseLimits.MaxMessageSize);
            if (replyLength == FuseDispatcher.Violation)
            {
                throw new FuseChannelException($"the peer sent a malformed FUSE message (opcode {opcode}, {length} bytes)");
            }

            if (replyLength > 0)
            {
                replyLength = grants?.Grant(request, ticket, _reply, replyLength) ?? replyLength;
                _channel.Send(_reply, replyLength);
                lastReply = replyLength;
            }

            if (opcode == (uint)fuse_opcode.FUSE_INIT)
            {
                _mount.Initialized = true;
            }
            else if (opcode == (uint)fuse_opcode.FUSE_DESTROY)
            {
                _mount.End();
                return;
            }
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _channel.Dispose();

        // SAFETY: allocated by the constructor; nulled so that a second call is harmless.
        NativeMemory.AlignedFree(_reply);
        _reply = null;
    }
}
