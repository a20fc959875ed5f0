#pragma warning disable CA1707, CA1051, CA1815, CS1591, IDE1006, CS8981
namespace Dpu.Linux;

/// <summary>Kinds of entries of an ACL that name somebody.</summary>
[CConstants("linux/posix_acl.h")]
public static class linux_posix_acl
{
    public const ushort ACL_USER = 0x02;
    public const ushort ACL_GROUP = 0x08;
}

/// <summary>The version of an ACL as an extended attribute.</summary>
[CConstants("linux/posix_acl_xattr.h")]
public static class linux_posix_acl_xattr
{
    public const uint POSIX_ACL_XATTR_VERSION = 2;
}

/// <summary>Begins an ACL as an extended attribute; little-endian, as all of it.</summary>
[CStruct("struct posix_acl_xattr_header", "linux/posix_acl_xattr.h")]
public struct posix_acl_xattr_header
{
    public uint a_version;
}

/// <summary>An entry of an ACL.</summary>
[CStruct("struct posix_acl_xattr_entry", "linux/posix_acl_xattr.h")]
public struct posix_acl_xattr_entry
{
    public ushort e_tag;
    public ushort e_perm;
    public uint e_id;
}
