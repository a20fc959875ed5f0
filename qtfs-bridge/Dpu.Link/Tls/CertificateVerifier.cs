using System.Globalization;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace Dpu.Link;

/// <summary>
/// Judges a peer's certificate by our authority alone (no system roots, nothing fetched), its time, use, revocation
/// and dpu:// name. Pure but for the chain engine; thread-safe.
/// </summary>
public static class CertificateVerifier
{
    /// <summary>id-kp-serverAuth: what a listener's certificate must be for (RFC 5280 4.2.1.12).</summary>
    public const string ServerAuthentication = "1.3.6.1.5.5.7.3.1";

    /// <summary>id-kp-clientAuth: what a dialler's certificate must be for.</summary>
    public const string ClientAuthentication = "1.3.6.1.5.5.7.3.2";

    /// <summary>Judges <paramref name="certificate"/> at the time <paramref name="now"/>.</summary>
    /// <param name="certificate">The peer's, or null where it sent none.</param>
    /// <param name="trust">Our authority and revocation list.</param>
    /// <param name="usage">The extended key usage it must have.</param>
    /// <param name="now">The time of the judgement.</param>
    public static CertificateVerdict Judge(X509Certificate2? certificate, CredentialSnapshot trust, string usage, DateTimeOffset now)
    {
        ArgumentNullException.ThrowIfNull(trust);
        if (certificate is null)
        {
            return CertificateVerdict.Refused(LinkError.NoCertificate, "it sent no certificate");
        }

        // The order is from what makes all the rest meaningless to what is most particular.
        return JudgeChain(certificate, trust, now)
            ?? JudgeTime(certificate, now)
            ?? JudgeUsage(certificate, usage)
            ?? JudgeRevocation(certificate, trust, now)
            ?? JudgeName(certificate);
    }

    /// <summary>Whom a certificate claims to name, for messages.</summary>
    internal static string Describe(X509Certificate2 certificate) =>
        $"{PeerIdentity.Of(certificate)?.ToString() ?? Printable.Clean(certificate.Subject, 128)}, serial {certificate.SerialNumber}";

    /// <summary>A time as messages show it.</summary>
    internal static string Show(DateTimeOffset time) => time.UtcDateTime.ToString("yyyy-MM-dd HH:mm:ss 'UTC'", CultureInfo.InvariantCulture);

    /// <summary>Whether the time is within the certificate's; the refusal otherwise.</summary>
    internal static CertificateVerdict? JudgeTime(X509Certificate2 certificate, DateTimeOffset now)
    {
        DateTimeOffset from = certificate.NotBefore.ToUniversalTime(), to = certificate.NotAfter.ToUniversalTime();
        if (now < from)
        {
            return CertificateVerdict.Refused(LinkError.ClockSkew,
                $"certificate not yet valid (valid from {Show(from)}), local time is {Show(now)} - check the clock");
        }

        return now > to
            ? CertificateVerdict.Refused(LinkError.Expired, $"certificate expired on {Show(to)}, local time is {Show(now)} - issue a new one")
            : null;
    }

    /// <summary>Whether our authority signed it, whatever the time; the refusal otherwise.</summary>
    internal static CertificateVerdict? JudgeSignature(X509Certificate2 certificate, CredentialSnapshot trust) =>
        JudgeChain(certificate, trust, now: null);

    private static CertificateVerdict? JudgeChain(X509Certificate2 certificate, CredentialSnapshot trust, DateTimeOffset? now)
    {
        // Time and usage are judged by us, with better words: here only signatures and basic constraints count.
        var policy = trust.ChainPolicy();
        policy.VerificationFlags = X509VerificationFlags.IgnoreNotTimeValid;
        using var chain = new X509Chain { ChainPolicy = policy };
        bool good;
        try
        {
            good = chain.Build(certificate);
        }
        catch (CryptographicException e)
        {
            return CertificateVerdict.Refused(LinkError.CertificateUnsuitable, $"its certificate cannot be read: {e.Message}");
        }

        // Only leaves that our authority signed itself: there are no intermediates in this scheme.
        if (!good || chain.ChainElements.Count != 2)
        {
            return CertificateVerdict.Refused(LinkError.WrongAuthority,
                $"its certificate ({Describe(certificate)}) is not signed by our authority {Printable.Clean(trust.Authorities[0].Subject, 128)}"
                + " - both ends must have certificates of the same 'dpuctl pki init'");
        }

        return now is { } time && JudgeTime(chain.ChainElements[1].Certificate, time) is { } stale
            ? CertificateVerdict.Refused(stale.Error, $"the authority's own {stale.Reason}")
            : null;
    }

    private static CertificateVerdict? JudgeUsage(X509Certificate2 certificate, string usage)
    {
        foreach (var extension in certificate.Extensions)
        {
            if (extension is X509EnhancedKeyUsageExtension uses)
            {
                foreach (var oid in uses.EnhancedKeyUsages)
                {
                    if (oid.Value == usage)
                    {
                        return null;
                    }
                }
            }
        }

        return CertificateVerdict.Refused(LinkError.CertificateUnsuitable,
            $"its certificate ({Describe(certificate)}) is not for {(usage == ServerAuthentication ? "servers" : "clients")} (extended key usage)");
    }

    private static CertificateVerdict? JudgeRevocation(X509Certificate2 certificate, CredentialSnapshot trust, DateTimeOffset now)
    {
        if (trust.Revocations is not { } list)
        {
            return null;
        }

        if (list.Revokes(certificate))
        {
            return CertificateVerdict.Refused(LinkError.Revoked, $"its certificate ({Describe(certificate)}) was revoked - issue a new one");
        }

        // A list that should have been replaced may lack the newest revocations: no list would be safer than an old one.
        return list.NextUpdate is { } next && now > next
            ? CertificateVerdict.Refused(LinkError.Revoked, $"our revocation list ended on {Show(next)} - copy the authority's newest ca.crl here")
            : null;
    }

    private static CertificateVerdict JudgeName(X509Certificate2 certificate) => PeerIdentity.Of(certificate) is { } identity
        ? CertificateVerdict.Taken(identity)
        : CertificateVerdict.Refused(LinkError.CertificateUnsuitable,
            $"its certificate ({Printable.Clean(certificate.Subject, 128)}) has no single name of the form dpu://ROLE/NAME");
}
