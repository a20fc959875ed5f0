using Dpu.Reconciler.Diff;

namespace Dpu.Reconciler.Repair;

/// <summary>What a step does.</summary>
public enum RepairAction
{
    /// <summary>Puts a flow in.</summary>
    Add,

    /// <summary>Gives a flow what it should have, in its place and at once.</summary>
    Replace,

    /// <summary>Takes a flow out, by the target's name of it.</summary>
    Delete,
}

/// <summary>One step. Numbers are those of the sets that were compared.</summary>
/// <param name="Action">What it does.</param>
/// <param name="Desired">The flow that goes in; negative where one goes.</param>
/// <param name="Actual">The flow that changes or goes; negative where one is added.</param>
/// <param name="For">Why.</param>
/// <param name="OpensGap">Between this step and a later one packets may fare as they neither did nor should.</param>
public sealed record RepairStep(RepairAction Action, int Desired, int Actual, Difference For, bool OpensGap = false);

/// <summary>A difference that is told and not repaired, and why.</summary>
/// <param name="Difference">The difference.</param>
/// <param name="Reason">Why not.</param>
public sealed record NotRepaired(Difference Difference, string Reason);

/// <summary>The steps that bring a target in step, in their order. Immutable.</summary>
/// <param name="Diff">What it is for.</param>
/// <param name="Steps">The steps. Adds come before what they take the place of goes.</param>
/// <param name="Left">What is not repaired.</param>
public sealed record RepairPlan(DiffResult Diff, IReadOnlyList<RepairStep> Steps, IReadOnlyList<NotRepaired> Left)
{
    /// <summary>There is too little room for all that goes in: steps that take out come between.</summary>
    public bool IsInterleaved { get; init; }

    /// <summary>Flows for which forwarding has a hole, as there is no room to add before deleting.</summary>
    public int Gaps => Steps.Count(s => s.OpensGap && s.Action == RepairAction.Delete);
}
