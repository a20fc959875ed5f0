using System.Runtime.InteropServices;
using Dpu.Fuse;
using Dpu.Fuse.Wire;
using Dpu.Link;
using Dpu.Linux;
using Dpu.Proto.V1;
using Dpu.Qtfs.Export.Coherence;
using Dpu.Qtfs.Mount;

namespace Dpu.Qtfs.Export;

/// <summary>
/// One connection of a mount, served on the thread it came with: receive a request, dispatch it, send its reply.
/// </summary>
internal sealed unsafe class ExportLane : IFuseLateReplies, IDisposable
{
    private readonly LinkConnection _connection;
    private readonly ExportedMount _mount;
    private readonly PeerUsage _peer;
    private readonly TimeProvider _time;
    private readonly FuseChannel _channel;
    private readonly Lock _dispatching = new();
    private readonly Lock _sending = new();
    private readonly bool _numbered;
    private readonly bool _sendsDirectories;
    private readonly bool _marksQuiet;
    private readonly bool _sendsContents;
    private readonly Func<ExportedMount, ulong, uint>? _socketOf;
    private readonly ReplySlot? _slot;
    private bool _fenced;
    private bool _ended;
    private byte* _reply;
    private long _requests;
    private long _opcode = -1;

    public ExportLane(LinkConnection connection, ExportedMount mount, PeerUsage peer, TimeProvider time)
    {
        _connection = connection;
        _mount = mount;
        _peer = peer;
        _time = time;
        Waits = connection.Hello.Fs.Waits;
        _numbered = connection.Hello.Fs.NumberedGrants && mount.Changes is not null;
        _marksQuiet = connection.Hello.Fs.QuietCloses;
        _sendsDirectories = connection.Hello.Fs.DirectoryAttributes && mount.Grants is not null;
        _sendsContents = connection.Hello.Fs.OpenedContent && mount.Grants is not null;
        _socketOf = connection.Hello.Fs.Sockets ? mount.SocketOf : null;
        _slot = SlotOf(mount, connection.Hello.Fs);
        _channel = new FuseChannel(connection.Stream, sizeof(fuse_in_header), FuseLimits.MaxMessageSize);

        // SAFETY: freed in Dispose, by the thread that runs Serve.
        _reply = (byte*)NativeMemory.AlignedAlloc((nuint)FuseLimits.MaxMessageSize, 4096);
    }

    /// <summary>Whether it is the mount's connection for requests that wait.</summary>
    public bool Waits { get; }

    public long Requests => Interlocked.Read(ref _requests);

    /// <summary>The opcode of the request that is being served; null between requests.</summary>
    public uint? OpcodeInFlight => Volatile.Read(ref _opcode) is >= 0 and long opcode ? (uint)opcode : null;

    /// <summary>Where the answers of such a lane are kept; null where they are not.</summary>
    public static ReplySlot? SlotOf(ExportedMount mount, FsParameters asked) =>
        asked is { NumberedRequests: true, Waits: false } ? mount.SlotOf(asked.Lane) : null;

    public bool HasStalled(TimeSpan limit)
    {
        long since = _channel.PartialSince;
        return since != 0 && Environment.TickCount64 - since > (long)limit.TotalMilliseconds;
    }

    /// <summary>Breaks the connection, so that <see cref="Serve"/> returns soon.</summary>
    public void Cut() => _connection.Abort();

    /// <summary>For a lane that waits: breaks the connection; when this returns, none of its requests is carried out any more.</summary>
    public void Fence()
    {
        Cut();
        lock (_dispatching)
        {
            _fenced = true;
        }
    }

    /// <summary>Sends the answer of a request that has waited. One that cannot be sent is lost: its peer asks again.</summary>
    public void Complete(ulong unique, int error)
    {
        var answer = new GrantedLock { header = new fuse_out_header { len = (uint)sizeof(fuse_out_header), error = error, unique = unique } };
        int length = _numbered && error == 0 ? Number((byte*)&answer) : sizeof(fuse_out_header);
        lock (_sending)
        {
            if (_ended)
            {
                return;
            }

            try
            {
                _channel.Send((byte*)&answer, length);
            }
            catch (Exception e) when (e is IOException or ObjectDisposedException)
            {
                // Expected when the link breaks, which the lane's own thread finds and says.
                Cut();
            }
        }
    }

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

