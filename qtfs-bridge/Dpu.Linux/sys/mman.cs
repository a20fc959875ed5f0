#pragma warning disable CA1707, CS1591, IDE1006, CS8981
using System.Runtime.InteropServices;

namespace Dpu.Linux;

/// <summary>Protections and flags of mmap(2).</summary>
[CConstants("sys/mman.h")]
public static class mman
{
    public const int PROT_NONE = 0;
    public const int PROT_READ = 1;
    public const int PROT_WRITE = 2;
    public const int MAP_SHARED = 1;
    public const int MAP_PRIVATE = 2;
    public const int MAP_ANONYMOUS = 0x20;
    public const uint MFD_CLOEXEC = 1;
}

public static unsafe partial class LibC
{
    /// <summary>mmap(2); <c>(void*)-1</c> where it fails.</summary>
    [LibraryImport(Library)]
    public static partial void* mmap(void* address, nuint size, int protection, int flags, int fd, long offset);

    /// <summary>munmap(2).</summary>
    [LibraryImport(Library)]
    public static partial int munmap(void* address, nuint size);

    /// <summary>mprotect(2).</summary>
    [LibraryImport(Library)]
    public static partial int mprotect(void* address, nuint size, int protection);

    /// <summary>memfd_create(2).</summary>
    [LibraryImport(Library)]
    public static partial int memfd_create(byte* name, uint flags);
}
