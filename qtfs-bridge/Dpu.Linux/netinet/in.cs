#pragma warning disable CA1707, CS1591, IDE1006, CS8981
namespace Dpu.Linux;

/// <summary>Protocol numbers of <c>netinet/in.h</c>.</summary>
[CConstants("netinet/in.h")]
public static class netinet_in
{
    public const int IPPROTO_TCP = 6;
}