            // SAFETY: Receive returns at least a whole header.
            uint opcode = ((fuse_in_header*)request)->opcode;
            long received = _time.GetTimestamp();
            Volatile.Write(ref _opcode, opcode);
            Interlocked.Increment(ref _requests);
            TimeSpan wait = _peer.Charge(length + lastReply, _time.GetElapsedTime(0).Ticks);
            if (wait > TimeSpan.Zero && stopping.WaitHandle.WaitOne(wait))
            {
                return;
            }

            if (Waits && !MayWait((fuse_opcode)opcode))
            {
                throw new FuseChannelException($"the peer sent opcode {opcode} on the connection for requests that wait");
            }

            int replyLength = Answer(request, length, out bool again, stopping);
            if (replyLength < 0)
            {
                return;
            }

            if (opcode == (uint)fuse_opcode.FUSE_INIT)
            {
                _mount.SetInitialized();
            }

            if (again)
            {
                Send(replyLength);
            }
            else if (replyLength > 0)
            {
                replyLength = _sendsDirectories ? grants!.AddDirectory(request, _reply, replyLength) : replyLength;
                replyLength = _sendsContents ? grants!.AddContent(request, length, _reply, replyLength) : replyLength;
                Send(replyLength);
                lastReply = replyLength;
            }

            bool failed = replyLength > 0 && ((fuse_out_header*)_reply)->error != 0;
            _mount.Operations.Record(opcode, length, replyLength, failed, _time.GetElapsedTime(received));
            Volatile.Write(ref _opcode, -1);
            if (opcode == (uint)fuse_opcode.FUSE_DESTROY)
            {
                _mount.End();
                return;
            }
        }
    }

    /// <summary>Executes a request, or finds its answer if it was executed before; the answer's length, 0 for none, below 0 where nobody waits for it.</summary>
    private int Answer(byte* request, int length, out bool again, CancellationToken stopping)
    {
        again = false;
        var header = (fuse_in_header*)request;
        if (header->opcode == ReturnMessage.Opcode)
        {
            return _mount.Return(request, length, _reply);
        }

        ReplySlot? slot = header->unique == LostReply.InternalUnique ? null : _slot;
        if (slot is not null && (fuse_opcode)header->opcode is fuse_opcode.FUSE_FORGET or fuse_opcode.FUSE_BATCH_FORGET)
        {
            return slot.BeginForget(header->unique) ? Execute(request, length) : 0;
        }

        if (slot is null || !ReplayRules.IsKept(header->opcode))
        {
            return Execute(request, length);
        }

        switch (slot.Begin(header->unique, _reply, out int known, stopping, ReplayRules.MayRepeat(request, length)))
        {
            case SlotTurn.Old:
                return -1;
            case SlotTurn.Answered:
                _mount.Answers.CountReplayed();
                again = true;
                return known;
            case SlotTurn.Unknown:
                _mount.CountUnknown(header->opcode, header->nodeid);
                again = true;
                return known;
        }

        ulong number = header->unique;
        int replyLength = 0;
        try
        {
            return replyLength = Execute(request, length);
        }
        finally
        {
            slot.End(number, _reply, replyLength);
        }
    }

    private int Execute(byte* request, int length)
    {
        CacheGrants? grants = _mount.Grants;
        CacheGrants.Ticket ticket = grants?.Prepare(request, length) ?? default;
        int replyLength = Waits
            ? DispatchUnlessFenced(request, length)
            : _mount.Dispatcher.Dispatch(request, length, _reply, FuseLimits.MaxMessageSize);
        if (replyLength == FuseDispatcher.Violation)
        {
            throw new FuseChannelException($"the peer sent a malformed FUSE message (opcode {((fuse_in_header*)request)->opcode}, {length} bytes)");
        }

        if (replyLength > 0)
        {
            replyLength = grants?.Grant(request, ticket, _reply, replyLength) ?? replyLength;
            replyLength = Number((fuse_in_header*)request, _reply, replyLength);
            MarkQuiet((fuse_in_header*)request, _reply, replyLength);
            TellSocket((fuse_in_header*)request, _reply, replyLength);
        }

        return replyLength;
    }

    // What answers at once or later, and what goes before it: whoever takes the connection's place waits for the call under way.
    private static bool MayWait(fuse_opcode opcode) =>
        opcode is fuse_opcode.FUSE_SETLKW or fuse_opcode.FUSE_SETLK or fuse_opcode.FUSE_INTERRUPT or fuse_opcode.FUSE_INIT
        || (uint)opcode == ReturnMessage.Opcode;

    // Whoever is given a lock must know of what its earlier holders did: the answer gets the number of the last notification of
    // that. Returns its length.
    private int Number(fuse_in_header* request, byte* reply, int length)
    {
        // SAFETY: the dispatcher has served the request, so that it is whole; the reply's room is far larger.
        bool granted = _numbered && ((fuse_out_header*)reply)->error == 0
            && (fuse_opcode)request->opcode is fuse_opcode.FUSE_SETLK or fuse_opcode.FUSE_SETLKW
            && ((fuse_lk_in*)(request + 1))->lk.type != fcntl.F_UNLCK;
        return granted ? Number(reply) : length;
    }

    // The peer's runtime need not tell of the closes of such a file.
    private void MarkQuiet(fuse_in_header* request, byte* reply, int length)
    {
        fuse_open_out* opened = _marksQuiet ? OpenedReply.Find(request->opcode, reply, length) : null;
        if (opened != null
            && _mount.ClosesQuietly(request->opcode == (uint)fuse_opcode.FUSE_OPEN ? request->nodeid : ((fuse_entry_out*)(reply + sizeof(fuse_out_header)))->nodeid))
        {
            opened->open_flags |= FuseConstants.FOPEN_NOFLUSH;
        }
    }

    // What is bound to a socket that was looked up, and whether a FIFO may be relayed, is told by the number that only devices have.
    private void TellSocket(fuse_in_header* request, byte* reply, int length)
    {
        if (_socketOf is null || request->opcode != (uint)fuse_opcode.FUSE_LOOKUP || length < sizeof(fuse_out_header) + sizeof(fuse_entry_out))
        {
            return;
        }

        // SAFETY: the length was compared.
        var entry = (fuse_entry_out*)(reply + sizeof(fuse_out_header));
        if (entry->nodeid != 0 && (entry->attr.mode & stat.S_IFMT) == stat.S_IFSOCK)
        {
            entry->attr.rdev = _socketOf(_mount, entry->nodeid);
        }
        else if (entry->nodeid != 0 && (entry->attr.mode & stat.S_IFMT) == stat.S_IFIFO)
        {
            entry->attr.rdev = _mount.FifoOf?.Invoke(_mount, entry->nodeid) ?? 0;
        }
    }

    private int Number(byte* reply)
    {
        var answer = (GrantedLock*)reply;
        *answer = new GrantedLock { header = answer->header, after = _mount.Changes!.Settle() };
        answer->header.len = (uint)sizeof(GrantedLock);
        return sizeof(GrantedLock);
    }

    private int DispatchUnlessFenced(byte* request, int length)
    {
        lock (_dispatching)
        {
            return _fenced ? 0 : _mount.Dispatcher.Dispatch(request, length, _reply, FuseLimits.MaxMessageSize, this);
        }
    }

    private void Send(int length)
    {
        if (!Waits)
        {
            _channel.Send(_reply, length);
            return;
        }

        lock (_sending)
        {
            _channel.Send(_reply, length);
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (Waits)
        {
            // Who still sends an answer must have left before the connection goes.
            Cut();
            lock (_sending)
            {
                _ended = true;
            }
        }

        _channel.Dispose();

        // SAFETY: allocated by the constructor; nulled so that a second call is harmless.
        NativeMemory.AlignedFree(_reply);
        _reply = null;
    }
}
