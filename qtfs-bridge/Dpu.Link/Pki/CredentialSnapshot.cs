using System.Net.Security;
using System.Security.Cryptography.X509Certificates;

namespace Dpu.Link;

/// <summary>What one reading of the certificate files gave. Immutable, thread-safe, shared by connections.</summary>
public sealed class CredentialSnapshot
{
    internal CredentialSnapshot(X509Certificate2 certificate, PeerIdentity identity, X509Certificate2Collection authorities, RevocationList? revocations)
    {
        Certificate = certificate;
        Identity = identity;
        Authorities = authorities;
        Revocations = revocations;
        Context = SslStreamCertificateContext.Create(certificate, additionalCertificates: null, offline: true);
    }

    /// <summary>Our certificate with its private key.</summary>
    public X509Certificate2 Certificate { get; }

    /// <summary>Whom it names.</summary>
    public PeerIdentity Identity { get; }

    /// <summary>The authorities we trust: one, or old and new while it is being replaced. Never empty.</summary>
    public X509Certificate2Collection Authorities { get; }

    /// <summary>The revocation list; null where none is configured.</summary>
    public RevocationList? Revocations { get; }

    internal SslStreamCertificateContext Context { get; }

    /// <summary>Trust in our authorities and nothing else; nothing is fetched.</summary>
    internal X509ChainPolicy ChainPolicy()
    {
        var policy = new X509ChainPolicy
        {
            TrustMode = X509ChainTrustMode.CustomRootTrust,
            RevocationMode = X509RevocationMode.NoCheck,
            DisableCertificateDownloads = true,
        };
        policy.CustomTrustStore.AddRange(Authorities);
        return policy;
    }
}
