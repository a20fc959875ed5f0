using System.Runtime.InteropServices;

namespace Dpu.Fuse;

/// <summary>A range that an owner has locked.</summary>
/// <param name="Start">The first byte.</param>
/// <param name="End">The last byte.</param>
/// <param name="Exclusive">Whether it is a write lock.</param>
/// <param name="Handle">The open file by which it was locked.</param>
public readonly record struct LockRange(ulong Start, ulong End, bool Exclusive, ulong Handle);

/// <summary>
/// What one owner has locked of one file: sorted, without overlap, as the kernel keeps it (fcntl(2): a new lock replaces,
/// splits and joins the owner's older ones). Not thread-safe.
/// </summary>
public sealed class LockRanges
{
    private readonly List<LockRange> _ranges = [];

    /// <summary>How many there are; a change adds 2 at most.</summary>
    public int Count => _ranges.Count;

    /// <summary>The ranges, valid until the next change.</summary>
    public ReadOnlySpan<LockRange> All => CollectionsMarshal.AsSpan(_ranges);

    /// <summary>Locks a range, whatever was locked of it before.</summary>
    public void Set(in LockRange range)
    {
        Clear(range.Start, range.End);
        int index = FirstFrom(range.Start);
        _ranges.Insert(index, range);
        Join(index);
        Join(index - 1);
    }

    /// <summary>Unlocks a range; what was locked beside it stays.</summary>
    public void Clear(ulong start, ulong end)
    {
        int index = FirstFrom(start);
        while (index < _ranges.Count && _ranges[index].Start <= end)
        {
            LockRange range = _ranges[index];
            bool before = range.Start < start;
            bool behind = range.End > end;
            if (before)
            {
                _ranges[index++] = range with { End = start - 1 };
                if (behind)
                {
                    _ranges.Insert(index, range with { Start = end + 1 });
                    return;
                }
            }
            else if (behind)
            {
                _ranges[index] = range with { Start = end + 1 };
                return;
            }
            else
            {
                _ranges.RemoveAt(index);
            }
        }
    }

    /// <summary>Whether <see cref="Clear"/> would make two ranges of one.</summary>
    public bool Splits(ulong start, ulong end)
    {
        int index = FirstFrom(start);
        return index < _ranges.Count && _ranges[index].Start < start && _ranges[index].End > end;
    }

    /// <summary>Whether a lock of another owner could not stand beside these.</summary>
    public bool Conflicts(ulong start, ulong end, bool exclusive)
    {
        for (int index = FirstFrom(start); index < _ranges.Count && _ranges[index].Start <= end; index++)
        {
            if (exclusive || _ranges[index].Exclusive)
            {
                return true;
            }
        }

        return false;
    }

    // The first range that ends at the position or behind it.
    private int FirstFrom(ulong position)
    {
        int low = 0;
        int high = _ranges.Count;
        while (low < high)
        {
            int middle = (low + high) / 2;
            if (_ranges[middle].End < position)
            {
                low = middle + 1;
            }
            else
            {
                high = middle;
            }
        }

        return low;
    }

    // With the next one, where both are the same lock.
    private void Join(int index)
    {
        if (index < 0 || index + 1 >= _ranges.Count)
        {
            return;
        }

        LockRange first = _ranges[index];
        LockRange second = _ranges[index + 1];
        if (first.End + 1 == second.Start && first.Exclusive == second.Exclusive && first.Handle == second.Handle)
        {
            _ranges[index] = first with { End = second.End };
            _ranges.RemoveAt(index + 1);
        }
    }
}
