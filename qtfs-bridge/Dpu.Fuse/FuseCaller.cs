namespace Dpu.Fuse;

/// <summary>Who sent a FUSE request, as its header says. Valid for the time of the call only.</summary>
/// <remarks>
/// The header carries no supplementary groups; a creation may carry one of them in the extension
/// <c>FUSE_EXT_GROUPS</c> (Linux 6.3, FUSE 7.38). Every value comes from the peer and is a claim, not a fact.
/// </remarks>
public readonly ref struct FuseCaller
{
    /// <summary>The request's number, unique on its connection; bit 63 marks a resent one.</summary>
    public ulong Unique { get; init; }

    /// <summary>User id in the sender's user database.</summary>
    public uint Uid { get; init; }

    /// <summary>Group id in the sender's user database.</summary>
    public uint Gid { get; init; }

    /// <summary>Process id on the sender's side; 0 where its namespace has none.</summary>
    public uint Pid { get; init; }

    /// <summary>
    /// Where the answer goes of a request that must wait, which the file system then announces by
    /// <see cref="FuseFileSystem.Pending"/>; null where this connection takes no such answers.
    /// </summary>
    public IFuseLateReplies? Late { get; init; }

    /// <summary>The groups of <c>FUSE_EXT_GROUPS</c>; empty where the request carries none.</summary>
    public ReadOnlySpan<uint> SupplementaryGroups { get; init; }
}
