#pragma warning disable CA1707, CA1051, CA1815, CS1591, IDE1006, CS8981, CA1716
namespace Dpu.Linux;

/// <summary>The constants of <c>fcntl.h</c> in which arm64 differs from x86-64.</summary>
[CConstants("fcntl.h", Architecture = "arm64")]
public static class fcntl_arm64
{
    public const int O_DIRECTORY = 0x4000;
    public const int O_NOFOLLOW = 0x8000;
    public const int O_DIRECT = 0x10000;
    public const int O_TMPFILE = 0x404000;
}
