namespace Dpu.Flows.Keys;

/// <summary>Reads and writes fields of a key by name, as numbers of up to 128 bits. The same serves masks: their bits lie alike.</summary>
public static class FieldAccess
{
    /// <summary>Bits of a field.</summary>
    public static int Width(FlowField field) => field switch
    {
        FlowField.MplsBos => 1,
        FlowField.VlanPcp or FlowField.MplsTc => 3,
        FlowField.IpProto or FlowField.IpFrag or FlowField.IpTos or FlowField.IpTtl or FlowField.TunTos or FlowField.TunTtl or FlowField.TunKind => 8,
        FlowField.VlanVid or FlowField.TcpFlags => 12,
        FlowField.EthType or FlowField.VlanTci or FlowField.VlanTci2 or FlowField.TpSrc or FlowField.TpDst or FlowField.CtState or FlowField.CtZone => 16,
        FlowField.MplsLabel or FlowField.Ipv6Label => 20,
        FlowField.InPort or FlowField.IpSrc or FlowField.IpDst or FlowField.TunSrc or FlowField.TunDst or FlowField.CtMark or FlowField.RecircId => 32,
        FlowField.EthSrc or FlowField.EthDst or FlowField.ArpSha or FlowField.ArpTha => 48,
        FlowField.TunId => 64,
        FlowField.Ipv6Src or FlowField.Ipv6Dst or FlowField.TunIpv6Src or FlowField.TunIpv6Dst => 128,
        _ => throw new ArgumentOutOfRangeException(nameof(field), field, "there is no such field"),
    };

    /// <summary>All bits of a field.</summary>
    public static UInt128 Full(FlowField field) => Width(field) == 128 ? UInt128.MaxValue : (UInt128.One << Width(field)) - 1;

    /// <summary>The field's value.</summary>
    public static UInt128 Get(in FlowKey key, FlowField field) => field switch
    {
        FlowField.InPort => key.InPort,
        FlowField.EthSrc => key.EthSrc,
        FlowField.EthDst => key.EthDst,
        FlowField.EthType => key.EthType,
        FlowField.VlanTci => key.VlanTci,
        FlowField.VlanVid => (uint)(key.VlanTci & 0xfff),
        FlowField.VlanPcp => (uint)(key.VlanTci >> 13),
        FlowField.VlanTci2 => key.VlanTci2,
        FlowField.IpProto => key.IpProto,
        FlowField.IpFrag => key.IpFrag,
        FlowField.IpTos => key.IpTos,
        FlowField.IpTtl => key.IpTtl,
        FlowField.IpSrc => key.IpSrc.Word0,
        FlowField.IpDst => key.IpDst.Word0,
        FlowField.Ipv6Src => ToNumber(key.IpSrc),
        FlowField.Ipv6Dst => ToNumber(key.IpDst),
        FlowField.Ipv6Label => key.Ipv6Label,
        FlowField.ArpSha => key.ArpSha,
        FlowField.ArpTha => key.ArpTha,
        FlowField.TpSrc => key.TpSrc,
        FlowField.TpDst => key.TpDst,
        FlowField.TcpFlags => key.TcpFlags,
        FlowField.TunId => key.TunId,
        FlowField.TunSrc => key.TunSrc.Word0,
        FlowField.TunDst => key.TunDst.Word0,
        FlowField.TunIpv6Src => ToNumber(key.TunSrc),
        FlowField.TunIpv6Dst => ToNumber(key.TunDst),
        FlowField.TunTos => key.TunTos,
        FlowField.TunTtl => key.TunTtl,
        FlowField.TunKind => (uint)key.TunKind,
        FlowField.MplsLabel => key.MplsLse >> 12,
        FlowField.MplsTc => (key.MplsLse >> 9) & 7,
        FlowField.MplsBos => (key.MplsLse >> 8) & 1,
        FlowField.CtState => key.CtStateBits,
        FlowField.CtZone => key.CtZone,
        FlowField.CtMark => key.CtMark,
        FlowField.RecircId => key.RecircId,
        _ => throw new ArgumentOutOfRangeException(nameof(field), field, "there is no such field"),
    };

