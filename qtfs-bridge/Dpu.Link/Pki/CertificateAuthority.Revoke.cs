using System.Numerics;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using Dpu.Link.Pki;

namespace Dpu.Link;

public sealed partial class CertificateAuthority
{
    /// <summary>Every certificate ever issued, by name and then by age.</summary>
    /// <exception cref="PkiException">A file cannot be read.</exception>
    public IReadOnlyList<CertificateInfo> Show() => Guard($"listing {_directory}", () =>
    {
        using var authority = LoadAuthority();
        var revocations = LoadRevocations(authority);
        var all = new List<CertificateInfo>();
        foreach (var certificate in Issued())
        {
            using (certificate)
            {
                all.Add(Info(certificate, authority, revocations));
            }
        }

        return (IReadOnlyList<CertificateInfo>)[.. all.OrderBy(i => i.Identity.Name, StringComparer.Ordinal).ThenBy(i => i.NotBefore).ThenBy(i => i.NotAfter)];
    });

    /// <summary>
    /// Revokes every certificate of a name, or the one of a serial number, and writes <c>ca.crl</c>. It works at an end
    /// once that file is copied there.
    /// </summary>
    /// <returns>The certificates that this call revoked; empty when they all were already.</returns>
    /// <exception cref="PkiException">None of that name or serial number was issued.</exception>
    public IReadOnlyList<CertificateInfo> Revoke(string nameOrSerial) => Guard($"revoking {nameOrSerial}", () =>
    {
        using var hold = Hold();
        using var authority = LoadAuthority();
        var before = LoadRevocations(authority);
        var (builder, number) = LoadBuilder();
        var found = false;
        var revoked = new List<CertificateInfo>();
        foreach (var certificate in Issued())
        {
            using (certificate)
            {
                if (PeerIdentity.Of(certificate)?.Name != nameOrSerial
                    && !certificate.SerialNumber.TrimStart('0').Equals(nameOrSerial.TrimStart('0'), StringComparison.OrdinalIgnoreCase))
                {
                    continue;
                }

                found = true;
                if (Info(certificate, authority, before).Status is not (CertificateStatus.Revoked or CertificateStatus.OtherAuthority))
                {
                    builder.AddEntry(certificate, _time.GetUtcNow());
                    revoked.Add(Info(certificate, authority, before) with { Status = CertificateStatus.Revoked });
                }
            }
        }

        if (!found)
        {
            throw new PkiException($"No certificate of the name or serial number '{Printable.Clean(nameOrSerial, 80)}' was issued here: 'dpuctl pki show' lists them.");
        }

        WriteRevocations(authority, builder, number + 1);
        return (IReadOnlyList<CertificateInfo>)revoked;
    });

    private IEnumerable<X509Certificate2> Issued()
    {
        if (!Directory.Exists(IssuedFolder))
        {
            yield break;
        }

        foreach (var path in Directory.EnumerateFiles(IssuedFolder, "*.crt"))
        {
            X509Certificate2 certificate;
            try
            {
                certificate = X509Certificate2.CreateFromPem(File.ReadAllText(path));
            }
            catch (CryptographicException e)
            {
                throw new PkiException($"{path} is no certificate: {e.Message} Restore it from a backup or remove it.", e);
            }

            yield return certificate;
        }
    }

    private CertificateInfo Info(X509Certificate2 certificate, X509Certificate2 authority, RevocationList revocations)
    {
        var identity = PeerIdentity.Of(certificate) ?? throw new PkiException($"The certificate of serial number {certificate.SerialNumber} has no dpu:// name: it was not issued by this tool.");
        DateTimeOffset now = _time.GetUtcNow(), from = certificate.NotBefore.ToUniversalTime(), to = certificate.NotAfter.ToUniversalTime();
        var status = !IsOurs(certificate, authority) ? CertificateStatus.OtherAuthority
            : revocations.Revokes(certificate) ? CertificateStatus.Revoked
            : now < from ? CertificateStatus.NotYetValid
            : now > to ? CertificateStatus.Expired
            : CertificateStatus.Valid;
        return new CertificateInfo(identity, certificate.SerialNumber, from, to, status, IsNewest(certificate, identity.Name));
    }

    private static bool IsOurs(X509Certificate2 certificate, X509Certificate2 authority)
    {
        var key = certificate.Extensions.OfType<X509AuthorityKeyIdentifierExtension>().FirstOrDefault()?.KeyIdentifier;
        var own = authority.Extensions.OfType<X509SubjectKeyIdentifierExtension>().FirstOrDefault()?.SubjectKeyIdentifierBytes;
        return key is { } k && own is { } o && k.Span.SequenceEqual(o.Span);
    }

    private bool IsNewest(X509Certificate2 certificate, string name)
    {
        var path = Path.Combine(_directory, name + ".crt");
        if (!File.Exists(path))
        {
            return false;
        }

        using var newest = X509Certificate2.CreateFromPem(File.ReadAllText(path));
        return newest.SerialNumber == certificate.SerialNumber;
    }

    private RevocationList LoadRevocations(X509Certificate2 authority)
    {
        try
        {
            var list = RevocationList.Parse(File.ReadAllBytes(RevocationsPath));
            return list.IsSignedBy(authority) ? list : throw new FormatException("it is not signed by this authority");
        }
        catch (FormatException e)
        {
            throw new PkiException($"The revocation list {RevocationsPath} cannot be used: {e.Message}. Restore it from a backup.", e);
        }
    }

    private (CertificateRevocationListBuilder Builder, BigInteger Number) LoadBuilder()
    {
        var builder = CertificateRevocationListBuilder.LoadPem(File.ReadAllText(RevocationsPath), out var number);
        return (builder, number);
    }

    private void WriteRevocations(X509Certificate2 authority, CertificateRevocationListBuilder builder, BigInteger number)
    {
        // A new list comes with each revocation and never by the calendar: it must last as long as its authority.
        var now = _time.GetUtcNow();
        var next = authority.NotAfter.ToUniversalTime();
        var der = builder.Build(authority, number, next, HashAlgorithmName.SHA256, thisUpdate: now - BackDate);
        PkiFiles.Write(RevocationsPath, new StringBuilder().Append(PemEncoding.Write("X509 CRL", der)).Append('\n').ToString(), PkiFiles.Public);
    }
}
