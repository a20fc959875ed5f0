using Dpu.Hosting.Configuration;
using Dpu.Hosting.Lifetime;
using Dpu.Link;

namespace Dpu.HostAgent.Policy;

/// <summary>Who may connect at all, from the configuration; a reload cannot be forgotten by the listener.</summary>
/// <param name="listener">The link's listening end.</param>
public sealed class PeerPolicy(LinkListener listener) : IReloadable<HostAgentConfiguration>
{
    /// <summary>The policy of a configuration.</summary>
    public static LinkPeerPolicy From(HostAgentConfiguration configuration) =>
        new(configuration.Peers.Select(peer => new LinkPeerRule(peer.Name, peer.Uid, peer.Limits.Connections)));

    /// <inheritdoc/>
    public ReloadOutcome Reload(HostAgentConfiguration previous, HostAgentConfiguration next)
    {
        listener.SetPolicy(From(next));
        return ReloadOutcome.Nothing;
    }
}
