using Dpu.Flows.Classifier;
using Dpu.Flows.Keys;

namespace Dpu.Flows.Table;

/// <summary>A packet in one table.</summary>
/// <param name="Table">The table.</param>
/// <param name="Key">The packet as it came to the table.</param>
/// <param name="Steps">Hash tables and trees that were looked at, in order, with their masks.</param>
/// <param name="Flow">The flow that was hit; null where none matched.</param>
/// <param name="Megaflow">The bits of the packet on which that depends: every packet that agrees in them has the same result there.</param>
/// <param name="Answered">What answered: a cache, where the tracer has seen such a packet since the flows last changed.</param>
public sealed record FlowTraceTable(byte Table, FlowKey Key, IReadOnlyList<LookupStep> Steps, FlowRecord? Flow, FlowMask Megaflow, CacheTrace Answered);

/// <summary>What answered a packet.</summary>
public enum CacheTrace
{
    /// <summary>The classifier: neither cache had it.</summary>
    Classifier,

    /// <summary>The signature cache, by a megaflow.</summary>
    Signature,

    /// <summary>The exact-match cache.</summary>
    Exact,
}

/// <summary>A packet's way through the tables.</summary>
/// <param name="Tables">One for each table that it came to.</param>
/// <param name="Result">What became of it.</param>
/// <param name="Outputs">Where it goes.</param>
/// <param name="Key">The packet at the end.</param>
public sealed record FlowTrace(IReadOnlyList<FlowTraceTable> Tables, PacketVerdict Result, IReadOnlyList<uint> Outputs, FlowKey Key);

/// <summary>
/// Says which flows a packet hits, and why, without counting it. It has caches of its own, so that a packet that was traced
/// before is found there, as it would be in the data path. Not thread-safe.
/// </summary>
public sealed class FlowTracer(FlowTable table) : IDisposable
{
    private const int MaxOutputs = 64;

    private readonly ClassifierReader?[] _readers = new ClassifierReader?[FlowTable.MaxTables];

    /// <summary>Traces a packet.</summary>
    public FlowTrace Trace(FlowKey key)
    {
        List<FlowTraceTable> tables = [];
        List<uint> outputs = [];
        byte number = 0;
        while (true)
        {
            List<LookupStep> steps = [];
            FlowMask mask = default;
            FlowRecord? flow = null;
            CacheTrace cache = CacheTrace.Classifier;
            if (Reader(number) is { } reader)
            {
                CacheStatistics before = reader.CacheStatistics;
                _ = reader.Lookup(key);
                CacheStatistics after = reader.CacheStatistics;
                cache = after.ExactHits > before.ExactHits ? CacheTrace.Exact : after.SignatureHits > before.SignatureHits ? CacheTrace.Signature : CacheTrace.Classifier;
                uint index = reader.Explain(key, out mask, steps);
                flow = index == ClassifierReader.None ? null : table.Read(table.IdOf(index));
            }

            tables.Add(new FlowTraceTable(number, key, steps, flow, mask, cache));
            if (flow is null)
            {
                return new FlowTrace(tables, PacketVerdict.NoMatch, [], key);
            }

            byte next = 0;
            foreach (FlowAction action in flow.Definition.Actions)
            {
                switch (action.Kind)
                {
                    case FlowActionKind.Goto:
                        next = (byte)action.Argument;
                        break;
                    case FlowActionKind.Controller:
                        return new FlowTrace(tables, PacketVerdict.Controller, outputs, key);
                    case FlowActionKind.Output or FlowActionKind.Mirror or FlowActionKind.InPort or FlowActionKind.Normal when outputs.Count < MaxOutputs:
                        outputs.Add(action.Kind switch { FlowActionKind.InPort => key.InPort, FlowActionKind.Normal => FlowPipeline.NormalPort, _ => action.Argument });
                        break;
                    case FlowActionKind.Meter:
                        break;
                    default:
                        if (!KeyActions.TryApply(action, ref key))
                        {
                            return new FlowTrace(tables, PacketVerdict.Unfit, [], key);
                        }

                        break;
                }
            }

            if (next == 0)
            {
                return new FlowTrace(tables, outputs.Count > 0 ? PacketVerdict.Forward : PacketVerdict.Drop, outputs, key);
            }

            number = next;
        }
    }

    /// <inheritdoc/>
    public void Dispose() => Array.ForEach(_readers, reader => reader?.Dispose());

    private ClassifierReader? Reader(byte number) =>
        _readers[number] ?? (table.Classifier(number) is { } classifier ? _readers[number] = classifier.CreateReader() : null);
}
