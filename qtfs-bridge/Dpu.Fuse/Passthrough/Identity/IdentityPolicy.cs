using Dpu.Linux;

namespace Dpu.Fuse;

/// <summary>
/// As whom a peer's users act on the host. Where the peer is believed (<see cref="TrustsPeer"/>) its kernel has checked
/// the access and the host acts with its own privilege, but for creation; otherwise every call runs under the user's
/// mapped identity without capabilities, so that the host's kernel checks it. Immutable, thread-safe; equal by content, so
/// that a reload can tell an unchanged policy.
/// </summary>
/// <remarks>
/// A request names one group, not the caller's supplementary ones, so under a squash or a map a file that only a
/// supplementary group may use is refused: the safe side.
/// </remarks>
public sealed record IdentityPolicy
{
    /// <summary>The kernel's "nobody", the id shown where there is no better one.</summary>
    public const uint Nobody = 65534;

    /// <summary>The most supplementary groups of a caller that count.</summary>
    public const int MaxGroups = FuseWorkerThread.MaxGroups;

    /// <summary>Believes the peer in everything.</summary>
    public static IdentityPolicy Trusting { get; } = new() { Squash = Squash.None };

    /// <summary>Root is squashed and the host checks access: the default.</summary>
    public static IdentityPolicy RootSquashing { get; } = new();

    /// <summary>Who is squashed.</summary>
    public Squash Squash { get; init; } = Squash.Root;

    /// <summary>The user that the squashed and the unmapped act as, an id of the host.</summary>
    public uint AnonymousUid { get; init; } = Nobody;

    /// <summary>The group that the squashed and the unmapped act as, an id of the host.</summary>
    public uint AnonymousGid { get; init; } = Nobody;

    /// <summary>Users; null leaves ids as they are.</summary>
    public IdMap? Users { get; init; }

    /// <summary>Groups; null leaves ids as they are.</summary>
    public IdMap? Groups { get; init; }

    /// <summary>Whether the peer's own checks of access count.</summary>
    public bool TrustsPeer => Squash == Squash.None && !HasMap;

    /// <summary>Whether ids change on the way, also those that an ACL has in its content (<see cref="AclIds"/>).</summary>
    public bool HasMap => Users is not null || Groups is not null;

    /// <summary>As which user of the host a peer's user acts.</summary>
    public uint ToHostUser(uint claimed) => ToHost(claimed, Users, AnonymousUid);

    /// <summary>As which group of the host a peer's group acts.</summary>
    public uint ToHostGroup(uint claimed) => ToHost(claimed, Groups, AnonymousGid);

    /// <summary>To whom of the host a file is given where the peer says <paramref name="uid"/>; false where to nobody.</summary>
    public bool TryOwner(uint uid, out uint host) => TryGive(uid, Users, AnonymousUid, out host);

    /// <summary>To which group of the host a file is given where the peer says <paramref name="gid"/>; false where to none.</summary>
    public bool TryOwningGroup(uint gid, out uint host) => TryGive(gid, Groups, AnonymousGid, out host);

    /// <summary>How a user of the host is shown to the peer.</summary>
    public uint ToPeerUser(uint host) => ToPeer(host, Users);

    /// <summary>How a group of the host is shown to the peer.</summary>
    public uint ToPeerGroup(uint host) => ToPeer(host, Groups);

    /// <summary>Whether a call for <paramref name="caller"/> runs with the daemon's capabilities under <see cref="IdentityUse.Checked"/>.</summary>
    internal bool KeepsPrivilege(in FuseCaller caller) => TrustsPeer && caller.Uid == 0;

    /// <summary>Makes this thread act for <paramref name="caller"/>; 0 or a negated errno.</summary>
    internal int Assume(in FuseCaller caller, IdentityUse use)
    {
        FuseWorkerThread thread = FuseWorkerThread.Current;
        if (TrustsPeer)
        {
            if (use == IdentityUse.Ordinary)
            {
                return thread.BecomeAgent();
            }

            if (caller.Uid == uint.MaxValue || caller.Gid == uint.MaxValue)
            {
                return -errno.EOVERFLOW;
            }

            // Root's own capabilities are what the peer's kernel went by; others keep only what makes its decision stand.
            Privilege privilege = caller.Uid == 0 ? Privilege.Agent : use == IdentityUse.Creation ? Privilege.Creation : Privilege.None;
            return thread.Become(caller.Uid, caller.Gid, caller.SupplementaryGroups, privilege);
        }

        ReadOnlySpan<uint> claimed = caller.SupplementaryGroups;
        Span<uint> groups = stackalloc uint[FuseWorkerThread.MaxGroups];
        int count = 0;
        for (int i = 0; i < claimed.Length && count < groups.Length; i++)
        {
            uint group = ToHostGroup(claimed[i]);
            if (group != AnonymousGid)
            {
                groups[count++] = group;
            }
        }

        return thread.Become(ToHostUser(caller.Uid), ToHostGroup(caller.Gid), groups[..count], Privilege.None);
    }

    /// <summary>
    /// As <see cref="Assume"/> for <see cref="IdentityUse.Checked"/>, where nobody may stand for somebody else but by a squash: who has
    /// no counterpart is refused.
    /// </summary>
    /// <param name="caller">Who acts.</param>
    /// <param name="uid">As which user of the host.</param>
    /// <param name="gid">With which group.</param>
    /// <returns>0, <c>-EACCES</c> for who has no counterpart, or another negated errno.</returns>
    public int AssumeMapped(in FuseCaller caller, out uint uid, out uint gid)
    {
        return TryToHost(caller.Uid, caller.Gid, out uid, out gid) ? Assume(caller, IdentityUse.Checked) : -errno.EACCES;
    }

    /// <summary>As whom of the host a peer's user acts, where nobody may stand for somebody else but by a squash; false for who has no counterpart.</summary>
    public bool TryToHost(uint claimedUid, uint claimedGid, out uint uid, out uint gid)
    {
        (uid, gid) = (ToHostUser(claimedUid), ToHostGroup(claimedGid));
        return claimedUid != uint.MaxValue && claimedGid != uint.MaxValue
            && (IsSquashed(claimedUid) || Users is null || Users.TryToHost(claimedUid, out _))
            && (IsSquashed(claimedGid) || Groups is null || Groups.TryToHost(claimedGid, out _));
    }

    private bool IsSquashed(uint claimed) => Squash == Squash.All || (Squash == Squash.Root && claimed == 0);

    private uint ToHost(uint claimed, IdMap? map, uint anonymous)
    {
        if (Squash == Squash.All || (Squash == Squash.Root && claimed == 0) || claimed == uint.MaxValue)
        {
            return anonymous;
        }

        return map is null ? claimed : map.TryToHost(claimed, out uint host) ? host : anonymous;
    }

    private bool TryGive(uint claimed, IdMap? map, uint anonymous, out uint host)
    {
        host = claimed;
        if (claimed == uint.MaxValue)
        {
            return false;
        }

        if (map is not null)
        {
            return map.TryToHost(claimed, out host) && (Squash != Squash.Root || claimed != 0) && (Squash != Squash.All || host == anonymous);
        }

        return Squash switch { Squash.All => claimed == anonymous, Squash.Root => claimed != 0, _ => true };
    }

    private static uint ToPeer(uint host, IdMap? map) =>
        map is null ? host : map.TryToPeer(host, out uint peer) ? peer : Nobody;
}
