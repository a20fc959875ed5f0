using Dpu.Flows.Classifier;

namespace Dpu.Flows.Table;

/// <summary>Bounds of a flow table. Immutable.</summary>
public sealed record FlowTableOptions
{
    /// <summary>Flows in all tables together.</summary>
    public int MaxFlows { get; init; } = 1 << 20;

    /// <summary>Each table's classifier.</summary>
    public ClassifierOptions Classifier { get; init; } = new();
}

/// <summary>What a flow table consists of.</summary>
/// <param name="Flows">Flows in all tables.</param>
/// <param name="MaxFlows">The most that there may be.</param>
/// <param name="Tables">Tables with flows.</param>
/// <param name="Masks">Different masks.</param>
/// <param name="ActionLists">Different lists of actions.</param>
/// <param name="Bytes">Memory of everything.</param>
public readonly record struct FlowTableStatistics(int Flows, int MaxFlows, int Tables, int Masks, int ActionLists, long Bytes)
{
    /// <summary>Bytes for each flow; 0 without flows.</summary>
    public long BytesPerFlow => Flows == 0 ? 0 : Bytes / Flows;
}
