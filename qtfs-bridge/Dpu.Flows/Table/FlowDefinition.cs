using Dpu.Flows.Classifier;

namespace Dpu.Flows.Table;

/// <summary>A flow as it is asked for.</summary>
public sealed record FlowDefinition
{
    /// <summary>The table that it is in; packets begin in table 0.</summary>
    public byte Table { get; init; }

    /// <summary>The higher wins; of one priority, the older flow.</summary>
    public ushort Priority { get; init; } = DefaultPriority;

    /// <summary>OpenFlow's default (OFP_DEFAULT_PRIORITY).</summary>
    public const ushort DefaultPriority = 32768;

    /// <summary>What it matches.</summary>
    public FlowMatch Match { get; init; } = FlowMatch.Any;

    /// <summary>What its owner names it by.</summary>
    public ulong Cookie { get; init; }

    /// <summary>Seconds without a packet until it expires; 0 is never.</summary>
    public ushort IdleTimeout { get; init; }

    /// <summary>Seconds until it expires in any case; 0 is never.</summary>
    public ushort HardTimeout { get; init; }

    /// <summary>What is done with packets, in order; none drops them.</summary>
    public IReadOnlyList<FlowAction> Actions { get; init; } = [];
}

/// <summary>Names a flow as long as it is there: an index and how often that was given before. 0 is none.</summary>
/// <param name="Value">Generation in the upper half, index and 1 in the lower.</param>
public readonly record struct FlowId(ulong Value)
{
    internal FlowId(uint index, uint generation)
        : this(((ulong)generation << 32) | (index + 1))
    {
    }

    /// <summary>No flow.</summary>
    public static FlowId None => default;

    /// <summary>Where its bit is in bitmaps, from 0 on.</summary>
    public uint Index => (uint)Value - 1;

    internal uint Generation => (uint)(Value >> 32);
}

/// <summary>What a flow did.</summary>
/// <param name="Packets">Packets that hit it.</param>
/// <param name="Bytes">Their bytes.</param>
/// <param name="Duration">Since it was added.</param>
/// <param name="Idle">Since its last packet; since it was added, where none came.</param>
public readonly record struct FlowCounters(ulong Packets, ulong Bytes, TimeSpan Duration, TimeSpan Idle);

/// <summary>A flow that is there, with what it did.</summary>
/// <param name="Id">Its name.</param>
/// <param name="Definition">What was asked for.</param>
/// <param name="Counters">What it did.</param>
public sealed record FlowRecord(FlowId Id, FlowDefinition Definition, FlowCounters Counters);

/// <summary>What came of adding a flow.</summary>
public enum FlowAddResult
{
    /// <summary>It is there from the next commit on.</summary>
    Added,

    /// <summary>It took the place of one with the same table, priority and match, whose counters began anew.</summary>
    Replaced,

    /// <summary>The table has as many flows as it may.</summary>
    Full,

    /// <summary>Its mask would be one too many.</summary>
    TooManyMasks,
}

/// <summary>Why a flow is no more.</summary>
public enum FlowRemovedReason
{
    /// <summary>It was deleted or replaced.</summary>
    Deleted,

    /// <summary>No packet came for its idle time-out.</summary>
    IdleTimeout,

    /// <summary>Its time was over.</summary>
    HardTimeout,
}
