namespace Dpu.Fuse.Ring;

/// <summary>What a ring's thread is told.</summary>
public enum FuseRingEventKind
{
    /// <summary>The kernel has put a request into <see cref="FuseRingEvent.Slot"/>.</summary>
    Request,

    /// <summary>The slot gets no more requests: unmounted, aborted, or refused, as <see cref="FuseRingEvent.Result"/> says.</summary>
    Ended,

    /// <summary>Another thread has called <see cref="FuseRing.Wake"/>.</summary>
    Woken,

    /// <summary>What the ring's thread asked for itself, with <see cref="FuseRingEvent.Tag"/>.</summary>
    Own,
}

/// <summary>One completion of a ring.</summary>
/// <param name="Kind">What it is.</param>
/// <param name="Slot">The slot that it concerns, or null.</param>
/// <param name="Tag">Of <see cref="FuseRingEventKind.Own"/>: what the submission said.</param>
/// <param name="Result">Its result, or a negated errno.</param>
public readonly record struct FuseRingEvent(FuseRingEventKind Kind, FuseRingSlot? Slot, uint Tag, int Result);
