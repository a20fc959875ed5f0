#pragma warning disable CA1707, CS1591, IDE1006
using System.Runtime.InteropServices;
using Dpu.Linux;

namespace Dpu.Fuse;

/// <summary>Translates open(2) flags as the kernel sends them between x86-64 and arm64. Pure.</summary>
/// <remarks>
/// Four flags have other values there; every other bit is the same on both (asm-generic/fcntl.h). Both assignments use
/// the same four bits, so the translation is a permutation and loses nothing.
/// </remarks>
public static class FuseOpenFlags
{
    private const uint DiffersOnX64 = open_flags_x64.O_DIRECTORY | open_flags_x64.O_NOFOLLOW | open_flags_x64.O_DIRECT | open_flags_x64.O_LARGEFILE;
    private const uint DiffersOnArm64 = open_flags_arm64.O_DIRECTORY | open_flags_arm64.O_NOFOLLOW | open_flags_arm64.O_DIRECT | open_flags_arm64.O_LARGEFILE;

    /// <summary>The same flags in another architecture's numbers.</summary>
    /// <param name="flags">Flags of open(2) or of F_GETFL.</param>
    /// <param name="from">The architecture whose numbers they are: x64 or arm64.</param>
    /// <param name="to">The architecture whose numbers are wanted: x64 or arm64.</param>
    /// <exception cref="ArgumentOutOfRangeException">Another architecture.</exception>
    public static uint Translate(uint flags, Architecture from, Architecture to)
    {
        if (!IsKnown(from))
        {
            ThrowUnknown(nameof(from), from);
        }

        if (!IsKnown(to))
        {
            ThrowUnknown(nameof(to), to);
        }

        return from == to ? flags : from == Architecture.X64 ? FromX64(flags) : FromArm64(flags);
    }

    internal static bool IsKnown(Architecture architecture) => architecture is Architecture.X64 or Architecture.Arm64;

    private static uint FromX64(uint flags) => (flags & ~DiffersOnX64)
        | Map(flags, open_flags_x64.O_DIRECTORY, open_flags_arm64.O_DIRECTORY)
        | Map(flags, open_flags_x64.O_NOFOLLOW, open_flags_arm64.O_NOFOLLOW)
        | Map(flags, open_flags_x64.O_DIRECT, open_flags_arm64.O_DIRECT)
        | Map(flags, open_flags_x64.O_LARGEFILE, open_flags_arm64.O_LARGEFILE);

    private static uint FromArm64(uint flags) => (flags & ~DiffersOnArm64)
        | Map(flags, open_flags_arm64.O_DIRECTORY, open_flags_x64.O_DIRECTORY)
        | Map(flags, open_flags_arm64.O_NOFOLLOW, open_flags_x64.O_NOFOLLOW)
        | Map(flags, open_flags_arm64.O_DIRECT, open_flags_x64.O_DIRECT)
        | Map(flags, open_flags_arm64.O_LARGEFILE, open_flags_x64.O_LARGEFILE);

    private static uint Map(uint flags, uint from, uint to) => (flags & from) != 0 ? to : 0;

    private static void ThrowUnknown(string parameter, Architecture architecture) =>
        throw new ArgumentOutOfRangeException(parameter, architecture, "Open flags are known for x64 and arm64 only.");
}

/// <summary>The kernel's values on x86-64. (The C library's O_LARGEFILE is 0 there; the kernel sets the bit all the same.)</summary>
[CConstants("linux/fcntl.h", Architecture = "x64")]
internal static class open_flags_x64
{
    public const uint O_DIRECT = 0x4000;
    public const uint O_LARGEFILE = 0x8000;
    public const uint O_DIRECTORY = 0x10000;
    public const uint O_NOFOLLOW = 0x20000;
}

/// <summary>The kernel's values on arm64.</summary>
[CConstants("linux/fcntl.h", Architecture = "arm64")]
internal static class open_flags_arm64
{
    public const uint O_DIRECTORY = 0x4000;
    public const uint O_NOFOLLOW = 0x8000;
    public const uint O_DIRECT = 0x10000;
    public const uint O_LARGEFILE = 0x20000;
}
