#pragma warning disable CA1707, CA1051, CA1815, CS1591, IDE1006, CS8981
namespace Dpu.Linux;

/// <summary>Seconds and microseconds, as SO_RCVTIMEO and SO_SNDTIMEO take them; zero means no limit there.</summary>
[CStruct("struct timeval", "sys/time.h")]
public struct timeval
{
    public nint tv_sec;
    public nint tv_usec;
}