    /// <summary>Sets the field; bits beyond its width are cut off.</summary>
    public static void Set(ref FlowKey key, FlowField field, UInt128 value)
    {
        switch (field)
        {
            case FlowField.InPort: key.InPort = (uint)value; break;
            case FlowField.EthSrc: key.EthSrc = (ulong)value & 0xffffffffffff; break;
            case FlowField.EthDst: key.EthDst = (ulong)value & 0xffffffffffff; break;
            case FlowField.EthType: key.EthType = (ushort)value; break;
            case FlowField.VlanTci: key.VlanTci = (ushort)value; break;
            case FlowField.VlanVid: key.VlanTci = (ushort)((key.VlanTci & 0xf000) | ((ushort)value & 0xfff)); break;
            case FlowField.VlanPcp: key.VlanTci = (ushort)((key.VlanTci & 0x1fff) | (((ushort)value & 7) << 13)); break;
            case FlowField.VlanTci2: key.VlanTci2 = (ushort)value; break;
            case FlowField.IpProto: key.IpProto = (byte)value; break;
            case FlowField.IpFrag: key.IpFrag = (byte)value; break;
            case FlowField.IpTos: key.IpTos = (byte)value; break;
            case FlowField.IpTtl: key.IpTtl = (byte)value; break;
            case FlowField.IpSrc: key.IpSrc.Word0 = (uint)value; break;
            case FlowField.IpDst: key.IpDst.Word0 = (uint)value; break;
            case FlowField.Ipv6Src: key.IpSrc = ToAddress(value); break;
            case FlowField.Ipv6Dst: key.IpDst = ToAddress(value); break;
            case FlowField.Ipv6Label: key.Ipv6Label = (uint)value & 0xfffff; break;
            case FlowField.ArpSha: key.ArpSha = (ulong)value & 0xffffffffffff; break;
            case FlowField.ArpTha: key.ArpTha = (ulong)value & 0xffffffffffff; break;
            case FlowField.TpSrc: key.TpSrc = (ushort)value; break;
            case FlowField.TpDst: key.TpDst = (ushort)value; break;
            case FlowField.TcpFlags: key.TcpFlags = (ushort)((ushort)value & 0xfff); break;
            case FlowField.TunId: key.TunId = (ulong)value; break;
            case FlowField.TunSrc: key.TunSrc.Word0 = (uint)value; break;
            case FlowField.TunDst: key.TunDst.Word0 = (uint)value; break;
            case FlowField.TunIpv6Src: key.TunSrc = ToAddress(value); break;
            case FlowField.TunIpv6Dst: key.TunDst = ToAddress(value); break;
            case FlowField.TunTos: key.TunTos = (byte)value; break;
            case FlowField.TunTtl: key.TunTtl = (byte)value; break;
            case FlowField.TunKind: key.TunKind = (TunnelKind)(byte)value; break;
            case FlowField.MplsLabel: key.MplsLse = (key.MplsLse & 0xfff) | ((uint)value << 12); break;
            case FlowField.MplsTc: key.MplsLse = (key.MplsLse & ~0xe00u) | (((uint)value & 7) << 9); break;
            case FlowField.MplsBos: key.MplsLse = (key.MplsLse & ~0x100u) | (((uint)value & 1) << 8); break;
            case FlowField.CtState: key.CtStateBits = (ushort)value; break;
            case FlowField.CtZone: key.CtZone = (ushort)value; break;
            case FlowField.CtMark: key.CtMark = (uint)value; break;
            case FlowField.RecircId: key.RecircId = (uint)value; break;
            default: throw new ArgumentOutOfRangeException(nameof(field), field, "there is no such field");
        }
    }

    /// <summary>The address as a number.</summary>
    public static UInt128 ToNumber(Address128 address) =>
        new(((ulong)address.Word0 << 32) | address.Word1, ((ulong)address.Word2 << 32) | address.Word3);

    /// <summary>The number as an address.</summary>
    public static Address128 ToAddress(UInt128 value) =>
        new((uint)(value >> 96), (uint)(value >> 64), (uint)(value >> 32), (uint)value);
}
