using static Dpu.Fuse.Wire.FuseConstants;

namespace Dpu.Fuse;

/// <summary>What FUSE_INIT agreed on. A server that carries on a connection of its predecessor starts from this.</summary>
/// <param name="Minor">The common minor version of FUSE 7.</param>
/// <param name="Flags">The features in use, <c>flags2</c> in the upper half.</param>
/// <param name="MaxWrite">The most data of one write, in bytes.</param>
public sealed record FuseNegotiation(uint Minor, ulong Flags, uint MaxWrite)
{
    /// <summary>Whether FUSE_SETXATTR carries <c>setxattr_flags</c>.</summary>
    internal bool ExtendedSetXAttr => (Flags & FUSE_SETXATTR_EXT) != 0;

    /// <summary>Whether FUSE_OPEN and FUSE_FLUSH are answered with ENOSYS, after which the kernel sends none.</summary>
    internal bool HasZeroMessageOpen => (Flags & FUSE_NO_OPEN_SUPPORT) != 0;
}
