using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace Dpu.Link;

/// <summary>Our own certificate files cannot be used: which one, why, what to do.</summary>
public sealed class LinkCredentialException(string message, Exception? inner = null) : Exception(message, inner);

/// <summary>Where one end's certificate, key, authority and revocation list are.</summary>
public sealed record LinkCredentialFiles
{
    /// <summary>Our certificate, PEM.</summary>
    public required string Certificate { get; init; }

    /// <summary>Its private key, PEM, readable by its owner only.</summary>
    public required string Key { get; init; }

    /// <summary>The authority's certificate, PEM; several while it is being replaced.</summary>
    public required string Authority { get; init; }

    /// <summary>The authority's revocation list, PEM or DER; null for none.</summary>
    public string? Revocations { get; init; }

    /// <summary>Reads and checks them all.</summary>
    /// <exception cref="LinkCredentialException">One cannot be used.</exception>
    internal CredentialSnapshot Read()
    {
        CheckKeyMode();
        var authorities = ReadAuthorities();
        var certificate = ReadPair();
        var identity = PeerIdentity.Of(certificate)
            ?? throw new LinkCredentialException($"The certificate {Certificate} has no name of the form dpu://ROLE/NAME; issue it with 'dpuctl pki issue'.");
        var snapshot = new CredentialSnapshot(certificate, identity, authorities, ReadRevocations(authorities));
        CheckSigned(snapshot);
        return snapshot;
    }

    /// <summary>Changes whenever a file was replaced or rewritten.</summary>
    internal string Stamp() => string.Join('|', Stamp(Certificate), Stamp(Key), Stamp(Authority), Stamp(Revocations));

    // A rename brings another creation time, writing in place another modification time.
    private static string Stamp(string? path)
    {
        if (path is null)
        {
            return "-";
        }

        var file = new FileInfo(path);
        var target = file.LinkTarget is null ? file : file.ResolveLinkTarget(returnFinalTarget: true) as FileInfo ?? file;
        return target.Exists ? $"{target.FullName},{target.Length},{target.LastWriteTimeUtc.Ticks},{target.CreationTimeUtc.Ticks}" : "missing";
    }

    private static byte[] ReadAll(string path, string what)
    {
        try
        {
            var file = new FileInfo(path);
            return file.Exists && file.Length > 1024 * 1024
                ? throw new LinkCredentialException($"The {what} {path} is larger than 1 MiB: it is not what it should be.")
                : File.ReadAllBytes(path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new LinkCredentialException($"The {what} {path} cannot be read: {e.Message}", e);
        }
    }

    private static string ReadText(string path, string what) => System.Text.Encoding.ASCII.GetString(ReadAll(path, what));

    private void CheckKeyMode()
    {
        UnixFileMode mode;
        try
        {
            mode = File.GetUnixFileMode(Key);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new LinkCredentialException($"The private key {Key} cannot be read: {e.Message}", e);
        }

        const UnixFileMode Others = UnixFileMode.GroupRead | UnixFileMode.GroupWrite | UnixFileMode.GroupExecute
            | UnixFileMode.OtherRead | UnixFileMode.OtherWrite | UnixFileMode.OtherExecute;
        if ((mode & Others) != 0)
        {
            throw new LinkCredentialException($"The private key {Key} is open to others (mode {Convert.ToString((int)mode, 8)}): chmod 600 {Key}, and issue a new one if others may have read it.");
        }
    }

    private X509Certificate2Collection ReadAuthorities()
    {
        var authorities = new X509Certificate2Collection();
        try
        {
            authorities.ImportFromPem(ReadText(Authority, "authority's certificate"));
        }
        catch (CryptographicException e)
        {
            throw new LinkCredentialException($"The authority's certificate {Authority} is no PEM certificate: {e.Message}", e);
        }

        if (authorities.Count == 0)
        {
            throw new LinkCredentialException($"The authority's certificate {Authority} holds no PEM certificate.");
        }

        return authorities;
    }

    private X509Certificate2 ReadPair()
    {
        var certificate = ReadText(Certificate, "certificate");
        var key = ReadText(Key, "private key");
        try
        {
            return X509Certificate2.CreateFromPem(certificate, key);
        }
        catch (Exception e) when (e is CryptographicException or ArgumentException)
        {
            throw new LinkCredentialException($"The certificate {Certificate} and the private key {Key} cannot be used together: {e.Message} Both must come from the same 'dpuctl pki issue'.", e);
        }
    }

    private RevocationList? ReadRevocations(X509Certificate2Collection authorities)
    {
        if (Revocations is null)
        {
            return null;
        }

        RevocationList list;
        try
        {
            list = RevocationList.Parse(ReadAll(Revocations, "revocation list"));
        }
        catch (FormatException e)
        {
            throw new LinkCredentialException($"The revocation list {Revocations} cannot be used: {e.Message}.", e);
        }

        foreach (var authority in authorities)
        {
            if (list.IsSignedBy(authority))
            {
                return list;
            }
        }

        throw new LinkCredentialException($"The revocation list {Revocations} is not signed by the authority {Authority}: copy that authority's ca.crl.");
    }

    // Time is not judged here: a daemon must start with an expired certificate to be able to say so.
    private void CheckSigned(CredentialSnapshot snapshot)
    {
        if (CertificateVerifier.JudgeSignature(snapshot.Certificate, snapshot) is not null)
        {
            throw new LinkCredentialException($"The certificate {Certificate} is not signed by the authority {Authority}: both must come from the same 'dpuctl pki init'.");
        }
    }
}
