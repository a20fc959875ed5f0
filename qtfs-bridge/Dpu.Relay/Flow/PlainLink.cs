using Dpu.Link;

namespace Dpu.Relay.Flow;

/// <summary>A connection of the link whose socket has the bytes themselves.</summary>
internal sealed class PlainLink(LinkConnection connection) : IRelayLink
{
    public int Descriptor { get; } = (int)connection.Socket.Handle;

    public void Dispose() => connection.Dispose();
}
