namespace Dpu.Fuse;

/// <summary>Sizes in bytes that bound a FUSE message, whoever sends it.</summary>
public static class FuseLimits
{
    /// <summary>The most data of one FUSE_READ or FUSE_WRITE: what the kernel allows (256 pages of 4 KiB, <c>FUSE_MAX_MAX_PAGES</c>).</summary>
    public const uint MaxWrite = 1 << 20;

    /// <summary>
    /// The largest message with all its headers. The kernel refuses a read(2) of /dev/fuse into less than the two headers
    /// of a write and its data (80 + <see cref="MaxWrite"/>); one page more keeps the buffers of both page aligned.
    /// </summary>
    public const int MaxMessageSize = (int)MaxWrite + 4096;

    /// <summary>The longest name of a directory entry or an extended attribute (NAME_MAX, XATTR_NAME_MAX), without its NUL.</summary>
    public const int MaxNameLength = 255;

    /// <summary>The longest target of a symbolic link (PATH_MAX without its NUL).</summary>
    public const int MaxLinkTargetLength = 4095;

    /// <summary>The largest value of an extended attribute, and the largest list of their names (XATTR_SIZE_MAX, XATTR_LIST_MAX).</summary>
    public const int MaxXAttrSize = 65536;

    /// <summary>
    /// The most groups taken from FUSE_EXT_GROUPS. Linux sends one, that of the parent directory (6.3 to 6.18); this
    /// leaves room and bounds what a hostile peer can make a call carry.
    /// </summary>
    public const int MaxSupplementaryGroups = 32;

    /// <summary>The oldest minor version of FUSE 7 that is served: 7.31 (Linux 5.4), so that no compatibility size is needed.</summary>
    public const uint OldestMinorVersion = 31;

    /// <summary>The minor version of FUSE 7 that this dispatcher speaks: 7.41 (Linux 6.12). A newer kernel goes down to it.</summary>
    public const uint MinorVersion = 41;
}
