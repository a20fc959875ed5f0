using System.Globalization;
using Dpu.Flows.Classifier;
using Dpu.Flows.Keys;
using Dpu.Flows.Packets;

namespace Dpu.Flows.Text;

/// <summary>A packet as people give it: its bytes in hex, or fields as of a match. Pure.</summary>
public static class PacketText
{
    /// <summary>Bytes of a packet that are taken: what an IP packet can have.</summary>
    public const int MaxBytes = 65536 + PacketParser.EthernetSize;

    /// <summary>Reads a packet.</summary>
    /// <param name="text">
    /// An even number of hex digits, with spaces and colons as one likes, of at least an Ethernet header; else fields such as
    /// "tcp,in_port=1,nw_dst=10.0.0.1,tp_dst=80", without masks.
    /// </param>
    /// <param name="inPort">The port that hex bytes come in by.</param>
    /// <param name="layout">What the parser found; null for fields.</param>
    /// <exception cref="FlowTextException">It is neither.</exception>
    public static FlowKey Parse(string text, uint inPort, out PacketLayout? layout)
    {
        ArgumentNullException.ThrowIfNull(text);
        string digits = string.Concat(text.Where(c => !char.IsWhiteSpace(c) && c is not ':'));
        layout = null;
        if (digits.Length >= PacketParser.EthernetSize * 2 && digits.All(char.IsAsciiHexDigit))
        {
            if (digits.Length % 2 != 0 || digits.Length / 2 > MaxBytes)
            {
                throw new FlowTextException($"the packet has {digits.Length} hex digits; it needs an even number, of at most {MaxBytes} bytes");
            }

            layout = PacketParser.Parse(Convert.FromHexString(digits), inPort, decapsulate: true, out FlowKey key);
            return key;
        }

        FlowMatch match = MatchText.Parse(text);
        foreach (FlowField field in Enum.GetValues<FlowField>())
        {
            if (field is FlowField.None or FlowField.VlanTci or FlowField.IpFrag or FlowField.CtState or FlowField.TcpFlags || !IsWhole(field))
            {
                continue;
            }

            UInt128 mask = FieldAccess.Get(match.Mask.Bits, field);
            if (mask != 0 && mask != FieldAccess.Full(field))
            {
                throw new FlowTextException($"a packet has whole values, and {field} has the mask 0x{mask.ToString("x", CultureInfo.InvariantCulture)}");
            }
        }

        if (match.HasRange)
        {
            throw new FlowTextException("a packet has one port, not a range");
        }

        match.Key.InPort = match.Mask.Bits.InPort == 0 ? inPort : match.Key.InPort;
        return match.Key;
    }

    /// <summary>A key as fields: all that are not 0.</summary>
    public static string Format(in FlowKey key)
    {
        FlowMatch match = FlowMatch.Any;
        match.Key = key;
        for (FlowField field = FlowField.InPort; field <= FlowField.RecircId; field++)
        {
            bool isIPv6 = key.EthType == EtherTypes.ETH_P_IPV6, isArp = key.EthType is EtherTypes.ETH_P_ARP or EtherTypes.ETH_P_RARP;
            bool fits = field switch
            {
                FlowField.Ipv6Src or FlowField.Ipv6Dst => isIPv6,
                FlowField.ArpSha or FlowField.ArpTha => isArp,
                FlowField.IpSrc or FlowField.IpDst => !isIPv6,
                FlowField.TunIpv6Src => (key.TunSrc.Word1 | key.TunSrc.Word2 | key.TunSrc.Word3) != 0,
                FlowField.TunIpv6Dst => (key.TunDst.Word1 | key.TunDst.Word2 | key.TunDst.Word3) != 0,
                FlowField.VlanVid or FlowField.VlanPcp => false,
                _ => true,
            };
            if (fits && FieldAccess.Get(key, field) != 0)
            {
                FieldAccess.Set(ref match.Mask.Bits, field, FieldAccess.Get(match.Mask.Bits, field) | FieldAccess.Full(field));
            }
        }

        return MatchText.Format(match);
    }

    // Fields whose bits another one has too are looked at there.
    private static bool IsWhole(FlowField field) => field is not (FlowField.VlanVid or FlowField.VlanPcp or FlowField.VlanTci2
        or FlowField.IpSrc or FlowField.IpDst or FlowField.Ipv6Src or FlowField.Ipv6Dst or FlowField.ArpSha or FlowField.ArpTha
        or FlowField.TunSrc or FlowField.TunDst or FlowField.TunIpv6Src or FlowField.TunIpv6Dst or FlowField.IpTos);
}
