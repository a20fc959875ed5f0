namespace Dpu.Link;

/// <summary>What became of an issued certificate.</summary>
public enum CertificateStatus
{
    /// <summary>In use.</summary>
    Valid,

    /// <summary>Not valid yet by this machine's clock.</summary>
    NotYetValid,

    /// <summary>Past its end.</summary>
    Expired,

    /// <summary>Revoked.</summary>
    Revoked,

    /// <summary>Issued by an authority that was replaced.</summary>
    OtherAuthority,
}

/// <summary>An issued certificate as <c>dpuctl pki show</c> lists it.</summary>
/// <param name="Identity">Whom it names.</param>
/// <param name="Serial">The serial number, hexadecimal.</param>
/// <param name="NotBefore">Begin of validity.</param>
/// <param name="NotAfter">End of validity.</param>
/// <param name="Status">What became of it.</param>
/// <param name="Newest">Whether NAME.crt is this one: false after a rotation.</param>
public sealed record CertificateInfo(
    PeerIdentity Identity, string Serial, DateTimeOffset NotBefore, DateTimeOffset NotAfter, CertificateStatus Status, bool Newest);

/// <summary>The files of a certificate just issued.</summary>
/// <param name="Info">The certificate.</param>
/// <param name="CertificatePath">NAME.crt.</param>
/// <param name="KeyPath">NAME.key, mode 0600.</param>
public sealed record IssuedCertificate(CertificateInfo Info, string CertificatePath, string KeyPath);

/// <summary>The authority did not do what was asked: what, on which file, why, what to do.</summary>
public sealed class PkiException(string message, Exception? inner = null) : Exception(message, inner);
