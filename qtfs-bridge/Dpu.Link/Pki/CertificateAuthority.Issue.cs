using System.Net;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Dpu.Link.Pki;

namespace Dpu.Link;

public sealed partial class CertificateAuthority
{
    /// <summary>Issues a certificate and a new key to <c>NAME.crt</c> and <c>NAME.key</c> (0600).</summary>
    /// <param name="role">What it is for.</param>
    /// <param name="name">Whom; see <see cref="PeerIdentity.NameRule"/>.</param>
    /// <param name="validity">How long; never longer than the authority's own.</param>
    /// <param name="addresses">Host names and IP addresses for programs that check those; the link itself checks the name only.</param>
    /// <param name="rotate">Replace files that are there; the old certificate stays valid until it expires or is revoked.</param>
    /// <exception cref="PkiException">The name is not allowed or taken, or the files cannot be written.</exception>
    public IssuedCertificate Issue(LinkRole role, string name, TimeSpan validity, IEnumerable<string>? addresses = null, bool rotate = false)
    {
        RequireValidity(validity);
        if (!PeerIdentity.IsName(name) || name == "ca")
        {
            throw new PkiException($"'{Printable.Clean(name, 80)}' cannot name a {PeerIdentity.RoleText(role)}: allowed are {PeerIdentity.NameRule}, but not 'ca'.");
        }

        return Guard($"issuing a certificate for {name}", () =>
        {
            using var hold = Hold();
            string certificatePath = Path.Combine(_directory, name + ".crt"), keyPath = Path.Combine(_directory, name + ".key");
            RequireFree(role, name, certificatePath, keyPath, rotate);
            using var authority = LoadAuthority();
            using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
            using var certificate = Sign(authority, key, new PeerIdentity(role, name), validity, addresses ?? []);
            var pem = certificate.ExportCertificatePem() + "\n";

            // The archive first: what was ever handed out must be revocable.
            Directory.CreateDirectory(IssuedFolder, PkiFiles.PrivateFolder);
            PkiFiles.Write(Path.Combine(IssuedFolder, certificate.SerialNumber + ".crt"), pem, PkiFiles.Public);
            PkiFiles.Write(keyPath, key.ExportPkcs8PrivateKeyPem() + "\n", PkiFiles.Private);
            PkiFiles.Write(certificatePath, pem, PkiFiles.Public);
            return new IssuedCertificate(Info(certificate, authority, LoadRevocations(authority)), certificatePath, keyPath);
        });
    }

    private static void RequireFree(LinkRole role, string name, string certificatePath, string keyPath, bool rotate)
    {
        if (!File.Exists(certificatePath) && !File.Exists(keyPath))
        {
            return;
        }

        if (!rotate)
        {
            throw new PkiException($"{certificatePath} exists already: choose another name, or ask to rotate it.");
        }

        if (File.Exists(certificatePath))
        {
            using var old = X509Certificate2.CreateFromPem(File.ReadAllText(certificatePath));
            if (PeerIdentity.Of(old) is { } identity && identity.Role != role)
            {
                throw new PkiException($"{certificatePath} belongs to {identity}: a rotation cannot make it a {PeerIdentity.RoleText(role)}; choose another name than {name}.");
            }
        }
    }

    private X509Certificate2 Sign(X509Certificate2 authority, ECDsa key, PeerIdentity identity, TimeSpan validity, IEnumerable<string> addresses)
    {
        var request = new CertificateRequest($"CN={identity.Name}", key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(false, false, 0, critical: true));
        request.CertificateExtensions.Add(new X509KeyUsageExtension(X509KeyUsageFlags.DigitalSignature, critical: true));
        request.CertificateExtensions.Add(new X509EnhancedKeyUsageExtension(
            [new Oid(CertificateVerifier.ServerAuthentication), new Oid(CertificateVerifier.ClientAuthentication)], critical: false));
        request.CertificateExtensions.Add(new X509SubjectKeyIdentifierExtension(request.PublicKey, critical: false));
        request.CertificateExtensions.Add(X509AuthorityKeyIdentifierExtension.CreateFromCertificate(authority, includeKeyIdentifier: true, includeIssuerAndSerial: false));
        request.CertificateExtensions.Add(Names(identity, addresses));

        DateTimeOffset now = _time.GetUtcNow(), first = authority.NotBefore.ToUniversalTime(), last = authority.NotAfter.ToUniversalTime();
        DateTimeOffset from = now - BackDate, to = now + validity;
        if (now >= last)
        {
            throw new PkiException($"The authority {CertificatePath} expired on {CertificateVerifier.Show(last)}: make a new one with 'dpuctl pki init'.");
        }

        return request.Create(authority.SubjectName, X509SignatureGenerator.CreateForECDsa(authority.GetECDsaPrivateKey()!),
            from < first ? first : from, to > last ? last : to, NewSerial());
    }

    private static X509Extension Names(PeerIdentity identity, IEnumerable<string> addresses)
    {
        var names = new SubjectAlternativeNameBuilder();
        names.AddUri(new Uri(identity.ToString()));
        names.AddDnsName(identity.Name);
        foreach (var address in addresses)
        {
            if (IPAddress.TryParse(address, out var ip))
            {
                names.AddIpAddress(ip);
            }
            else if (Uri.CheckHostName(address) == UriHostNameType.Dns)
            {
                names.AddDnsName(address);
            }
            else
            {
                throw new PkiException($"'{Printable.Clean(address, 80)}' is neither a host name nor an IP address.");
            }
        }

        return names.Build();
    }
}
