namespace Dpu.Flows.Ageing;

/// <summary>
/// Remembers for a while of flows that are not in the table when they were last seen, and their gaps: 16 bytes a flow, of as
/// many flows as it has places for; newer ones take the places of older ones. Not thread-safe.
/// </summary>
public sealed class GapMemory
{
    private readonly Place[] _places;

    /// <summary>Remembers up to so many flows, rounded up to a power of 2.</summary>
    public GapMemory(int places)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(places);
        _places = new Place[System.Numerics.BitOperations.RoundUpToPowerOf2((uint)places)];
    }

    /// <summary>A flow leaves the table.</summary>
    /// <param name="flow">A hash of the flow: all its bits are used.</param>
    /// <param name="poll">The number of the poll.</param>
    /// <param name="gap">What was learnt of its gaps, in polls; 0 for nothing.</param>
    public void Remember(ulong flow, uint poll, float gap) => PlaceOf(flow) = new Place(Tag(flow), poll, gap);

    /// <summary>A packet of a flow came that did not get into the table.</summary>
    public void Missed(ulong flow, uint poll)
    {
        ref Place place = ref PlaceOf(flow);
        place = place.Tag == Tag(flow) ? place with { Poll = poll, Gap = Recall(flow, poll) } : new Place(Tag(flow), poll, 0);
    }

    /// <summary>The gap in polls that a flow has probably, from what is remembered; 0 where nothing is.</summary>
    public float Recall(ulong flow, uint poll)
    {
        Place place = PlaceOf(flow);
        if (place.Tag != Tag(flow))
        {
            return 0;
        }

        float since = Math.Max(1, poll - place.Poll);
        return place.Gap > 0 ? (place.Gap + since) / 2 : since;
    }

    private ref Place PlaceOf(ulong flow) => ref _places[(flow >> 32) & (ulong)(_places.Length - 1)];

    private static uint Tag(ulong flow) => (uint)flow | 1;

    private readonly record struct Place(uint Tag, uint Poll, float Gap);
}
