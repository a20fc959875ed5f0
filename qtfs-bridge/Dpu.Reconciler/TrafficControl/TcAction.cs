using System.Globalization;
using System.Runtime.CompilerServices;
using Dpu.Linux;

namespace Dpu.Reconciler.TrafficControl;

/// <summary>What an action or a filter counted.</summary>
/// <param name="Packets">Packets, of software and hardware.</param>
/// <param name="Bytes">Their bytes.</param>
/// <param name="HardwarePackets">Those of hardware.</param>
/// <param name="HardwareBytes">Likewise.</param>
internal readonly record struct TcCounters(ulong Packets, ulong Bytes, ulong HardwarePackets, ulong HardwareBytes)
{
    /// <summary>
    /// Reads a nest of statistics (linux/gen_stats.h). TCA_STATS_PKT64 comes behind each attribute whose 32 bits of packets it completes.
    /// </summary>
    internal static TcCounters Read(ReadOnlySpan<byte> nest)
    {
        TcCounters counters = default;
        bool hardware = false;
        NetlinkAttributes attributes = new(nest);
        while (attributes.Next())
        {
            switch (attributes.Type)
            {
                // 12 bytes of 16: the kernel leaves the padding out.
                case linux_gen_stats.TCA_STATS_BASIC or linux_gen_stats.TCA_STATS_BASIC_HW
                    when NetlinkAttributes.TryRead(attributes.Value, out ulong bytes) && NetlinkAttributes.TryRead(attributes.Value[sizeof(ulong)..], out uint packets):
                    hardware = attributes.Type == linux_gen_stats.TCA_STATS_BASIC_HW;
                    counters = hardware ? counters with { HardwareBytes = bytes, HardwarePackets = packets } : counters with { Bytes = bytes, Packets = packets };
                    break;
                case linux_gen_stats.TCA_STATS_PKT64 when NetlinkAttributes.TryRead(attributes.Value, out ulong wide):
                    counters = hardware ? counters with { HardwarePackets = wide } : counters with { Packets = wide };
                    break;
            }
        }

        return counters;
    }
}

/// <summary>One action of a filter as it comes, by name; its options are not looked into yet.</summary>
internal readonly ref struct TcAction
{
    private TcAction(string kind, ReadOnlySpan<byte> options, ReadOnlySpan<byte> cookie, TcCounters counters)
    {
        Kind = kind;
        Options = options;
        Cookie = cookie;
        Counters = counters;
    }

    internal string Kind { get; }

    internal ReadOnlySpan<byte> Options { get; }

    /// <summary>Up to 16 bytes of whoever made it.</summary>
    internal ReadOnlySpan<byte> Cookie { get; }

    internal TcCounters Counters { get; }

    internal static TcAction Read(ReadOnlySpan<byte> nest)
    {
        string kind = "";
        ReadOnlySpan<byte> options = default, cookie = default;
        TcCounters counters = default;
        NetlinkAttributes attributes = new(nest);
        while (attributes.Next())
        {
            switch (attributes.Type)
            {
                case linux_pkt_cls.TCA_ACT_KIND:
                    kind = NetlinkAttributes.Text(attributes.Value);
                    break;
                case linux_pkt_cls.TCA_ACT_OPTIONS:
                    options = attributes.Value;
                    break;
                case linux_pkt_cls.TCA_ACT_COOKIE:
                    cookie = attributes.Value;
                    break;
                case linux_pkt_cls.TCA_ACT_STATS:
                    counters = TcCounters.Read(attributes.Value);
                    break;
            }
        }

        return new TcAction(kind, options, cookie, counters);
    }

    /// <summary>An attribute of the options; empty where it is not there.</summary>
    internal ReadOnlySpan<byte> Option(ushort type)
    {
        NetlinkAttributes attributes = new(Options);
        while (attributes.Next())
        {
            if (attributes.Type == type)
            {
                return attributes.Value;
            }
        }

        return default;
    }

    /// <summary>A struct in the options; false where it is not there.</summary>
    internal bool TryOption<T>(ushort type, out T value)
        where T : unmanaged => NetlinkAttributes.TryRead(Option(type), out value);

    /// <summary>The first attribute of the options that is none of these; 0 for none.</summary>
    internal int OptionBeyond(params ReadOnlySpan<ushort> known)
    {
        NetlinkAttributes attributes = new(Options);
        while (attributes.Next())
        {
            if (!known.Contains(attributes.Type))
            {
                return attributes.Type;
            }
        }

        return 0;
    }

    /// <summary>What connection tracking does, for people.</summary>
    internal string DescribeTracking()
    {
        _ = TryOption(linux_tc_ct.TCA_CT_ACTION, out ushort action);
        List<string> words = [];
        if ((action & linux_tc_ct.TCA_CT_ACT_CLEAR) != 0)
        {
            words.Add("clear");
        }

        if ((action & linux_tc_ct.TCA_CT_ACT_COMMIT) != 0)
        {
            words.Add((action & linux_tc_ct.TCA_CT_ACT_FORCE) != 0 ? "commit force" : "commit");
        }

        if (TryOption(linux_tc_ct.TCA_CT_ZONE, out ushort zone))
        {
            words.Add(string.Create(CultureInfo.InvariantCulture, $"zone={zone}"));
        }

        if (TryOption(linux_tc_ct.TCA_CT_MARK, out uint mark))
        {
            words.Add(string.Create(CultureInfo.InvariantCulture, $"mark=0x{mark:x}"));
        }

        if ((action & linux_tc_ct.TCA_CT_ACT_NAT) != 0)
        {
            words.Add("nat");
        }

        return $"ct({string.Join(',', words)})";
    }
}
