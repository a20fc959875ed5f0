namespace Dpu.Link;

/// <summary>What a peer's certificate is worth: whom it names, or why it is not taken.</summary>
public sealed class CertificateVerdict
{
    private CertificateVerdict(PeerIdentity? identity, LinkError error, string reason)
    {
        Identity = identity;
        Error = error;
        Reason = reason;
    }

    /// <summary>The proven identity; null where the certificate is not taken.</summary>
    public PeerIdentity? Identity { get; }

    /// <summary>Why not; without meaning where <see cref="Identity"/> is set.</summary>
    public LinkError Error { get; }

    /// <summary>Why not, for a person: a clause that ends without a full stop.</summary>
    public string Reason { get; }

    internal static CertificateVerdict Taken(PeerIdentity identity) => new(identity, default, "");

    internal static CertificateVerdict Refused(LinkError error, string reason) => new(null, error, reason);
}
