using Dpu.Link;
using Dpu.Relay.Wire;

namespace Dpu.Relay;

/// <summary>The DPU's end of service <c>relay</c>: what comes before the bytes.</summary>
public static class RelayDialer
{
    /// <summary>The far socket may have to wait for its listener to accept; the host gives up before.</summary>
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(40);

    /// <summary>Waits until the host has connected; blocks.</summary>
    /// <param name="connection">A connection of service relay after its hello.</param>
    /// <returns>0, or a negated errno: what the host's kernel said, or EPROTO where the host does not keep to the protocol.</returns>
    /// <exception cref="IOException">The link broke.</exception>
    public static int AwaitOpened(LinkConnection connection)
    {
        ArgumentNullException.ThrowIfNull(connection);
        connection.SetTimeouts(Limit, Limit);
        Span<byte> frame = stackalloc byte[RelayFrame.HeaderSize + sizeof(int)];
        connection.Stream.ReadExactly(frame);
        connection.SetTimeouts(TimeSpan.Zero, TimeSpan.Zero);
        return RelayFrame.TryReadOpened(frame, out int error) ? -error : -Dpu.Linux.errno.EPROTO;
    }
}
