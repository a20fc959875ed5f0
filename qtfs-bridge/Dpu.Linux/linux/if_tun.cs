#pragma warning disable CA1707, CA1051, CA1815, CS1591, IDE1006, CS8981
namespace Dpu.Linux;

/// <summary>What calls on network interfaces are given and give.</summary>
[CStruct("struct ifreq", "linux/if.h")]
public unsafe struct ifreq
{
    /// <summary>The interface's name, with an end where it is shorter.</summary>
    public fixed byte ifr_ifrn[if_tun.IFNAMSIZ];

    /// <summary>Of tap and tun interfaces their flags, in the first 16 bits.</summary>
    public fixed byte ifr_ifru[24];
}

/// <summary>Flags and calls of tap and tun interfaces.</summary>
[CConstants("asm/ioctl.h linux/if.h linux/if_tun.h")]
public static class if_tun
{
    public const int IFNAMSIZ = 16;
    public const int IFF_TUN = 1;
    public const int IFF_TAP = 2;
    public const int IFF_MULTI_QUEUE = 0x100;
    public const int IFF_PERSIST = 0x800;
    public const int IFF_NO_PI = 0x1000;
    public const int IFF_VNET_HDR = 0x4000;
    public const uint TUNSETIFF = 0x400454CA;
    public const uint TUNGETIFF = 0x800454D2;
    public const uint TUNGETVNETHDRSZ = 0x800454D7;
    public const uint TUNSETVNETHDRSZ = 0x400454D8;
}
