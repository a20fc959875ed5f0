#pragma warning disable CA1707, CS1591, IDE1006, CS8981
namespace Dpu.Linux;

/// <summary>Options of tcp(7) for <c>IPPROTO_TCP</c>.</summary>
[CConstants("netinet/tcp.h")]
public static class netinet_tcp
{
    public const int TCP_NODELAY = 1;
    public const int TCP_KEEPIDLE = 4;
    public const int TCP_KEEPINTVL = 5;
    public const int TCP_KEEPCNT = 6;
    public const int TCP_USER_TIMEOUT = 18;
}
