using Dpu.Flows.Classifier;
using Dpu.Flows.Keys;
using Dpu.Reconciler.Records;

namespace Dpu.Reconciler.Diff;

/// <summary>The order of reports: by table, priority from the highest on, match, category. It depends on nothing but the flows.</summary>
internal static class DifferenceOrder
{
    internal static void Sort(List<Difference> differences, FlowSet desired, FlowSet actual)
    {
        if (differences.Count < 2)
        {
            return;
        }

        (ulong Rank, Difference Difference)[] ranked = [.. differences.Select(d => (RankOf(d, desired, actual), d))];
        Array.Sort(ranked, (x, y) => x.Rank != y.Rank ? x.Rank.CompareTo(y.Rank) : Compare(x.Difference, y.Difference, desired, actual));
        for (int i = 0; i < ranked.Length; i++)
        {
            differences[i] = ranked[i].Difference;
        }
    }

    private static ulong RankOf(Difference difference, FlowSet desired, FlowSet actual)
    {
        ref FlowSet.Record record = ref RecordOf(difference, desired, actual);
        return ((ulong)record.Table << 16) | (ushort)~record.Priority;
    }

    private static ref FlowSet.Record RecordOf(Difference difference, FlowSet desired, FlowSet actual) =>
        ref difference.Desired >= 0 ? ref desired[difference.Desired] : ref actual[difference.Actual];

    private static FlowMatch MatchOf(Difference difference, FlowSet desired, FlowSet actual) =>
        difference.Desired >= 0 ? desired.MatchOf(difference.Desired) : actual.MatchOf(difference.Actual);

    private static int Compare(Difference left, Difference right, FlowSet desired, FlowSet actual)
    {
        FlowMatch one = MatchOf(left, desired, actual), other = MatchOf(right, desired, actual);
        int order = Compare(one.Mask.Bits, other.Mask.Bits);
        order = order != 0 ? order : Compare(one.Key, other.Key);
        order = order != 0 ? order : (one.TpSrc.Low, one.TpSrc.High, one.TpDst.Low, one.TpDst.High).CompareTo((other.TpSrc.Low, other.TpSrc.High, other.TpDst.Low, other.TpDst.High));
        order = order != 0 ? order : left.Category.CompareTo(right.Category);
        order = order != 0 ? order : RecordOf(left, desired, actual).Cookie.CompareTo(RecordOf(right, desired, actual).Cookie);
        order = order != 0 ? order : left.Desired.CompareTo(right.Desired);
        return order != 0 ? order : left.Actual.CompareTo(right.Actual);
    }

    private static int Compare(in FlowKey left, in FlowKey right)
    {
        for (int i = 0; i < FlowKey.Words; i++)
        {
            int order = left.Word(i).CompareTo(right.Word(i));
            if (order != 0)
            {
                return order;
            }
        }

        return 0;
    }
}
