using System.Globalization;
using Dpu.Flows.Classifier;
using Dpu.Flows.Table;
using Dpu.Flows.Text;
using Dpu.Reconciler.Diff;
using Dpu.Reconciler.Records;

namespace Dpu.Reconciler.Tests.Support;

/// <summary>Flows of tests, and sets of them.</summary>
internal static class Samples
{
    /// <summary>A flow of OVS' syntax.</summary>
    internal static FlowDefinition Of(string text) => OpenFlowText.Parse(text).Definition;

    internal static FlowSet Set(params IEnumerable<string> lines)
    {
        FlowSet set = new();
        foreach ((int i, string line) in lines.Index())
        {
            _ = set.Add(Of(line), new FlowFacts((ulong)i + 1));
        }

        return set;
    }

    /// <summary>"word desired actual" of each difference; -1 where there is none.</summary>
    internal static string[] Words(DiffResult diff) =>
        [.. diff.Differences.Select(d => string.Create(CultureInfo.InvariantCulture, $"{d.Word} {d.Desired} {d.Actual}"))];

    internal static string[] Words(string[] desired, string[] actual, DiffOptions? options = null) => Words(FlowDiff.Compare(Set(desired), Set(actual), options));

    /// <summary>An exact match on the port and a destination, in one of 16 priorities.</summary>
    internal static FlowDefinition Numbered(int number)
    {
        FlowMatch match = FlowMatch.Any;
        (match.Key.InPort, match.Mask.Bits.InPort) = ((uint)number + 1, uint.MaxValue);
        (match.Key.EthType, match.Mask.Bits.EthType) = (0x0800, 0xffff);
        return new FlowDefinition { Priority = (ushort)(100 + (number % 16)), Cookie = (ulong)number + 1, Match = match, Actions = [FlowAction.Output((uint)number + 1000)] };
    }
}
