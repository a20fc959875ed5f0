using System.Buffers.Binary;
using System.Globalization;
using System.Runtime.CompilerServices;
using Dpu.Flows.Classifier;
using Dpu.Flows.Table;
using Dpu.Linux;
using Dpu.Reconciler.Records;

namespace Dpu.Reconciler.TrafficControl;

/// <summary>A filter as the kernel tells it.</summary>
/// <param name="Chain">Its chain.</param>
/// <param name="Preference">Its priority: the lowest goes first.</param>
/// <param name="Protocol">The EtherType that it is for.</param>
/// <param name="Handle">Its number within chain and priority.</param>
/// <param name="Kind">Its classifier, such as "flower".</param>
internal sealed record TcFilter(uint Chain, ushort Preference, ushort Protocol, uint Handle, string Kind)
{
    // Of a flow that is not decoded: what table 255 would be, which flows do not have.
    private const byte NoTable = 255;

    /// <summary>What it is as a flow; of one that cannot be kept the table, priority and cookie alone.</summary>
    internal FlowDefinition Flow { get; private init; } = new();

    /// <summary>Why it cannot be kept as a flow; null where it can.</summary>
    internal string? Problem { get; private init; }

    /// <summary>What its first action says.</summary>
    internal TcActionFacts Facts { get; private init; }

    /// <summary>skip_hw, skip_sw, in_hw, not_in_hw.</summary>
    internal uint Flags { get; private init; }

    /// <summary>Flows have higher priorities first, and 0; filters lower ones first, from 1 on.</summary>
    internal static ushort PriorityOf(ushort preference) => (ushort)(ushort.MaxValue - preference);

    /// <summary>The filter's priority; 0 where there is none, for 65535.</summary>
    internal static ushort PreferenceOf(ushort priority) => (ushort)(ushort.MaxValue - priority);

    /// <summary>Names a filter of a place: never 0.</summary>
    internal ulong Name => Chain < NoTable
        ? (1UL << 56) | ((ulong)Chain << 48) | ((ulong)Preference << 32) | Handle
        : (1UL << 63) | RecordHash.Add(RecordHash.Add(Chain, Preference), Handle);

    /// <summary>Reads what follows the head of RTM_NEWTFILTER.</summary>
    /// <param name="body">struct tcmsg and attributes.</param>
    /// <param name="place">Where it is.</param>
    /// <param name="ports">The ports of interfaces.</param>
    /// <param name="terse">It came with a terse dump: without match and options of actions.</param>
    /// <returns>Null where it is the head of a priority, and no filter.</returns>
    internal static TcFilter? Read(ReadOnlySpan<byte> body, TcPlace place, TcPorts ports, bool terse = false)
    {
        if (!NetlinkAttributes.TryRead(body, out tcmsg head))
        {
            return null;
        }

        string kind = "";
        uint chain = 0;
        ReadOnlySpan<byte> options = default;
        NetlinkAttributes attributes = new(body[Unsafe.SizeOf<tcmsg>()..]);
        while (attributes.Next())
        {
            switch (attributes.Type)
            {
                case linux_rtnetlink.TCA_KIND:
                    kind = NetlinkAttributes.Text(attributes.Value);
                    break;
                case linux_rtnetlink.TCA_CHAIN:
                    _ = NetlinkAttributes.TryRead(attributes.Value, out chain);
                    break;
                case linux_rtnetlink.TCA_OPTIONS:
                    options = attributes.Value;
                    break;
            }
        }

        // A priority has an entry of its own, without a handle; so have u32's tables, without the number of a node (TC_U32_NODE).
        if (head.tcm_handle == 0 || (kind == "u32" && (head.tcm_handle & 0xfff) == 0))
        {
            return null;
        }

        TcFilter filter = new(chain, (ushort)(head.tcm_info >> 16), BinaryPrimitives.ReverseEndianness((ushort)head.tcm_info), head.tcm_handle, kind);
        return filter.Decode(options, place, ports, terse, attributes.IsBroken);
    }

    /// <summary>What it is to the set of flows.</summary>
    internal FlowFacts FactsOf(string? note) => new(
        Name, Facts.Counters.Packets, Facts.Counters.Bytes,
        (Flags & linux_pkt_cls.TCA_CLS_FLAGS_IN_HW) != 0 ? OffloadState.Yes
            : (Flags & (linux_pkt_cls.TCA_CLS_FLAGS_NOT_IN_HW | linux_pkt_cls.TCA_CLS_FLAGS_SKIP_HW)) != 0 ? OffloadState.No : OffloadState.Unknown,
        Facts.Ufid)
    {
        Foreign = Problem is null ? null : $"{Description}: {Problem}",
        Note = note ?? ((Flags & linux_pkt_cls.TCA_CLS_FLAGS_SKIP_HW) != 0 ? "the filter says skip_hw" : null),
    };

    /// <summary>The same, with what a terse dump says of it.</summary>
    internal TcFilter Seen(TcFilter terse) => this with { Flags = terse.Flags, Facts = Facts with { Counters = terse.Facts.Counters } };

    private string Description => string.Create(CultureInfo.InvariantCulture, $"{Kind} filter, chain {Chain} pref {Preference} handle 0x{Handle:x}");

    private TcFilter Decode(ReadOnlySpan<byte> options, TcPlace place, TcPorts ports, bool terse, bool broken)
    {
        byte table = Chain < FlowTable.MaxTables ? (byte)Chain : NoTable;
        FlowDefinition nothing = new() { Table = table, Priority = PriorityOf(Preference) };
        ushort actionsOf = Kind switch { "flower" => linux_pkt_cls.TCA_FLOWER_ACT, "u32" => linux_pkt_cls.TCA_U32_ACT, _ => 0 };
        if (actionsOf == 0 || broken)
        {
            return this with { Flow = nothing, Problem = broken ? "it is told with attributes that are none" : "only flower can be kept" };
        }

        Span<(int At, int Length)> places = stackalloc (int, int)[FlowerAttributes.Count];
        FlowerAttributes flower = new(options, places);
        string? problem = Kind != "flower" ? "only flower can be kept" : flower.IsBroken ? "it is told with attributes that are none" : table == NoTable ? "chains up to 254 can be kept" : null;
        _ = flower.Take(actionsOf, out ReadOnlySpan<byte> nest);
        uint flags = 0;
        FlowMatch match = FlowMatch.Any;
        if (Kind == "flower")
        {
            _ = flower.TakeHost(linux_pkt_cls.TCA_FLOWER_FLAGS, out flags);
            _ = flower.TakeHost(linux_pkt_cls.TCA_FLOWER_IN_HW_COUNT, out _);
            problem ??= terse ? null : FlowerMatch.Read(ref flower, Protocol, place.Untagged, ports.PortOf, out match);
        }

        string? unkept = TcActions.Read(nest, match, ports.PortOf, out List<FlowAction> actions, out TcActionFacts facts);
        problem ??= terse ? null : unkept;
        return this with
        {
            Flags = flags,
            Facts = facts,
            Problem = problem,
            Flow = problem is not null || terse ? nothing with { Cookie = facts.Cookie } : nothing with { Cookie = facts.Cookie, Match = match, Actions = actions },
        };
    }
}
