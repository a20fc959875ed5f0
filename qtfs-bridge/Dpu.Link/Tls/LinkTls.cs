using System.Net.Security;
using System.Security.Authentication;
using System.Security.Cryptography.X509Certificates;

namespace Dpu.Link;

/// <summary>
/// TLS as every link and control address uses it: 1.3 only, both ends with certificates of our authority, no session
/// resumption (a ticket would outlive a revocation). Also for a control server on Kestrel.
/// </summary>
public static class LinkTls
{
    /// <summary>Options of a listener.</summary>
    /// <param name="trust">Our certificate and whom we trust.</param>
    /// <param name="time">The clock.</param>
    /// <param name="judge">Told the verdict on the peer; returns whether to go on (only asked where it was taken).</param>
    public static SslServerAuthenticationOptions ServerOptions(CredentialSnapshot trust, TimeProvider time, Func<CertificateVerdict, bool> judge)
    {
        ArgumentNullException.ThrowIfNull(trust);
        return new SslServerAuthenticationOptions
        {
            ServerCertificateContext = trust.Context,
            ClientCertificateRequired = true,
            EnabledSslProtocols = SslProtocols.Tls13,
            EncryptionPolicy = EncryptionPolicy.RequireEncryption,
            AllowRenegotiation = false,
            AllowTlsResume = false,
            CertificateRevocationCheckMode = X509RevocationMode.NoCheck,
            CertificateChainPolicy = trust.ChainPolicy(),
            RemoteCertificateValidationCallback = Callback(trust, time, CertificateVerifier.ClientAuthentication, judge),
        };
    }

    /// <summary>Options of a dialler; see <see cref="ServerOptions"/>.</summary>
    public static SslClientAuthenticationOptions ClientOptions(CredentialSnapshot trust, TimeProvider time, string hostName, Func<CertificateVerdict, bool> judge)
    {
        ArgumentNullException.ThrowIfNull(trust);
        return new SslClientAuthenticationOptions
        {
            TargetHost = hostName,
            ClientCertificateContext = trust.Context,
            EnabledSslProtocols = SslProtocols.Tls13,
            EncryptionPolicy = EncryptionPolicy.RequireEncryption,
            AllowRenegotiation = false,
            AllowTlsResume = false,
            CertificateRevocationCheckMode = X509RevocationMode.NoCheck,
            CertificateChainPolicy = trust.ChainPolicy(),
            RemoteCertificateValidationCallback = Callback(trust, time, CertificateVerifier.ServerAuthentication, judge),
        };
    }

    // The framework's own opinion (its errors, its name check) is not asked: the verifier's is stricter and has words.
    private static RemoteCertificateValidationCallback Callback(CredentialSnapshot trust, TimeProvider time, string usage, Func<CertificateVerdict, bool> judge) =>
        (_, certificate, _, _) =>
        {
            var verdict = CertificateVerifier.Judge(certificate as X509Certificate2, trust, usage, time.GetUtcNow());
            return judge(verdict) && verdict.Identity is not null;
        };
}
