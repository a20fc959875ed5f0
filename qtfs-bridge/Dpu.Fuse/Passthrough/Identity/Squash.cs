namespace Dpu.Fuse;

/// <summary>Which of a peer's users act as the anonymous user instead.</summary>
public enum Squash
{
    /// <summary>User and group 0. The peer may claim to be anybody else, and the host checks every access.</summary>
    Root,

    /// <summary>Everybody.</summary>
    All,

    /// <summary>Nobody: the peer is believed, root included.</summary>
    None,
}
