using System.Globalization;
using Dpu.Flows.Classifier;
using Dpu.Flows.Table;

namespace Dpu.Flows.Text;

/// <summary>Lines of <c>ovs-ofctl dump-flows</c> and <c>add-flow</c>. Fields come in any order; "actions=" is the last. Pure.</summary>
public static class OpenFlowText
{
    // What a dump says and a flow does not need: times of which the table has its own, and counters of hardware.
    private static readonly string[] _ignored = ["duration", "idle_age", "hard_age", "reset_counts", "no_packet_counts", "no_byte_counts"];

    /// <summary>Reads a line.</summary>
    /// <exception cref="FlowTextException">It is no flow, or one that cannot be kept as it is.</exception>
    public static ParsedFlow Parse(string line)
    {
        ArgumentNullException.ThrowIfNull(line);
        int at = ActionsAt(line);
        FlowMatch match = FlowMatch.Any;
        ushort priority = FlowDefinition.DefaultPriority, idle = 0, hard = 0;
        byte table = 0;
        ulong cookie = 0, packets = 0, bytes = 0;
        foreach (string piece in Pieces.Split(line.AsSpan(0, at < 0 ? line.Length : at)))
        {
            (string name, string value) = Pieces.Pair(piece);
            ulong Number(ulong max) => (ulong)FieldText.One(name, value, FieldStyle.Decimal, max);
            switch (name)
            {
                case "cookie":
                    cookie = Number(ulong.MaxValue);
                    break;
                case "table":
                    table = (byte)Number(FlowTable.MaxTables - 1);
                    break;
                case "priority":
                    priority = (ushort)Number(ushort.MaxValue);
                    break;
                case "idle_timeout":
                    idle = (ushort)Number(ushort.MaxValue);
                    break;
                case "hard_timeout":
                    hard = (ushort)Number(ushort.MaxValue);
                    break;
                case "n_packets":
                    packets = Number(ulong.MaxValue);
                    break;
                case "n_bytes":
                    bytes = Number(ulong.MaxValue);
                    break;
                case "send_flow_rem" or "check_overlap":
                    throw new FlowTextException($"the flag '{name}' cannot be kept");
                default:
                    if (!_ignored.Contains(name) && !MatchText.TryAdd(ref match, name, value))
                    {
                        throw new FlowTextException($"'{name}' is no field that is known here (see ovs-fields(7) for names)");
                    }

                    break;
            }
        }

        return new ParsedFlow(
            new FlowDefinition
            {
                Table = table,
                Priority = priority,
                Match = match.Canonical(),
                Cookie = cookie,
                IdleTimeout = idle,
                HardTimeout = hard,
                Actions = at < 0 ? throw new FlowTextException("there is no actions=") : ActionText.Parse(line[(at + "actions=".Length)..]),
            },
            packets,
            bytes);
    }

    /// <summary>Writes a flow as a dump has it; with <paramref name="counters"/> what it did.</summary>
    public static string Format(FlowDefinition flow, FlowCounters? counters = null)
    {
        ArgumentNullException.ThrowIfNull(flow);
        string did = counters is { } c
            ? string.Create(CultureInfo.InvariantCulture, $"duration={c.Duration.TotalSeconds:0.###}s, table={flow.Table}, n_packets={c.Packets}, n_bytes={c.Bytes}, ")
            : string.Create(CultureInfo.InvariantCulture, $"table={flow.Table}, ");
        string idle = flow.IdleTimeout == 0 ? "" : string.Create(CultureInfo.InvariantCulture, $"idle_timeout={flow.IdleTimeout}, ");
        string hard = flow.HardTimeout == 0 ? "" : string.Create(CultureInfo.InvariantCulture, $"hard_timeout={flow.HardTimeout}, ");
        string age = counters is { } e ? string.Create(CultureInfo.InvariantCulture, $"idle_age={(long)e.Idle.TotalSeconds}, ") : "";
        string match = MatchText.Format(flow.Match);
        return string.Create(CultureInfo.InvariantCulture, $"cookie=0x{flow.Cookie:x}, {did}{idle}{hard}{age}priority={flow.Priority}{(match.Length == 0 ? "" : ",")}{match} actions={ActionText.Format(flow.Actions)}");
    }

    /// <summary>
    /// The same flow without ranges, which OVS does not know: one for each pair of blocks that source and destination ranges
    /// are made of, at most 30 each.
    /// </summary>
    public static IEnumerable<FlowDefinition> WithoutRanges(FlowDefinition flow)
    {
        ArgumentNullException.ThrowIfNull(flow);
        foreach ((ushort value, ushort mask)? source in Blocks(flow.Match.TpSrc))
        {
            foreach ((ushort value, ushort mask)? destination in Blocks(flow.Match.TpDst))
            {
                FlowMatch match = flow.Match;
                (match.TpSrc, match.TpDst) = (Keys.PortRange.Any, Keys.PortRange.Any);
                if (source is { } s)
                {
                    (match.Key.TpSrc, match.Mask.Bits.TpSrc) = s;
                }

                if (destination is { } d)
                {
                    (match.Key.TpDst, match.Mask.Bits.TpDst) = d;
                }

                yield return flow with { Match = match.Canonical() };
            }
        }
    }

    private static IEnumerable<(ushort Value, ushort Mask)?> Blocks(Keys.PortRange range)
    {
        if (range.IsAny)
        {
            yield return null;
            yield break;
        }

        for (int low = range.Low; low <= range.High;)
        {
            int size = low == 0 ? 1 << 16 : low & -low;
            while (low + size - 1 > range.High)
            {
                size >>= 1;
            }

            yield return ((ushort)low, (ushort)~(size - 1));
            low += size;
        }
    }

    private static int ActionsAt(string line)
    {
        for (int at = line.IndexOf("actions=", StringComparison.Ordinal); at >= 0; at = line.IndexOf("actions=", at + 1, StringComparison.Ordinal))
        {
            if (at == 0 || line[at - 1] is ' ' or ',' or '\t')
            {
                return at;
            }
        }

        return -1;
    }
}
