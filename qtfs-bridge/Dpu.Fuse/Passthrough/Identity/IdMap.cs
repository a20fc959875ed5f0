namespace Dpu.Fuse;

/// <summary>Translates user or group ids between a peer and the host; ids outside of its ranges have no counterpart. Immutable, equal by content.</summary>
public sealed class IdMap : IEquatable<IdMap>
{
    private readonly IdMapRange[] _ranges;

    /// <summary>Makes a map.</summary>
    /// <param name="ranges">Ranges that overlap on neither side.</param>
    /// <exception cref="ArgumentException">A range is empty, reaches over the last id, or overlaps another.</exception>
    public IdMap(IEnumerable<IdMapRange> ranges)
    {
        _ranges = [.. ranges];
        for (int i = 0; i < _ranges.Length; i++)
        {
            IdMapRange range = _ranges[i];
            if (range.Count == 0 || End(range.PeerStart, range) > uint.MaxValue || End(range.HostStart, range) > uint.MaxValue)
            {
                throw new ArgumentException($"The id range {range} is empty or reaches beyond {uint.MaxValue - 1}; give a count that fits.", nameof(ranges));
            }

            for (int j = 0; j < i; j++)
            {
                if (Overlap(range.PeerStart, _ranges[j].PeerStart, range, _ranges[j]) || Overlap(range.HostStart, _ranges[j].HostStart, range, _ranges[j]))
                {
                    throw new ArgumentException($"The id ranges {_ranges[j]} and {range} overlap; an id may have one counterpart only.", nameof(ranges));
                }
            }
        }
    }

    /// <summary>Its ranges.</summary>
    public override string ToString() =>
        string.Join(' ', _ranges.Select(range => string.Create(System.Globalization.CultureInfo.InvariantCulture, $"{range.PeerStart}:{range.HostStart}:{range.Count}")));

    /// <summary>The host's id for a peer's; false where there is none.</summary>
    public bool TryToHost(uint peer, out uint host)
    {
        foreach (IdMapRange range in _ranges)
        {
            if (peer - range.PeerStart < range.Count)
            {
                host = range.HostStart + (peer - range.PeerStart);
                return true;
            }
        }

        host = 0;
        return false;
    }

    /// <summary>The peer's id for one of the host; false where there is none.</summary>
    public bool TryToPeer(uint host, out uint peer)
    {
        foreach (IdMapRange range in _ranges)
        {
            if (host - range.HostStart < range.Count)
            {
                peer = range.PeerStart + (host - range.HostStart);
                return true;
            }
        }

        peer = 0;
        return false;
    }

    /// <inheritdoc/>
    public bool Equals(IdMap? other) => other is not null && _ranges.AsSpan().SequenceEqual(other._ranges);

    /// <inheritdoc/>
    public override bool Equals(object? obj) => Equals(obj as IdMap);

    /// <inheritdoc/>
    public override int GetHashCode()
    {
        var hash = default(HashCode);
        foreach (IdMapRange range in _ranges)
        {
            hash.Add(range);
        }

        return hash.ToHashCode();
    }

    // The last id, uint.MaxValue, means "none" to the kernel and belongs to no range.
    private static ulong End(uint start, IdMapRange range) => (ulong)start + range.Count;

    private static bool Overlap(uint a, uint b, IdMapRange first, IdMapRange second) =>
        a < End(b, second) && b < End(a, first);
}
