using Dpu.Linux;

namespace Dpu.Fuse;

/// <summary>Checks names that a peer sent. Pure; 0 or a negated errno.</summary>
internal static class FuseNames
{
    /// <summary>
    /// Whether a name is one component: not empty, at most 255 bytes, without '/', and neither "." nor "..". (The caller
    /// has cut it at its NUL.) A name with '/' or ".." would walk out of the directory it is looked up in.
    /// </summary>
    internal static int CheckComponent(ReadOnlySpan<byte> name)
    {
        if (name.Length > FuseLimits.MaxNameLength)
        {
            return -errno.ENAMETOOLONG;
        }

        return name.IsEmpty || name.SequenceEqual("."u8) || name.SequenceEqual(".."u8) || name.Contains((byte)'/') ? -errno.EINVAL : 0;
    }

    /// <summary>Whether an extended attribute's name has a possible length; xattr(7) answers ERANGE otherwise.</summary>
    internal static int CheckXAttr(ReadOnlySpan<byte> name) => name.Length is 0 or > FuseLimits.MaxNameLength ? -errno.ERANGE : 0;

    /// <summary>Whether a symbolic link's target has a possible length.</summary>
    internal static int CheckLinkTarget(ReadOnlySpan<byte> target) =>
        target.IsEmpty ? -errno.EINVAL : target.Length > FuseLimits.MaxLinkTargetLength ? -errno.ENAMETOOLONG : 0;
}
