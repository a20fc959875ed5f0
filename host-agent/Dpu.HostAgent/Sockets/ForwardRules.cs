using Dpu.Fuse;
using Dpu.Qtfs.Export;

namespace Dpu.HostAgent.Sockets;

/// <summary>What some peers may reach outside of exports. Immutable.</summary>
/// <param name="Peers">Who.</param>
/// <param name="Connect">Patterns of what they may connect to.</param>
/// <param name="Listen">Patterns of where the agent listens for them.</param>
/// <param name="Identity">As whom their programs act.</param>
public sealed record ForwardRule(IReadOnlySet<string> Peers, AddressPatterns Connect, AddressPatterns Listen, IdentityPolicy Identity);

/// <summary>Patterns of addresses. Immutable.</summary>
/// <param name="patterns">Absolute paths, and abstract names with an @; <c>*</c>, <c>?</c> and <c>**</c> as of <see cref="StrictPaths"/>.</param>
public sealed class AddressPatterns(IEnumerable<string> patterns)
{
    private readonly StrictPaths _patterns = new(patterns.Select(AsPath));

    /// <summary>Whether an address is meant.</summary>
    public bool Match(string address) => _patterns.Match(System.Text.Encoding.UTF8.GetBytes(AsPath(address)));

    // An abstract name has no folders. Both begin with a part of their own, or a pattern without a slash would mean a name anywhere.
    private static string AsPath(string address) => address.StartsWith('@') ? "abstract/" + address[1..].Replace('/', '\u0001') : "path" + address;
}
