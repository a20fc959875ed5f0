namespace Dpu.Flows.Classifier;

/// <summary>What a reader walks through: tables and trees, those with the highest rules first. Immutable, but for rules in tables.</summary>
internal sealed class ClassifierSnapshot
{
    internal ClassifierSnapshot(IEnumerable<TupleTable> tables, CutTreeSet trees)
    {
        Tables = [.. tables.OrderByDescending(table => table.MaxRank)];
        MaxRanks = [.. Tables.Select(table => table.MaxRank)];
        Trees = trees;
    }

    internal TupleTable[] Tables { get; }

    /// <summary>Of each table, when the snapshot was made: rules of later versions may be higher, and are not visible.</summary>
    internal ulong[] MaxRanks { get; }

    internal CutTreeSet Trees { get; }
}
