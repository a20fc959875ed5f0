using Dpu.Link;

namespace Dpu.Relay;

/// <summary>How a relay outlives the connection of the link that carries it: both ends keep what the other may not have, and go on with another connection.</summary>
/// <param name="Token">Names the relay among those of its peer; random.</param>
/// <param name="Within">How long it waits for another connection.</param>
/// <param name="Redial">On the end that dials: is given the relay when its connection is lost; must not block. Null on the other.</param>
public sealed record RelayContinuity(Guid Token, TimeSpan Within, Action<LostRelay>? Redial = null)
{
    /// <summary>Bytes of a token.</summary>
    public const int TokenSize = 16;

    /// <summary>Who has connected to the socket, where the other end is told (<see cref="RelayTarget.Visitor"/>).</summary>
    public (uint Uid, uint Gid)? Visitor { get; init; }

    /// <summary>Which process dials for it; 0 where that is not known, or it is this one.</summary>
    public ulong Process { get; init; }

    /// <summary>The longest that a relay waits.</summary>
    public static readonly TimeSpan MostWithin = TimeSpan.FromMinutes(5);

    /// <summary>What both ends of a connection have agreed on; null where the host does not do that, or was not asked.</summary>
    public static RelayContinuity? Of(LinkConnection connection, Action<LostRelay>? redial)
    {
        ArgumentNullException.ThrowIfNull(connection);
        return connection.Reply.Relay is { ResumeWithinMs: > 0 } agreed && connection.Hello.Relay.ResumeToken.Length == TokenSize
            ? new RelayContinuity(new Guid(connection.Hello.Relay.ResumeToken.Span), Clamp(agreed.ResumeWithinMs), redial)
            : null;
    }

    /// <summary>A time as hellos say it, in milliseconds, within bounds.</summary>
    internal static TimeSpan Clamp(uint milliseconds) => TimeSpan.FromMilliseconds(Math.Min(milliseconds, MostWithin.TotalMilliseconds));
}

/// <summary>A relay without a connection, for who dials another. Thread-safe.</summary>
public sealed class LostRelay
{
    private readonly Flow.Relay _relay;

    internal LostRelay(Flow.Relay relay, ulong received) => (_relay, Received) = (relay, received);

    /// <summary>Names the relay to the other end.</summary>
    public Guid Token => _relay.Continuity!.Token;

    /// <summary>Bytes of frames that have come, which the other end need not send again.</summary>
    public ulong Received { get; }

    /// <summary>How long it waits from the loss on; then it ends by itself.</summary>
    public TimeSpan Within => _relay.Continuity!.Within;

    /// <summary>Whether nobody needs it any more.</summary>
    public bool IsOver => _relay.HasLeft;

    /// <summary>What it is between.</summary>
    public RelayInfo Info => _relay.Info;

    /// <summary>It goes on with a connection, which is its own from now on.</summary>
    /// <param name="connection">After the host's first frame.</param>
    /// <param name="received">What that frame said: bytes that the host has.</param>
    public void Resume(LinkConnection connection, ulong received) => Resume(RelayHub.LinkOf(connection), received);

    internal void Resume(IRelayLink link, ulong received) => _relay.Resume(link, received, answer: false);

    /// <summary>There will be no other connection.</summary>
    public void GiveUp() => _relay.GiveUp();
}
