#pragma warning disable CA1707, CA1051, CA1815, CS1591, IDE1006, CS8981, CA1716
using System.Runtime.InteropServices;

namespace Dpu.Linux;

/// <summary>Flags of fanotify_init(2) and fanotify_mark(2), event bits and kinds of information records.</summary>
[CConstants("linux/fanotify.h")]
public static class fanotify
{
    public const uint FAN_CLOEXEC = 0x1;
    public const uint FAN_NONBLOCK = 0x2;
    public const uint FAN_CLASS_NOTIF = 0x0;
    public const uint FAN_UNLIMITED_MARKS = 0x20;

    /// <summary><c>pid</c> of an event is the id of the thread that caused it.</summary>
    public const uint FAN_REPORT_TID = 0x100;

    /// <summary>Directory, name in it and the file itself, each by its handle (Linux 5.17).</summary>
    public const uint FAN_REPORT_DFID_NAME_TARGET = 0x1e00;
    public const uint FAN_MARK_ADD = 0x1;
    public const uint FAN_MARK_REMOVE = 0x2;
    public const uint FAN_MARK_INODE = 0x0;
    public const uint FAN_MARK_FILESYSTEM = 0x100;

    /// <summary>The mark goes where the kernel wants the file's memory back (Linux 5.19).</summary>
    public const uint FAN_MARK_EVICTABLE = 0x200;
    public const ulong FAN_MODIFY = 0x2;
    public const ulong FAN_ATTRIB = 0x4;
    public const ulong FAN_CLOSE_WRITE = 0x8;
    public const ulong FAN_MOVED_FROM = 0x40;
    public const ulong FAN_MOVED_TO = 0x80;
    public const ulong FAN_CREATE = 0x100;
    public const ulong FAN_DELETE = 0x200;
    public const ulong FAN_DELETE_SELF = 0x400;
    public const ulong FAN_MOVE_SELF = 0x800;

    /// <summary>Events were lost.</summary>
    public const ulong FAN_Q_OVERFLOW = 0x4000;

    /// <summary>Also what happens to the files in a marked directory.</summary>
    public const ulong FAN_EVENT_ON_CHILD = 0x08000000;

    /// <summary>Also what happens to directories.</summary>
    public const ulong FAN_ONDIR = 0x40000000;
    public const byte FANOTIFY_METADATA_VERSION = 3;
    public const byte FAN_EVENT_INFO_TYPE_FID = 1;
    public const byte FAN_EVENT_INFO_TYPE_DFID_NAME = 2;
    public const byte FAN_EVENT_INFO_TYPE_DFID = 3;
}

/// <summary>The head of an event; <c>event_len</c> bytes in all, information records from <c>metadata_len</c> on.</summary>
[CStruct("struct fanotify_event_metadata", "linux/fanotify.h")]
public struct fanotify_event_metadata
{
    public uint event_len;
    public byte vers;
    public byte reserved;
    public ushort metadata_len;
    public ulong mask;
    public int fd;
    public int pid;
}

/// <summary>The head of an information record; <c>len</c> bytes in all.</summary>
[CStruct("struct fanotify_event_info_header", "linux/fanotify.h")]
public struct fanotify_event_info_header
{
    public byte info_type;
    public byte pad;
    public ushort len;
}

/// <summary>An information record that names a file: a <see cref="file_handle"/> follows, and in some kinds a name ended by NUL.</summary>
[CStruct("struct fanotify_event_info_fid", "linux/fanotify.h", Prefix = true)]
public unsafe struct fanotify_event_info_fid
{
    public fanotify_event_info_header hdr;
    public fixed int fsid[2];
}

public static unsafe partial class LibC
{
    /// <summary>fanotify_init(2); needs CAP_SYS_ADMIN for marks of more than files that one may read.</summary>
    [LibraryImport(Library)]
    public static partial int fanotify_init(uint flags, uint eventFlags);

    /// <summary>fanotify_mark(2); follows a symbolic link, so that /proc/self/fd/N names an open file.</summary>
    [LibraryImport(Library)]
    public static partial int fanotify_mark(int group, uint flags, ulong mask, int dirfd, byte* path);
}
