#pragma warning disable CA1707, CA1051, CA1815, CS1591, IDE1006, CS8981, CA1716
using System.Runtime.InteropServices;

namespace Dpu.Linux;

/// <summary>Constants of <c>fcntl.h</c> that x86-64 and arm64 share, and by property those in which they differ.</summary>
[CConstants("fcntl.h")]
public static class fcntl
{
    public const int O_RDONLY = 0;
    public const int O_WRONLY = 1;
    public const int O_RDWR = 2;
    public const int O_ACCMODE = 3;
    public const int O_CREAT = 0x40;
    public const int O_EXCL = 0x80;
    public const int O_NOCTTY = 0x100;
    public const int O_TRUNC = 0x200;
    public const int O_APPEND = 0x400;
    public const int O_NONBLOCK = 0x800;
    public const int O_DSYNC = 0x1000;
    public const int O_ASYNC = 0x2000;
    public const int O_NOATIME = 0x40000;
    public const int O_CLOEXEC = 0x80000;
    public const int O_SYNC = 0x101000;
    public const int O_PATH = 0x200000;
    public const int F_DUPFD = 0;
    public const int F_GETFD = 1;
    public const int F_SETFD = 2;
    public const int F_GETFL = 3;
    public const int F_SETFL = 4;
    public const int F_DUPFD_CLOEXEC = 1030;

    /// <summary>How much a pipe holds, bytes; an unprivileged program may have /proc/sys/fs/pipe-max-size.</summary>
    public const int F_SETPIPE_SZ = 1031;

    /// <inheritdoc cref="F_SETPIPE_SZ"/>
    public const int F_GETPIPE_SZ = 1032;

    /// <summary>Of splice(2) and tee(2): the pipes do not wait.</summary>
    public const int SPLICE_F_NONBLOCK = 2;
    public const int FD_CLOEXEC = 1;

    /// <summary>Locks of an open file description: <c>l_pid</c> must be 0, and whoever has the description has its locks (fcntl(2), since Linux 3.15).</summary>
    public const int F_OFD_GETLK = 36;

    /// <inheritdoc cref="F_OFD_GETLK"/>
    public const int F_OFD_SETLK = 37;
    public const int F_RDLCK = 0;
    public const int F_WRLCK = 1;
    public const int F_UNLCK = 2;
    public const int AT_FDCWD = -100;
    public const int AT_SYMLINK_NOFOLLOW = 0x100;
    public const int AT_REMOVEDIR = 0x200;
    public const int AT_SYMLINK_FOLLOW = 0x400;
    public const int AT_NO_AUTOMOUNT = 0x800;
    public const int AT_EMPTY_PATH = 0x1000;
    public const int AT_RECURSIVE = 0x8000;
    public const int AT_EACCESS = 0x200;
    public const int AT_STATX_SYNC_AS_STAT = 0;
    public const int AT_STATX_FORCE_SYNC = 0x2000;
    public const int AT_STATX_DONT_SYNC = 0x4000;
    public const int FALLOC_FL_KEEP_SIZE = 0x01;
    public const int FALLOC_FL_PUNCH_HOLE = 0x02;
    public const int FALLOC_FL_COLLAPSE_RANGE = 0x08;
    public const int FALLOC_FL_ZERO_RANGE = 0x10;
    public const int FALLOC_FL_INSERT_RANGE = 0x20;
    public const int FALLOC_FL_UNSHARE_RANGE = 0x40;

    /// <summary>The bytes of a file handle at most.</summary>
    public const int MAX_HANDLE_SZ = 128;

    /// <summary>This machine's value; see <see cref="fcntl_x64"/> and <see cref="fcntl_arm64"/>.</summary>
    public static int O_DIRECTORY => MachineArchitecture.IsArm64 ? fcntl_arm64.O_DIRECTORY : fcntl_x64.O_DIRECTORY;

    /// <inheritdoc cref="O_DIRECTORY"/>
    public static int O_NOFOLLOW => MachineArchitecture.IsArm64 ? fcntl_arm64.O_NOFOLLOW : fcntl_x64.O_NOFOLLOW;

    /// <inheritdoc cref="O_DIRECTORY"/>
    public static int O_DIRECT => MachineArchitecture.IsArm64 ? fcntl_arm64.O_DIRECT : fcntl_x64.O_DIRECT;

