using Dpu.Link;
using Dpu.Proto.V1;
using Dpu.Relay.Wire;

namespace Dpu.Relay;

/// <summary>The link's service <c>relay</c> on a host: each connection is joined with a socket of the host, or with who connects to one that a DPU has bound. Thread-safe.</summary>
/// <param name="hub">Moves the bytes.</param>
/// <param name="targets">What may be reached.</param>
public sealed partial class RelayService(RelayHub hub, IRelayTargets targets) : ILinkService, IDisposable
{
    /// <summary>Relays of one peer at a time: each takes a few descriptors, and some memory where nobody reads.</summary>
    public const int MaxPerPeer = 16_384;

    private readonly Lock _lock = new();
    private readonly Dictionary<string, int> _counts = new(StringComparer.Ordinal);

    // Who asks for one of these, as the link broke meanwhile, is to ask again: to begin anew would connect twice.
    private readonly System.Collections.Concurrent.ConcurrentDictionary<(string Peer, Guid Token), byte> _beginning = new();

    /// <inheritdoc/>
    public string Name => "relay";

    /// <inheritdoc/>
    public HelloReply Admit(LinkPeer peer, Hello hello)
    {
        ArgumentNullException.ThrowIfNull(hello);
        ArgumentNullException.ThrowIfNull(peer);
        if (hello is { ParametersCase: Hello.ParametersOneofCase.Relay, Relay.Process: not 0 and ulong process })
        {
            hub.Supersede(peer.Name, process);
        }

        if (Resumes(hello))
        {
            // Looked at first: what begins is found before it counts as begun.
            bool begins = _beginning.ContainsKey((peer.Name, TokenOf(hello)));
            return hub.FindLasting(TokenOf(hello), peer.Name) is { } relay
                ? new HelloReply { Status = HelloStatus.Ok, Relay = ResultOf(relay) }
                : begins
                ? new HelloReply { Status = HelloStatus.Unavailable, Message = "the connection with the socket is being made" }
                : new HelloReply { Status = HelloStatus.NotPermitted, Message = "no such connection of a socket waits here: it has ended, or the agent has restarted" };
        }

        if (hello.ParametersCase != Hello.ParametersOneofCase.Relay || hello.Relay.Type is not (UnixSocketType.Stream or UnixSocketType.Dgram or UnixSocketType.Seqpacket))
        {
            return new HelloReply { Status = HelloStatus.Malformed, Message = "a hello for service relay must name a socket and its type: stream, datagram or seqpacket" };
        }

        HelloReply reply = targets.Admit(peer, hello);
        if (reply.Status == HelloStatus.Ok && !TryCount(peer.Name))
        {
            return new HelloReply { Status = HelloStatus.Limit, Message = $"'{peer.Name}' has {MaxPerPeer} connections of sockets already, which is the most" };
        }

        if (reply.Status == HelloStatus.Ok && hello.Relay.ResumeWithinMs > 0 && hello.Relay.ResumeToken.Length == RelayContinuity.TokenSize)
        {
            _ = _beginning.TryAdd((peer.Name, new Guid(hello.Relay.ResumeToken.Span)), 0);
            reply.Relay ??= new RelayResult();
            reply.Relay.ResumeWithinMs = (uint)RelayContinuity.Clamp(hello.Relay.ResumeWithinMs).TotalMilliseconds;
            reply.Relay.Reuses = hello.Relay.Reuses && MayFollow(hello.Relay);
        }

        return reply;
    }

    /// <inheritdoc/>
    public void Abandon(LinkPeer peer, Hello hello)
    {
        if (!Resumes(hello))
        {
            Begun(peer, hello);
            Uncount(peer.Name);
        }
    }

    /// <inheritdoc/>
    public void Serve(LinkConnection connection, CancellationToken stopping)
    {
        ArgumentNullException.ThrowIfNull(connection);
        if (Resumes(connection.Hello))
        {
            if (hub.FindLasting(TokenOf(connection.Hello), connection.Peer.Name) is { } relay)
            {
                connection.Keep();
                relay.Resume(RelayHub.LinkOf(connection), connection.Hello.Relay.Resumed.Received, answer: true);
            }

            return;
        }

        bool runs = false;
        try
        {
            runs = Join(connection, mayWait: true, out _);
        }
        finally
        {
            Begun(connection.Peer, connection.Hello);
            if (!runs)
            {
                Uncount(connection.Peer.Name);
            }
        }
    }

