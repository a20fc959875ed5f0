using Dpu.Proto.V1;

namespace Dpu.Link;

/// <summary>Why a link could not be set up. What a caller does depends on this, never on a message's text.</summary>
public enum LinkError
{
    /// <summary>Nobody listens there, or no way leads there. Retry.</summary>
    Unreachable,

    /// <summary>A step took longer than its limit. Retry.</summary>
    Timeout,

    /// <summary>The peer ended the connection during the set-up. Retry.</summary>
    Closed,

    /// <summary>The peer does not speak TLS 1.3 as we do, or not the link's protocol.</summary>
    Protocol,

    /// <summary>The peer's certificate is not signed by our authority.</summary>
    WrongAuthority,

    /// <summary>The peer presented no certificate.</summary>
    NoCertificate,

    /// <summary>A certificate has expired: the peer's or our own.</summary>
    Expired,

    /// <summary>A certificate is not valid yet: most likely a wrong clock. Retry, it may be set soon.</summary>
    ClockSkew,

    /// <summary>The peer's certificate is another's: name or role differ.</summary>
    NameMismatch,

    /// <summary>The peer's certificate was revoked, or the revocation list cannot be trusted any more.</summary>
    Revoked,

    /// <summary>The certificate must not be used for this (key usage, no dpu:// name).</summary>
    CertificateUnsuitable,

    /// <summary>The listener did not accept our certificate. Retry slowly: its clock or lists may be what is wrong.</summary>
    CertificateRefused,

    /// <summary>The process at the other end of a unix socket runs as another user.</summary>
    PeerUid,

    /// <summary>The listener answered the hello with a refusal: see <see cref="LinkException.Status"/>.</summary>
    Refused,

    /// <summary>The protocol's major versions differ.</summary>
    VersionMismatch,

    /// <summary>Our own certificate files cannot be used.</summary>
    Credentials,
}

/// <summary>A link could not be set up.</summary>
public sealed class LinkException : Exception
{
    /// <summary>A failure with its kind, a message for a person, and for a refusal what the listener said.</summary>
    public LinkException(LinkError kind, string message, HelloStatus? status = null, Exception? inner = null)
        : base(message, inner)
    {
        Kind = kind;
        Status = status;
    }

    /// <summary>What happened.</summary>
    public LinkError Kind { get; }

    /// <summary>The listener's answer where it refused.</summary>
    public HelloStatus? Status { get; }

    /// <summary>Whether the same attempt may well succeed later with nobody changing anything at this end.</summary>
    public bool IsTransient => Kind is LinkError.Unreachable or LinkError.Timeout or LinkError.Closed or LinkError.ClockSkew
        or LinkError.CertificateRefused
        || Status is HelloStatus.Limit or HelloStatus.Unavailable;
}
