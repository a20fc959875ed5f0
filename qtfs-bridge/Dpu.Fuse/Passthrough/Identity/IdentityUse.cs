namespace Dpu.Fuse;

/// <summary>What a call needs an identity for. It matters where the peer is trusted; otherwise all are the caller's own.</summary>
internal enum IdentityUse
{
    /// <summary>Anything that the peer's kernel has checked: the agent's own privilege.</summary>
    Ordinary,

    /// <summary>What is made belongs to the caller; the directory's mode has been checked by the peer's kernel.</summary>
    Creation,

    /// <summary>
    /// The host's kernel does the rest for the caller, without privilege but root's: it checks the access where the peer's
    /// kernel could not, charges blocks and quotas, takes set-id bits away, and hides what the caller may not see.
    /// </summary>
    Checked,
}

/// <summary>The capabilities that a thread has in effect.</summary>
internal enum Privilege
{
    /// <summary>Those the daemon runs with.</summary>
    Agent,

    /// <summary>Passing modes and making device nodes, no more.</summary>
    Creation,

    /// <summary>None.</summary>
    None,
}
