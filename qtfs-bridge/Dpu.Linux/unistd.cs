#pragma warning disable CA1707, CA1051, CA1815, CS1591, IDE1006, CS8981, CA1716
using System.Runtime.InteropServices;

namespace Dpu.Linux;

/// <summary>Constants of <c>unistd.h</c>.</summary>
[CConstants("unistd.h")]
public static class unistd
{
    public const int R_OK = 4;
    public const int W_OK = 2;
    public const int X_OK = 1;
    public const int F_OK = 0;
    public const int SEEK_SET = 0;
    public const int SEEK_CUR = 1;
    public const int SEEK_END = 2;
    public const int SEEK_DATA = 3;
    public const int SEEK_HOLE = 4;
}

public static unsafe partial class LibC
{
    /// <summary>pipe2(2): two descriptors, the first to read.</summary>
    [LibraryImport(Library)]
    public static partial int pipe2(int* descriptors, int flags);

    [LibraryImport(Library)]
    public static partial int close(int fd);

    [LibraryImport(Library)]
    public static partial nint read(int fd, void* buffer, nuint size);

    [LibraryImport(Library)]
    public static partial nint write(int fd, void* buffer, nuint size);

    [LibraryImport(Library)]
    public static partial nint pread(int fd, void* buffer, nuint size, long offset);

    [LibraryImport(Library)]
    public static partial nint pwrite(int fd, void* buffer, nuint size, long offset);

    [LibraryImport(Library)]
    public static partial long lseek(int fd, long offset, int whence);

    [LibraryImport(Library)]
    public static partial int dup(int fd);

    /// <summary>gettid(2): the calling thread's number.</summary>
    [LibraryImport(Library)]
    public static partial int gettid();

    /// <summary>Makes <paramref name="newFd"/> refer to what <paramref name="oldFd"/> does, atomically to other threads.</summary>
    [LibraryImport(Library)]
    public static partial int dup3(int oldFd, int newFd, int flags);

    [LibraryImport(Library)]
    public static partial int fsync(int fd);

    [LibraryImport(Library)]
    public static partial int fdatasync(int fd);

    [LibraryImport(Library)]
    public static partial int syncfs(int fd);

    [LibraryImport(Library)]
    public static partial int ftruncate(int fd, long size);

    [LibraryImport(Library)]
    public static partial int truncate(byte* path, long size);

    [LibraryImport(Library)]
    public static partial int linkat(int oldDirfd, byte* oldPath, int newDirfd, byte* newPath, int flags);

    [LibraryImport(Library)]
    public static partial int symlinkat(byte* target, int newDirfd, byte* linkPath);

    [LibraryImport(Library)]
    public static partial int unlinkat(int dirfd, byte* path, int flags);

    [LibraryImport(Library)]
    public static partial nint readlinkat(int dirfd, byte* path, byte* buffer, nuint size);

    [LibraryImport(Library)]
    public static partial int fchown(int fd, uint owner, uint group);

    [LibraryImport(Library)]
    public static partial int fchownat(int dirfd, byte* path, uint owner, uint group, int flags);

    [LibraryImport(Library)]
    public static partial nint copy_file_range(int fdIn, long* offsetIn, int fdOut, long* offsetOut, nuint length, uint flags);

    [LibraryImport(Library)]
    public static partial int chdir(byte* path);

    [LibraryImport(Library)]
    public static partial int fchdir(int fd);

    /// <summary>getsid(2): the session of a process or thread; 0 where its leader is in no pid namespace of the caller's.</summary>
    [LibraryImport(Library)]
    public static partial int getsid(int pid);

    [LibraryImport(Library)]
    public static partial uint getuid();

    [LibraryImport(Library)]
    public static partial uint geteuid();

    [LibraryImport(Library)]
    public static partial uint getgid();

    [LibraryImport(Library)]
    public static partial uint getegid();

    /// <summary>execve(2): becomes another program; returns only where it fails.</summary>
    [LibraryImport(Library)]
    public static partial int execve(byte* path, byte** argv, byte** envp);
}