    // It is found by its token from here on, or there is none.
    private void Begun(LinkPeer peer, Hello hello)
    {
        if (hello.Relay.ResumeToken.Length == RelayContinuity.TokenSize)
        {
            _ = _beginning.TryRemove((peer.Name, new Guid(hello.Relay.ResumeToken.Span)), out _);
        }
    }

    private static bool Resumes(Hello hello) =>
        hello is { ParametersCase: Hello.ParametersOneofCase.Relay, Relay: { TargetCase: RelayParameters.TargetOneofCase.Resumed, Resumed.Token.Length: RelayContinuity.TokenSize } };

    // Once more, where it did not arrive.
    private static RelayResult ResultOf(Flow.Relay relay)
    {
        var result = new RelayResult { Path = relay.Info.Path };
        if (relay.Continuity?.Visitor is { } visitor)
        {
            (result.VisitorUid, result.VisitorGid) = visitor;
        }

        return result;
    }

    private static Guid TokenOf(Hello hello) => new(hello.Relay.Resumed.Token.Span);

    /// <summary>Whether it runs, and counts until its end; or would have to wait: then nothing was done.</summary>
    private bool Join(LinkConnection connection, bool mayWait, out bool waits)
    {
        RelayParameters asked = connection.Hello.Relay;
        int error = targets.Connect(connection, mayWait, out RelayTarget? target);
        waits = error == -Dpu.Linux.errno.EAGAIN && !mayWait;
        if (waits)
        {
            return false;
        }

        try
        {
            if (connection.IsNext)
            {
                Say(connection, -error, connection.Reply, mayWait);
            }
            else
            {
                connection.Stream.Write(target?.Visitor is { } visitor ? RelayFrame.Accepted(visitor.Uid, visitor.Gid) : RelayFrame.Opened(-error));
                connection.Stream.Flush();
            }
        }
        catch (IOException) when (target is not null && RelayContinuity.Of(connection, redial: null) is not null)
        {
            // Expected: the link broke. The DPU asks by its token for what was begun: to begin again would connect twice.
        }
        catch
        {
            target?.Socket.Dispose();
            throw;
        }

        if (target is null)
        {
            return false;
        }

        var info = new RelayInfo(connection.Peer.Name, connection.Reply.Relay?.Path ?? "", target.Kind == SocketKind.None ? (SocketKind)asked.Type : target.Kind, target.Speaker.uid, target.Speaker.gid, asked.Pid) { End = target.End };
        connection.Keep();
        try
        {
            // What leaves before it has joined is let go by the joining.
            RelayContinuity? continuity = RelayContinuity.Of(connection, redial: null) is { } agreed ? agreed with { Visitor = target.Visitor, Process = asked.Process } : null;
            IDisposable? breaker = null;
            int ended = 0;
            breaker = hub.Start(target.Socket, connection, info, target.Speaker, _ =>
            {
                Volatile.Write(ref ended, 1);
                Uncount(connection.Peer.Name);
                if (Volatile.Read(ref breaker) is { } known)
                {
                    target.Leave(known);
                }
            }, continuity, target.Passing, Await);
            if (!target.Join(breaker))
            {
                breaker.Dispose();
            }
            else if (Volatile.Read(ref ended) != 0)
            {
                target.Leave(breaker);
            }

            return true;
        }
        catch (Exception e) when (e is ObjectDisposedException or IOException)
        {
            // Expected: the agent is stopping, or has no descriptors left.
            target.Socket.Dispose();
            RelayHub.LinkOf(connection).Dispose();
            return false;
        }
    }

    private bool TryCount(string peer)
    {
        lock (_lock)
        {
            int count = _counts.GetValueOrDefault(peer);
            _counts[peer] = Math.Min(count + 1, MaxPerPeer);
            return count < MaxPerPeer;
        }
    }

    private void Uncount(string peer)
    {
        lock (_lock)
        {
            _counts[peer] = _counts.GetValueOrDefault(peer) - 1;
            if (_counts[peer] == 0)
            {
                _ = _counts.Remove(peer);
            }
        }
    }
}
