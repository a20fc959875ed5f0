using Dpu.Hosting.Control;
using Dpu.Link;
using Dpu.Proto.V1;

namespace Dpu.HostAgent.Control;

/// <summary>The link's service <c>control</c>: hands the connection to the control server, which serves gRPC on it.</summary>
/// <param name="streams">The control server's way in.</param>
public sealed class ControlService(StreamConnectionListener streams) : ILinkService
{
    /// <inheritdoc/>
    public string Name => "control";

    /// <inheritdoc/>
    public HelloReply Admit(LinkPeer peer, Hello hello) => new() { Status = HelloStatus.Ok };

    /// <inheritdoc/>
    public void Serve(LinkConnection connection, CancellationToken stopping)
    {
        connection.SetTimeouts(TimeSpan.Zero, TimeSpan.Zero);
        try
        {
            // The thread belongs to the connection; it has nothing else to do than to wait for its end.
            streams.ServeAsync(connection.Stream, new ControlPeer(ControlPeerKind.Link, connection.Peer.Name), stopping).GetAwaiter().GetResult();
        }
        catch (Exception e) when (e is IOException or OperationCanceledException)
        {
            // Expected: the daemon is stopping.
            return;
        }
    }
}
