using System.Buffers.Binary;
using Dpu.Linux;

namespace Dpu.Fuse;

/// <summary>
/// Translates the ids that an ACL carries in its content, where a map changes ids on the way. Pure; an ACL is the extended
/// attribute <c>system.posix_acl_access</c> or <c>system.posix_acl_default</c> (<c>linux/posix_acl_xattr.h</c>, acl(5)).
/// </summary>
internal static class AclIds
{
    /// <summary>The most bytes of an ACL that is translated: 512 entries. ext4 holds about as many, XFS 25 or more.</summary>
    public const int MaxSize = 4 + (512 * EntrySize);

    private const int HeaderSize = 4;
    private const int EntrySize = 8;
    private const int IdOffset = 4;

    /// <summary>Whether an attribute's name is an ACL's.</summary>
    public static bool IsAcl(ReadOnlySpan<byte> name) => name.SequenceEqual("system.posix_acl_access"u8) || name.SequenceEqual("system.posix_acl_default"u8);

    /// <summary>From the host's ids to the peer's, in place; who is nobody there becomes nobody.</summary>
    /// <returns>0, or <c>-EINVAL</c> for what is no ACL.</returns>
    public static int ToPeer(Span<byte> acl, IdentityPolicy policy)
    {
        int error = Check(acl);
        for (int at = HeaderSize; error == 0 && at < acl.Length; at += EntrySize)
        {
            Span<byte> id = acl.Slice(at + IdOffset, sizeof(uint));
            uint host = BinaryPrimitives.ReadUInt32LittleEndian(id);
            switch (BinaryPrimitives.ReadUInt16LittleEndian(acl[at..]))
            {
                case linux_posix_acl.ACL_USER:
                    BinaryPrimitives.WriteUInt32LittleEndian(id, policy.ToPeerUser(host));
                    break;
                case linux_posix_acl.ACL_GROUP:
                    BinaryPrimitives.WriteUInt32LittleEndian(id, policy.ToPeerGroup(host));
                    break;
            }
        }

        return error;
    }

    /// <summary>From the peer's ids to the host's, in place.</summary>
    /// <returns>0, or <c>-EINVAL</c> for what is no ACL and for an id without a counterpart, as the kernel answers in a user namespace.</returns>
    public static int ToHost(Span<byte> acl, IdentityPolicy policy)
    {
        int error = Check(acl);
        for (int at = HeaderSize; error == 0 && at < acl.Length; at += EntrySize)
        {
            Span<byte> id = acl.Slice(at + IdOffset, sizeof(uint));
            uint peer = BinaryPrimitives.ReadUInt32LittleEndian(id);
            uint host = peer;
            bool known = BinaryPrimitives.ReadUInt16LittleEndian(acl[at..]) switch
            {
                linux_posix_acl.ACL_USER => policy.TryOwner(peer, out host),
                linux_posix_acl.ACL_GROUP => policy.TryOwningGroup(peer, out host),
                _ => true,
            };
            BinaryPrimitives.WriteUInt32LittleEndian(id, host);
            error = known ? 0 : -errno.EINVAL;
        }

        return error;
    }

    private static int Check(ReadOnlySpan<byte> acl) =>
        acl.Length is >= HeaderSize and <= MaxSize && (acl.Length - HeaderSize) % EntrySize == 0
            && BinaryPrimitives.ReadUInt32LittleEndian(acl) == linux_posix_acl_xattr.POSIX_ACL_XATTR_VERSION
            ? 0
            : -errno.EINVAL;
}
