using System.Buffers.Binary;

namespace Dpu.Relay.Counters;

/// <summary>
/// One end of a counter that two counters of eventfd(2) stand for: who has added how much and how much of that was taken, at either end. Each end tells
/// totals, never differences, so that only the latest has to be told and the same may be told twice. Pure; not thread-safe.
/// </summary>
/// <remarks>
/// What was taken is merged by the larger total of each end's additions: who reads at one end only has each count once, and of two ends that read
/// at the same moment both may have the same counts. No count is ever lost that way.
/// </remarks>
/// <param name="semaphore">EFD_SEMAPHORE: a read takes one.</param>
internal struct CounterState(bool semaphore)
{
    /// <summary>Bytes of what is told.</summary>
    public const int Size = 3 * sizeof(ulong);

    /// <summary>The most that an end adds in all: what both have added then still fits into a counter.</summary>
    public const ulong Most = 1UL << 62;

    private ulong _mine;
    private ulong _mineTaken;
    private ulong _theirs;
    private ulong _theirsTaken;

    /// <summary>What the local counter should have.</summary>
    public readonly ulong Pending => _mine - _mineTaken + (_theirs - _theirsTaken);

    /// <summary>What it had when it was last looked at.</summary>
    public ulong Shown { get; private set; }

    /// <summary>Whether there is something that the other end was not told.</summary>
    public bool IsNews { get; private set; }

    /// <summary>The local counter has this value: what has changed is its programs' doing. False where they have added more than can be told.</summary>
    public bool Observe(ulong value)
    {
        if (value == Shown)
        {
            return true;
        }

        // A read takes all, so that a smaller value is what was added since.
        ulong taken = value > Shown ? 0 : semaphore ? Shown - value : Shown;
        ulong added = value > Shown ? value - Shown : semaphore ? 0 : value;
        if (added > Most - Math.Min(_mine, Most))
        {
            return false;
        }

        ulong own = Math.Min(taken, _mine - _mineTaken);
        _mineTaken += own;
        _theirsTaken += Math.Min(taken - own, _theirs - _theirsTaken);
        _mine += added;
        (Shown, IsNews) = (value, true);
        return true;
    }

    /// <summary>The local counter was set to this value by the relay itself.</summary>
    public void Set(ulong value) => Shown = value;

    /// <summary>What the other end is to be told; it counts as told.</summary>
    public void Tell(Span<byte> room)
    {
        BinaryPrimitives.WriteUInt64LittleEndian(room, _mine);
        BinaryPrimitives.WriteUInt64LittleEndian(room[8..], _mineTaken);
        BinaryPrimitives.WriteUInt64LittleEndian(room[16..], _theirsTaken);
        IsNews = false;
    }

    /// <summary>Takes what the other end tells, from a peer that is not trusted; false where it cannot be.</summary>
    public bool TryHear(ReadOnlySpan<byte> told)
    {
        if (told.Length != Size)
        {
            return false;
        }

        ulong theirs = BinaryPrimitives.ReadUInt64LittleEndian(told);
        ulong theirsTaken = BinaryPrimitives.ReadUInt64LittleEndian(told[8..]);
        ulong mineTaken = BinaryPrimitives.ReadUInt64LittleEndian(told[16..]);
        if (theirs > Most || theirs < _theirs || theirsTaken > theirs || mineTaken > _mine)
        {
            return false;
        }

        _theirs = theirs;
        _theirsTaken = Math.Max(_theirsTaken, theirsTaken);
        _mineTaken = Math.Max(_mineTaken, mineTaken);
        return true;
    }
}
