using Dpu.Link;
using Dpu.Proto.V1;
using Dpu.Relay.Flow;
using Dpu.Relay.Wire;

namespace Dpu.Relay;

// Relays on connections that others have left: for each the DPU asks as it would in a hello, and is judged as it would be.
public sealed partial class RelayService
{
    /// <summary>Connections of one peer that wait at a time. The DPU keeps <see cref="SpareConnections.Most"/>, and closes the others.</summary>
    public const int MaxSparePerPeer = 4 * SpareConnections.Most;

    /// <summary>How long one waits: longer than the DPU has it do.</summary>
    public static readonly TimeSpan SpareLimit = TimeSpan.FromSeconds(60);

    // The DPU waits for an answer as long.
    private static readonly TimeSpan SayLimit = TimeSpan.FromSeconds(40);

    // Of each peer its own: one that connects to listeners which do not accept holds up itself alone.
    private readonly Dictionary<string, DialThreads> _threads = new(StringComparer.Ordinal);
    private readonly Dictionary<IdleLink, long> _spare = [];
    private readonly Dictionary<string, int> _spareCounts = new(StringComparer.Ordinal);
    private ITimer? _sweep;

    /// <summary>Connections that wait for the next relay.</summary>
    public int SpareCount
    {
        get
        {
            lock (_lock)
            {
                return _spare.Count;
            }
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        lock (_lock)
        {
            _sweep?.Dispose();
            foreach (DialThreads threads in _threads.Values)
            {
                threads.Dispose();
            }
        }
    }

    private DialThreads ThreadsOf(string peer)
    {
        lock (_lock)
        {
            if (!_threads.TryGetValue(peer, out DialThreads? threads))
            {
                _threads[peer] = threads = new DialThreads("relay next");
            }

            return threads;
        }
    }

    // Those that the DPU begins; others wait for programs here, and for how long nobody knows.
    private static bool MayFollow(RelayParameters asked) =>
        asked.TargetCase is RelayParameters.TargetOneofCase.Node or RelayParameters.TargetOneofCase.Address && asked.ResumeWithinMs > 0 && asked.ResumeToken.Length == RelayContinuity.TokenSize;

    // On a loop's thread.
    private void Await(SpareConnection spare)
    {
        LinkConnection connection = spare.Connection;
        string peer = connection.Peer.Name;
        var idle = new IdleLink(RelayHub.LinkOf(connection), spare.Behind, asked => Next(connection, asked), left => Left(left, peer), reason => hub.Violated(connection, reason));
        bool waits;
        lock (_lock)
        {
            int count = _spareCounts.GetValueOrDefault(peer);
            waits = count < MaxSparePerPeer;
            if (waits)
            {
                _spareCounts[peer] = count + 1;
                _spare[idle] = hub.Time.GetTimestamp();
                _sweep ??= hub.Time.CreateTimer(_ => Sweep(), null, SpareLimit / 2, SpareLimit / 2);
            }
        }

        if (waits)
        {
            hub.Add(idle);
        }
        else
        {
            spare.Dispose();
        }
    }

    private void Left(IdleLink idle, string peer)
    {
        lock (_lock)
        {
            _ = _spare.Remove(idle);
            int count = _spareCounts[peer] - 1;
            _spareCounts[peer] = count;
            if (count == 0)
            {
                _ = _spareCounts.Remove(peer);
            }
        }
    }

    private void Sweep()
    {
        IdleLink[] old;
        lock (_lock)
        {
            if (_spare.Count == 0)
            {
                _sweep?.Dispose();
                _sweep = null;
            }

            old = [.. _spare.Where(one => hub.Time.GetElapsedTime(one.Value) >= SpareLimit).Select(one => one.Key)];
        }

        Array.ForEach(old, one => one.End());
    }

    // On a loop's thread, which has many relays: what would wait for anything has a thread of its own.
    private void Next(LinkConnection spare, byte[] asked)
    {
        LinkConnection? next = null;
        RunSafely(() => next = TryAdmit(spare, asked));
        if (next is null)
        {
            RelayHub.LinkOf(spare).Dispose();
            return;
        }

        JoinNext(next, mayWait: false);
    }

    // What it throws ends one connection; the others, and the thread, go on.
    private void RunSafely(Action work)
    {
        try
        {
            work();
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException)
        {
            // Expected: the link broke, or the agent is stopping.
        }
        catch (Exception e)
        {
            // A bug.
            hub.Failed(e);
        }
    }

    // Null where it was refused.
    private LinkConnection? TryAdmit(LinkConnection spare, byte[] asked)
    {
        Hello hello = spare.Hello.Clone();
        hello.Relay = RelayFrame.ReadNext(asked);
        if (hello.Relay is null)
        {
            hub.Violated(spare, "what it asked for next is malformed");
            return null;
        }

        HelloReply reply = MayFollow(hello.Relay) ? Admit(spare.Peer, hello)
            : new HelloReply { Status = HelloStatus.Malformed, Message = "what is asked for on a connection that another relay has left must be a socket of a mount or an address, and outlive the connection" };
        if (reply.Status != HelloStatus.Ok)
        {
            Say(spare, 0, reply, mayWait: false);
            return null;
        }

        HelloReply whole = spare.Reply.Clone();
        whole.Relay = reply.Relay;
        return spare.Next(hello, whole);
    }

    private void JoinNext(LinkConnection next, bool mayWait)
    {
        bool runs = false;
        bool waits = false;
        RunSafely(() => runs = Join(next, mayWait, out waits));
        if (waits)
        {
            ThreadsOf(next.Peer.Name).Run(() => JoinNext(next, mayWait: true));
            return;
        }

        Begun(next.Peer, next.Hello);
        if (!runs)
        {
            Uncount(next.Peer.Name);
            RelayHub.LinkOf(next).Dispose();
        }
    }

    // The connection is empty: one that does not take this at once takes nothing, and a loop does not wait for it.
    private static void Say(LinkConnection connection, int error, HelloReply reply, bool mayWait) =>
        WaitingLink.Write(RelayHub.LinkOf(connection), RelayFrame.Answer(error, reply), mayWait ? SayLimit : TimeSpan.Zero);
}
