using Dpu.Link;
using Dpu.Proto.V1;

namespace Dpu.Relay;

/// <summary>What a host has said to a relay that was asked for on a connection which another one had left.</summary>
/// <param name="Connection">The same connection, of the new relay; null where there is none, and it has ended.</param>
/// <param name="Error">A negated errno of the host's kernel; 0 where it is not for that.</param>
/// <param name="Failure">Why there is none: a <see cref="LinkException"/> where the host refuses, else the connection broke, and the host may have begun the relay. Null with a connection or an errno.</param>
public sealed record NextRelay(LinkConnection? Connection, int Error, Exception? Failure)
{
    internal static NextRelay Read(LinkConnection spare, RelayParameters parameters, byte[]? content, string problem)
    {
        if (content is null)
        {
            return new NextRelay(null, 0, new IOException(problem));
        }

        try
        {
            int error = RelayDialer.Opened(spare, parameters, content, out LinkConnection connection);
            return new NextRelay(error == 0 ? connection : null, error, null);
        }
        catch (Exception e) when (e is LinkException or IOException)
        {
            // Expected: the host refuses, or does not keep to the protocol.
            return new NextRelay(null, 0, e);
        }
    }
}
