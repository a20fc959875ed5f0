using System.Globalization;
using System.Text.Json;
using Dpu.Ctl.Output;
using Dpu.Flows.Keys;
using Dpu.Flows.Table;
using Dpu.Flows.Text;
using Dpu.Proto.V1;
using Dpu.Reconciler.Records;
using Dpu.Reconciler.Targets;

namespace Dpu.Ctl.Commands;

/// <summary>What hardware does with a packet, from the flows that a target says it executes, beside what software does.</summary>
internal sealed class HardwareTrace
{
    private readonly string _target;
    private readonly int _flows;
    private readonly int _inHardware;
    private readonly int _unknown;
    private readonly FlowTrace _trace;

    private HardwareTrace(string target, int flows, int inHardware, int unknown, FlowTrace trace) =>
        (_target, _flows, _inHardware, _unknown, _trace) = (target, flows, inHardware, unknown, trace);

    /// <summary>Reads the target and follows the packet.</summary>
    /// <exception cref="FlowTextException">It is no packet.</exception>
    /// <exception cref="TargetException">The target cannot be read.</exception>
    public static HardwareTrace Of(IFlowTarget target, string packet, uint inPort, CancellationToken cancellation)
    {
        FlowKey key = PacketText.Parse(packet, inPort, out _);
        FlowSet flows = target.Read(cancellation).Flows;
        FlowTable table = new(new FlowTableOptions { MaxFlows = Math.Max(1, flows.Count) });
        int inHardware = 0, unknown = 0;
        table.Batch(batch =>
        {
            for (int i = 0; i < flows.Count; i++)
            {
                if (flows.IsForeign(i))
                {
                    unknown++;
                }
                else if (flows.OffloadOf(i) is OffloadState.Yes or OffloadState.Partial or OffloadState.Unknown)
                {
                    // Of flows of one key the first wins; targets have no second.
                    inHardware++;
                    _ = batch.Add(flows.Definition(i), out _);
                }
            }
        });
        using FlowTracer tracer = new(table);
        return new HardwareTrace(target.Name, flows.Count, inHardware, unknown, tracer.Trace(key));
    }

    /// <summary>Whether the packet fares the same; null where hardware has no flow for it, so that software decides.</summary>
    public bool? AgreesWith(TraceFlowResponse software) => _trace.Result == PacketVerdict.NoMatch ? null
        : software.Verdict == Verdict && software.Outputs.SequenceEqual(_trace.Outputs) && software.FinalPacket == PacketText.Format(_trace.Key);

    public void Print(TextWriter output, TraceFlowResponse software)
    {
        output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"hardware ({Human.Clean(_target)}, {_inHardware} of {_flows} flows in it):"));
        foreach (FlowTraceTable table in _trace.Tables)
        {
            output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"  table {table.Table}: {(table.Flow is { } flow ? Human.Clean(OpenFlowText.Format(flow.Definition)) : "no flow matches")}"));
        }

        output.WriteLine($"  verdict: {Verdict}{(_trace.Outputs.Count > 0 ? " to " + string.Join(", ", _trace.Outputs) : "")}");
        output.WriteLine($"  final packet: {Human.Clean(PacketText.Format(_trace.Key))}");
        output.WriteLine(AgreesWith(software) switch
        {
            null => "hardware has no flow for it: software decides",
            true => "software and hardware agree",
            false => "software and hardware DIFFER: 'dpuctl reconcile' says in which flows",
        });
        if (_unknown > 0)
        {
            output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{_unknown} flows of {Human.Clean(_target)} are not known here, and may do something else with it"));
        }
    }

    public void Json(Utf8JsonWriter json, TraceFlowResponse software)
    {
        json.WriteStartObject("hardware");
        json.WriteString("target", _target);
        json.WriteNumber("flows", _flows);
        json.WriteNumber("inHardware", _inHardware);
        json.WriteNumber("unknown", _unknown);
        json.WriteString("verdict", Verdict);
        json.WriteStartArray("outputs");
        foreach (uint port in _trace.Outputs)
        {
            json.WriteNumberValue(port);
        }

        json.WriteEndArray();
        json.WriteString("finalPacket", PacketText.Format(_trace.Key));
        JsonOutput.Array(json, "tables", _trace.Tables, static (w, table) =>
        {
            w.WriteNumber("table", table.Table);
            w.WriteString("flow", table.Flow is null ? null : OpenFlowText.Format(table.Flow.Definition));
        });
        json.WriteEndObject();
        if (AgreesWith(software) is { } agree)
        {
            json.WriteBoolean("agree", agree);
        }
        else
        {
            json.WriteNull("agree");
        }
    }

    // As the runtime says it.
    private string Verdict => _trace.Result == PacketVerdict.NoMatch ? "no match" : _trace.Result.ToString().ToLowerInvariant();
}
