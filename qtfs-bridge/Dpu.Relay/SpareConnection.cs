using Dpu.Link;

namespace Dpu.Relay;

/// <summary>A connection of the link whose relay is over at both ends, and that can carry another one.</summary>
public sealed class SpareConnection : IDisposable
{
    internal SpareConnection(LinkConnection connection, byte[] behind) => (Connection, Behind) = (connection, behind);

    /// <summary>It; the hello is that of the relay that is over.</summary>
    public LinkConnection Connection { get; }

    /// <summary>What has come behind that relay: at the end that asks for relays there can be nothing.</summary>
    internal byte[] Behind { get; }

    /// <summary>Whether both ends have agreed that it stays.</summary>
    public static bool IsAgreed(LinkConnection connection)
    {
        ArgumentNullException.ThrowIfNull(connection);
        return connection.Hello.Relay is { Reuses: true } && connection.Reply.Relay is { Reuses: true, ResumeWithinMs: > 0 };
    }

    /// <summary>Closes it.</summary>
    public void Dispose() => RelayHub.LinkOf(Connection).Dispose();
}
