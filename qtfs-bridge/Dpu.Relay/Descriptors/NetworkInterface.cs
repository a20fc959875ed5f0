using System.Runtime.InteropServices;
using System.Text;
using Dpu.Linux;
using Microsoft.Win32.SafeHandles;

namespace Dpu.Relay.Descriptors;

/// <summary>What the other end's programs may have of a tap or tun interface of this machine.</summary>
public enum InterfaceRight
{
    /// <summary>Nothing.</summary>
    None,

    /// <summary>One that there is.</summary>
    Attach,

    /// <summary>Also one that is made for them, and gone when they close it.</summary>
    Create,
}

/// <summary>Descriptors of tap and tun interfaces (<c>/dev/net/tun</c>): their packets do not cross, the twin is an interface of this machine with the same name.</summary>
internal static unsafe class NetworkInterface
{
    // Those that programs ask for, and that change what they read and write.
    private const int Kept = if_tun.IFF_TUN | if_tun.IFF_TAP | if_tun.IFF_NO_PI | if_tun.IFF_VNET_HDR | if_tun.IFF_MULTI_QUEUE;
    private const int FlagsBits = 32;

    /// <summary>Says which interface a descriptor is of; null where it has none, and why.</summary>
    public static PassedDescriptor? TryRead(int descriptor, DescriptorFlags flags, out string reason)
    {
        ifreq request;
        int header = 0;
        reason = "";

        // SAFETY: a struct and an int on this stack, of the sizes that the requests write.
        if (LibC.ioctl(descriptor, if_tun.TUNGETIFF, &request) < 0)
        {
            reason = "it is /dev/net/tun without an interface (TUNSETIFF); attach it to one first";
            return null;
        }

        int own = *(ushort*)request.ifr_ifru & Kept;
        if ((own & if_tun.IFF_VNET_HDR) != 0)
        {
            _ = LibC.ioctl(descriptor, if_tun.TUNGETVNETHDRSZ, &header);
        }

        var name = new ReadOnlySpan<byte>(request.ifr_ifrn, if_tun.IFNAMSIZ);
        return new PassedDescriptor(DescriptorKind.Interface, flags & (DescriptorFlags.NonBlock | DescriptorFlags.ReadWrite))
        {
            Value = (uint)own | ((long)header << FlagsBits),
            Name = name[..name.IndexOf((byte)0)].ToArray(),
        };
    }

    /// <summary>Whether it is one that <see cref="TryRead"/> can have made.</summary>
    public static bool IsSound(PassedDescriptor one) =>
        IsName(one.Name.Span)
        && (one.Value & uint.MaxValue & ~Kept) == 0
        && (one.Value & (if_tun.IFF_TUN | if_tun.IFF_TAP)) is if_tun.IFF_TUN or if_tun.IFF_TAP
        && (one.Value >> FlagsBits) is >= 0 and <= 64;

    /// <summary>Opens the one of this machine; null where that is not permitted, or fails, and why.</summary>
    /// <param name="what">From a peer that is not trusted, but sound.</param>
    /// <param name="right">What it may have.</param>
    /// <param name="rule">Where it would be permitted, for people.</param>
    /// <param name="reason">Why not.</param>
    public static SafeFileHandle? TryOpen(PassedDescriptor what, InterfaceRight right, string rule, out string reason)
    {
        string name = Encoding.ASCII.GetString(what.Name.Span);
        bool exists = Directory.Exists($"/sys/class/net/{name}");
        if (right == InterfaceRight.None)
        {
            reason = $"interface {name} of this machine may not be had: {rule} names none of that name";
            return null;
        }

        if (!exists && right != InterfaceRight.Create)
        {
            reason = $"this machine has no interface {name}: make it (ip tuntap add dev {name} mode {((what.Value & if_tun.IFF_TAP) != 0 ? "tap" : "tun")}{((what.Value & if_tun.IFF_MULTI_QUEUE) != 0 ? " multi_queue" : "")}), or let it be made with \"create\": true in {rule}";
            return null;
        }

        SafeFileHandle? opened = Descriptor.TryOpen("/dev/net/tun", fcntl.O_RDWR | ((what.Flags & DescriptorFlags.NonBlock) != 0 ? fcntl.O_NONBLOCK : 0), out reason);
        if (opened is null)
        {
            reason = $"/dev/net/tun cannot be opened: {reason}";
            return null;
        }

        ifreq request = default;
        what.Name.Span.CopyTo(new Span<byte>(request.ifr_ifrn, if_tun.IFNAMSIZ));
        *(ushort*)request.ifr_ifru = (ushort)(what.Value & Kept);
        int header = (int)(what.Value >> FlagsBits);

        // SAFETY: a struct and an int on this stack.
        int error = LibC.Result(LibC.ioctl((int)opened.DangerousGetHandle(), if_tun.TUNSETIFF, &request));
        if (error >= 0 && header > 0)
        {
            error = LibC.Result(LibC.ioctl((int)opened.DangerousGetHandle(), if_tun.TUNSETVNETHDRSZ, &header));
        }

        if (error >= 0)
        {
            return opened;
        }

        opened.Dispose();
        reason = $"interface {name} of this machine cannot be had: {Marshal.GetPInvokeErrorMessage(-error)}{(error switch
        {
            -errno.EBUSY => "; somebody has it already, and it is not one for several (multi_queue)",
            -errno.EINVAL => "; it is of another kind, or made with other flags",
            -errno.EPERM => "; the service lacks CAP_NET_ADMIN",
            _ => "",
        })}";
        return null;
    }

    // The kernel's rules for names (dev_valid_name), and ASCII alone; none that leads elsewhere in /sys, and no pattern by which the kernel numbers (tap%d).
    private static bool IsName(ReadOnlySpan<byte> name) =>
        name.Length is > 0 and < if_tun.IFNAMSIZ && !name.SequenceEqual("."u8) && !name.SequenceEqual(".."u8)
        && name.IndexOfAnyExceptInRange((byte)0x21, (byte)0x7e) < 0 && name.IndexOfAny((byte)'/', (byte)':', (byte)'%') < 0;
}
