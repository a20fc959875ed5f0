#pragma warning disable CA1707, CA1051, CA1815, CS1591, IDE1006, CS8981, CA1716
namespace Dpu.Linux;

/// <summary>The constants of <c>fcntl.h</c> in which x86-64 differs from arm64.</summary>
[CConstants("fcntl.h", Architecture = "x64")]
public static class fcntl_x64
{
    public const int O_DIRECT = 0x4000;
    public const int O_DIRECTORY = 0x10000;
    public const int O_NOFOLLOW = 0x20000;
    public const int O_TMPFILE = 0x410000;
}
