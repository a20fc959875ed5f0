namespace Dpu.Link;

/// <summary>Which peers a listener admits at all. Thread-safe, and quick: asked for each connection.</summary>
public interface ILinkPeerPolicy
{
    /// <summary>Whether a peer with a good certificate of this identity is admitted.</summary>
    bool Admits(PeerIdentity identity);

    /// <summary>The names that a process of this uid may use on a unix socket; empty: it is refused.</summary>
    IReadOnlyList<string> NamesOf(uint uid);

    /// <summary>Connections the peer may have at once; null for the listener's own limit.</summary>
    int? ConnectionLimit(string name) => null;
}

/// <summary>One peer that a policy admits.</summary>
/// <param name="Name">Its certificate's name.</param>
/// <param name="Uid">The uid that stands for it on unix sockets; null: none does.</param>
/// <param name="ConnectionLimit">Connections it may have at once; null for the listener's own limit.</param>
public sealed record LinkPeerRule(string Name, uint? Uid = null, int? ConnectionLimit = null);

/// <summary>Admits DPUs by a list, nobody else. Immutable.</summary>
public sealed class LinkPeerPolicy : ILinkPeerPolicy
{
    private readonly Dictionary<string, LinkPeerRule> _byName;
    private readonly Dictionary<uint, string[]> _byUid;

    /// <summary>A policy of these peers; a name may stand once.</summary>
    public LinkPeerPolicy(params IEnumerable<LinkPeerRule> peers)
    {
        _byName = peers.ToDictionary(p => p.Name, StringComparer.Ordinal);
        _byUid = _byName.Values.Where(p => p.Uid is not null).GroupBy(p => p.Uid!.Value).ToDictionary(g => g.Key, g => g.Select(p => p.Name).ToArray());
    }

    /// <inheritdoc/>
    public bool Admits(PeerIdentity identity)
    {
        ArgumentNullException.ThrowIfNull(identity);
        return identity.Role == LinkRole.Dpu && _byName.ContainsKey(identity.Name);
    }

    /// <inheritdoc/>
    public IReadOnlyList<string> NamesOf(uint uid) => _byUid.TryGetValue(uid, out var names) ? names : [];

    /// <inheritdoc/>
    public int? ConnectionLimit(string name) => _byName.TryGetValue(name, out var rule) ? rule.ConnectionLimit : null;
}
