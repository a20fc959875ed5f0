using Dpu.Flows.Table;
using Dpu.Reconciler.Records;

namespace Dpu.Reconciler.Targets;

/// <summary>What a target can do. Immutable.</summary>
/// <param name="Writable">Flows can be put in and taken out.</param>
/// <param name="UniqueKeys">One flow for each table, match and priority: adding one takes the place of what was there, at once.</param>
/// <param name="Cookies">It keeps cookies.</param>
/// <param name="Timeouts">It keeps time-outs.</param>
/// <param name="Capacity">Flows that fit; null where nothing is known of a bound.</param>
public sealed record TargetTraits(bool Writable, bool UniqueKeys, bool Cookies, bool Timeouts, int? Capacity)
{
    /// <summary>Refusals that a target remembers, some 100 bytes each; beyond it all are forgotten.</summary>
    public const int MaxRefusals = 100_000;
}

/// <summary>What a target has.</summary>
/// <param name="Flows">The flows.</param>
/// <param name="Interrupted">They changed meanwhile, so that this shows no one moment: not to be believed.</param>
/// <param name="Expected">How many the target says that it has; null where it does not say.</param>
public sealed record TargetDump(FlowSet Flows, bool Interrupted = false, int? Expected = null);

/// <summary>What came of one change.</summary>
public enum ChangeStatus
{
    /// <summary>The target says that it is done.</summary>
    Done,

    /// <summary>There is no room.</summary>
    Full,

    /// <summary>What was to be changed is no more.</summary>
    Gone,

    /// <summary>The target cannot have such a flow.</summary>
    Refused,
}

/// <summary>One change of a target: a flow that goes in, or a flow that goes.</summary>
/// <param name="Flow">The flow that goes in; null to take one out.</param>
/// <param name="Handle">The target's name of the flow that goes, or whose actions are to change; 0 to add.</param>
/// <param name="Definition">What that flow is, for targets whose names of flows are their keys; null to add.</param>
public sealed record TargetChange(FlowDefinition? Flow, ulong Handle = 0, FlowDefinition? Definition = null);

/// <summary>What came of a change.</summary>
/// <param name="Status">Whether it is done.</param>
/// <param name="Handle">The target's name of what went in; 0 where it has none.</param>
/// <param name="Reason">Why not; empty where it is done.</param>
public readonly record struct ChangeResult(ChangeStatus Status, ulong Handle = 0, string Reason = "")
{
    /// <summary>The flow kept its name, and counts from 0 on.</summary>
    public bool CountersBeginAnew { get; init; }
}

/// <summary>A place where flows are. One caller at a time.</summary>
public interface IFlowTarget
{
    /// <summary>What reports call it.</summary>
    string Name { get; }

    /// <summary>What it can do.</summary>
    TargetTraits Traits { get; }

    /// <summary>Reads all flows.</summary>
    /// <exception cref="TargetException">It cannot be read.</exception>
    TargetDump Read(CancellationToken cancellation = default);

    /// <summary>
    /// Makes changes of one kind (all add, all change, or all take out) in their order, as one batch where the target knows such. A result each.
    /// </summary>
    /// <exception cref="TargetException">It cannot be reached: how far it came is not known.</exception>
    IReadOnlyList<ChangeResult> Apply(IReadOnlyList<TargetChange> changes, CancellationToken cancellation = default);

    /// <summary>Whether a flow that went in is there, and what it counted; null where it is not. Targets that cannot tell say that it is, with 0.</summary>
    (ulong Packets, ulong Bytes)? Find(ulong handle);

    /// <summary>Why it refused a flow when it was last asked to take it; null where it did not.</summary>
    string? RefusalOf(FlowDefinition flow);
}

/// <summary>A target cannot be read or written; the message says what was tried and why it failed.</summary>
public sealed class TargetException : IOException
{
    /// <summary>Without a reason.</summary>
    public TargetException()
    {
    }

    /// <summary>With a reason.</summary>
    public TargetException(string message)
        : base(message)
    {
    }

    /// <summary>With a reason and a cause.</summary>
    public TargetException(string message, Exception innerException)
        : base(message, innerException)
    {
    }
}
