using System.Security.Cryptography.X509Certificates;

namespace Dpu.Link;

/// <summary>Who is at the other end of a link, proven by certificate or by uid. Immutable.</summary>
public sealed record LinkPeer
{
    /// <summary>Its name in our configuration: the certificate's, or the one the uid stands for.</summary>
    public required string Name { get; init; }

    /// <summary>What it is.</summary>
    public required LinkRole Role { get; init; }

    /// <summary>The uid of its process, for unix sockets; null otherwise.</summary>
    public uint? Uid { get; init; }

    /// <summary>The process id behind a unix socket when it connected or listened; for logs only.</summary>
    public int? ProcessId { get; init; }

    /// <summary>Its certificate; null for unix sockets.</summary>
    public X509Certificate2? Certificate { get; init; }

    /// <summary>Where it comes from, for logs: an address, a cid, or <c>unix</c>.</summary>
    public string Origin { get; init; } = "";

    /// <inheritdoc/>
    public override string ToString() => $"{PeerIdentity.RoleText(Role)} {Name}";
}
