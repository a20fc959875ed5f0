#pragma warning disable CA1707, CA1051, CA1815, CS1591, IDE1006, CS8981, CA1716
using System.Runtime.InteropServices;

namespace Dpu.Linux;

/// <summary>What is done with descriptors between fork(2) and execve(2); its members are the C library's own.</summary>
[CStruct("posix_spawn_file_actions_t", "spawn.h")]
public unsafe struct posix_spawn_file_actions_t
{
    public int __allocated;
    public int __used;
    public void* __actions;
    public fixed int __pad[16];
}

public static unsafe partial class LibC
{
    /// <summary>posix_spawn(3): 0, or an errno (not negated).</summary>
    [LibraryImport(Library)]
    public static partial int posix_spawn(int* pid, byte* path, posix_spawn_file_actions_t* actions, void* attributes, byte** argv, byte** envp);

    [LibraryImport(Library)]
    public static partial int posix_spawn_file_actions_init(posix_spawn_file_actions_t* actions);

    [LibraryImport(Library)]
    public static partial int posix_spawn_file_actions_destroy(posix_spawn_file_actions_t* actions);

    /// <summary>As dup2(2); the new descriptor is not closed by execve(2), also where it is the old one's number (glibc 2.29).</summary>
    [LibraryImport(Library)]
    public static partial int posix_spawn_file_actions_adddup2(posix_spawn_file_actions_t* actions, int fd, int newFd);

    /// <summary>waitpid(2).</summary>
    [LibraryImport(Library)]
    public static partial int waitpid(int pid, int* status, int options);
}
