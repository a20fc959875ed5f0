using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Dpu.Link.Pki;

namespace Dpu.Link;

/// <summary>
/// A small certificate authority in one folder: <c>ca.crt</c>, <c>ca.key</c>, <c>ca.crl</c>, issued <c>NAME.crt</c> and
/// <c>NAME.key</c>, and every certificate ever issued in <c>issued/SERIAL.crt</c> (so that it can be revoked). ECDSA
/// P-256 throughout. Each change holds a lock file, so that two at once do not lose one another's.
/// </summary>
public sealed partial class CertificateAuthority
{
    /// <summary>Certificates begin so long before now: clocks that differ a little must not refuse one another.</summary>
    public static readonly TimeSpan BackDate = TimeSpan.FromMinutes(5);

    private readonly string _directory;
    private readonly TimeProvider _time;

    private CertificateAuthority(string directory, TimeProvider time)
    {
        _directory = directory;
        _time = time;
    }

    /// <summary>ca.crt: goes to every end.</summary>
    public string CertificatePath => Path.Combine(_directory, "ca.crt");

    /// <summary>ca.key: stays here.</summary>
    public string KeyPath => Path.Combine(_directory, "ca.key");

    /// <summary>ca.crl: goes to every end after each revocation.</summary>
    public string RevocationsPath => Path.Combine(_directory, "ca.crl");

    private string IssuedFolder => Path.Combine(_directory, "issued");

    /// <summary>Makes a new authority.</summary>
    /// <param name="directory">Its folder; created with mode 0700.</param>
    /// <param name="name">Its common name, shown in messages; 1 to 64 printable ASCII characters but ',', '=', '+' and quotes.</param>
    /// <param name="validity">How long it is valid.</param>
    /// <param name="force">Replace an authority that is there; all its certificates become worthless.</param>
    /// <param name="time">The clock.</param>
    /// <exception cref="PkiException">There is one already, or the folder cannot be written.</exception>
    public static CertificateAuthority Init(string directory, string name, TimeSpan validity, bool force = false, TimeProvider? time = null)
    {
        RequireValidity(validity);
        if (string.IsNullOrEmpty(name) || name.Length > 64 || name.Any(c => c is < ' ' or > '~' or ',' or '=' or '+' or '"' or '\\' or '<' or '>' or ';' or '#'))
        {
            throw new PkiException($"'{Printable.Clean(name, 80)}' cannot name an authority: allowed are 1 to 64 letters, digits, blanks and plain punctuation.");
        }

        var authority = new CertificateAuthority(Path.GetFullPath(directory), time ?? TimeProvider.System);
        return authority.Guard($"making an authority in {directory}", () =>
        {
            Directory.CreateDirectory(authority._directory, PkiFiles.PrivateFolder);
            File.SetUnixFileMode(authority._directory, PkiFiles.PrivateFolder);
            using var hold = authority.Hold();
            if (!force && (File.Exists(authority.CertificatePath) || File.Exists(authority.KeyPath)))
            {
                throw new PkiException($"{authority._directory} holds an authority already: use it, choose another folder, or ask to replace it (every certificate it issued is then worthless).");
            }

            Directory.CreateDirectory(authority.IssuedFolder, PkiFiles.PrivateFolder);
            authority.WriteAuthority(name, validity);
            return authority;
        });
    }

    /// <summary>Opens an authority that is there.</summary>
    /// <exception cref="PkiException">There is none.</exception>
    public static CertificateAuthority Open(string directory, TimeProvider? time = null)
    {
        var authority = new CertificateAuthority(Path.GetFullPath(directory), time ?? TimeProvider.System);
        return File.Exists(authority.CertificatePath) && File.Exists(authority.KeyPath)
            ? authority
            : throw new PkiException($"There is no authority in {authority._directory} (ca.crt and ca.key): make one with 'dpuctl pki init'.");
    }

    private void WriteAuthority(string name, TimeSpan validity)
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest($"CN={name}", key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(certificateAuthority: true, hasPathLengthConstraint: true, pathLengthConstraint: 0, critical: true));
        request.CertificateExtensions.Add(new X509KeyUsageExtension(X509KeyUsageFlags.KeyCertSign | X509KeyUsageFlags.CrlSign, critical: true));
        request.CertificateExtensions.Add(new X509SubjectKeyIdentifierExtension(request.PublicKey, critical: false));
        var now = _time.GetUtcNow();
        using var certificate = request.Create(
            request.SubjectName, X509SignatureGenerator.CreateForECDsa(key), now - BackDate, now + validity, NewSerial());
        using var withKey = certificate.CopyWithPrivateKey(key);

        // The key first: a certificate without its key would look like an authority.
        PkiFiles.Write(KeyPath, key.ExportPkcs8PrivateKeyPem() + "\n", PkiFiles.Private);
        PkiFiles.Write(CertificatePath, certificate.ExportCertificatePem() + "\n", PkiFiles.Public);
        WriteRevocations(withKey, new CertificateRevocationListBuilder(), 1);
    }

    private X509Certificate2 LoadAuthority()
    {
        try
        {
            return X509Certificate2.CreateFromPemFile(CertificatePath, KeyPath);
        }
        catch (Exception e) when (e is CryptographicException or ArgumentException)
        {
            throw new PkiException($"The authority's {CertificatePath} and {KeyPath} cannot be used together: {e.Message}", e);
        }
    }

    // 128 random bits, positive as RFC 5280 4.1.2.2 demands (the top bit stays 0), never zero.
    private static byte[] NewSerial()
    {
        var serial = RandomNumberGenerator.GetBytes(17);
        serial[0] = 0;
        serial[1] |= 0x80;
        return serial;
    }

    private static void RequireValidity(TimeSpan validity)
    {
        if (validity <= TimeSpan.Zero || validity > TimeSpan.FromDays(365 * 50))
        {
            throw new PkiException($"A validity of {validity} is not possible: allowed is more than nothing and at most 50 years.");
        }
    }

    private FileStream Hold()
    {
        var path = Path.Combine(_directory, ".lock");
        try
        {
            return new FileStream(path, new FileStreamOptions
            {
                Mode = FileMode.OpenOrCreate,
                Access = FileAccess.ReadWrite,
                Share = FileShare.None,
                UnixCreateMode = PkiFiles.Private,
            });
        }
        catch (IOException e)
        {
            throw new PkiException($"Another command is changing {_directory} (it holds {path}): try again.", e);
        }
    }

    private T Guard<T>(string what, Func<T> work)
    {
        try
        {
            return work();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new PkiException($"{char.ToUpperInvariant(what[0])}{what[1..]} failed: {e.Message}", e);
        }
    }
}
