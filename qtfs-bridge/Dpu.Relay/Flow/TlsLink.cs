using Dpu.Link;

namespace Dpu.Relay.Flow;

/// <summary>A connection of the link whose bytes pass through TLS, on the loop's own thread.</summary>
internal sealed unsafe class TlsLink(PolledTls connection) : IRelayLink
{
    public int Descriptor { get; } = connection.Descriptor;

    public bool IsFull => connection.IsFull;

    public void Tell() => connection.Tell();

    public int Receive(byte* into, int size) => connection.Receive(into, size);

    public int Send(byte* bytes, int size) => connection.Send(bytes, size);

    public bool TryFlush() => connection.TryFlush();

    public void Dispose() => connection.Dispose();
}