    /// <inheritdoc cref="O_DIRECTORY"/>
    public static int O_TMPFILE => MachineArchitecture.IsArm64 ? fcntl_arm64.O_TMPFILE : fcntl_x64.O_TMPFILE;
}

/// <summary>The head of a file handle; <c>handle_bytes</c> bytes of <c>f_handle</c> follow.</summary>
[CStruct("struct file_handle", "fcntl.h", Prefix = true)]
public struct file_handle
{
    public uint handle_bytes;
    public int handle_type;
}

/// <summary>A record lock, in bytes; <c>l_len</c> 0 reaches to the end of every file.</summary>
[CStruct("struct flock", "fcntl.h")]
public struct flock
{
    public short l_type;
    public short l_whence;
    public long l_start;
    public long l_len;
    public int l_pid;
}

public static unsafe partial class LibC
{
    /// <summary>openat(2); <paramref name="mode"/> is used with O_CREAT and O_TMPFILE only.</summary>
    [LibraryImport(Library)]
    public static partial int openat(int dirfd, byte* path, int flags, uint mode);

    /// <summary>fcntl(2) with an integer argument.</summary>
    [LibraryImport(Library, EntryPoint = "fcntl")]
    public static partial int fcntl_int(int fd, int command, nint argument);

    /// <summary>fcntl(2) with a record lock: F_OFD_SETLK and F_OFD_GETLK, which writes into it.</summary>
    [LibraryImport(Library, EntryPoint = "fcntl")]
    public static partial int fcntl_lock(int fd, int command, flock* argument);

    /// <summary>splice(2): moves bytes between a pipe and anything, whole in the kernel: a process that is killed meanwhile has moved them or not.</summary>
    [LibraryImport(Library)]
    public static partial nint splice(int fdIn, long* offsetIn, int fdOut, long* offsetOut, nuint length, uint flags);

    /// <summary>tee(2): copies the first bytes of a pipe into another one; they stay.</summary>
    [LibraryImport(Library)]
    public static partial nint tee(int fdIn, int fdOut, nuint length, uint flags);

    /// <summary>fallocate(2); offset and length in bytes.</summary>
    [LibraryImport(Library)]
    public static partial int fallocate(int fd, int mode, long offset, long length);

    /// <summary>
    /// name_to_handle_at(2); <c>handle_bytes</c> says how much room follows the head, and how much is needed after EOVERFLOW.
    /// <paramref name="mountId"/> is not that of <c>stx_mnt_id</c> on every kernel.
    /// </summary>
    [LibraryImport(Library)]
    public static partial int name_to_handle_at(int dirfd, byte* path, file_handle* handle, int* mountId, int flags);

    /// <summary>
    /// open_by_handle_at(2); needs CAP_DAC_READ_SEARCH, and as <paramref name="mountFd"/> a descriptor that is not O_PATH
    /// (EBADF otherwise). ESTALE where the file is gone or its inode number belongs to another one.
    /// </summary>
    [LibraryImport(Library)]
    public static partial int open_by_handle_at(int mountFd, file_handle* handle, int flags);

    /// <summary>Makes an open file non-blocking: O_NONBLOCK belongs to the open file description, whoever shares it.</summary>
    /// <returns>0 or a negated errno.</returns>
    public static int SetNonBlocking(Microsoft.Win32.SafeHandles.SafeFileHandle file) => SetNonBlocking((int)file.DangerousGetHandle());

    /// <inheritdoc cref="SetNonBlocking(Microsoft.Win32.SafeHandles.SafeFileHandle)"/>
    public static int SetNonBlocking(int descriptor)
    {
        int flags = Result(fcntl_int(descriptor, fcntl.F_GETFL, 0));
        return flags < 0 ? flags : Result(fcntl_int(descriptor, fcntl.F_SETFL, flags | fcntl.O_NONBLOCK));
    }

    /// <summary>Takes O_NONBLOCK from the open file description; 0 or a negated errno.</summary>
    public static int SetBlocking(Microsoft.Win32.SafeHandles.SafeFileHandle file)
    {
        int descriptor = (int)file.DangerousGetHandle();
        int flags = Result(fcntl_int(descriptor, fcntl.F_GETFL, 0));
        return flags < 0 ? flags : Result(fcntl_int(descriptor, fcntl.F_SETFL, flags & ~fcntl.O_NONBLOCK));
    }
}
