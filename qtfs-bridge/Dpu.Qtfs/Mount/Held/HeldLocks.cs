using Dpu.Fuse;

namespace Dpu.Qtfs.Mount.Held;

/// <summary>
/// Which ranges are locked by which open file, as far as this process has seen it, so that it is known whose locks a host has lost. Not thread-safe.
/// </summary>
internal sealed class HeldLocks
{
    private readonly Dictionary<ulong, Dictionary<ulong, LockRanges>> _nodes = [];

    /// <summary>An owner has locked a range of a node, or unlocked it.</summary>
    /// <param name="node">The node.</param>
    /// <param name="owner">The owner, as the kernel names it.</param>
    /// <param name="range">The range, and the file by which it was locked.</param>
    /// <param name="unlocks">Whether it was unlocked.</param>
    public void Change(ulong node, ulong owner, in LockRange range, bool unlocks)
    {
        if (!unlocks)
        {
            Ranges(node, owner).Set(range);
        }
        else if (_nodes.TryGetValue(node, out Dictionary<ulong, LockRanges>? owners) && owners.TryGetValue(owner, out LockRanges? ranges))
        {
            ranges.Clear(range.Start, range.End);
            Tidy(node, owners, owner);
        }
    }

    /// <summary>A process has closed the file: what it had locked of it goes.</summary>
    public void End(ulong node, ulong owner)
    {
        if (_nodes.TryGetValue(node, out Dictionary<ulong, LockRanges>? owners) && owners.Remove(owner) && owners.Count == 0)
        {
            _nodes.Remove(node);
        }
    }

    /// <summary>An open file has ended, and what was locked by it.</summary>
    public void EndHandle(ulong node, ulong handle)
    {
        if (!_nodes.TryGetValue(node, out Dictionary<ulong, LockRanges>? owners))
        {
            return;
        }

        foreach ((ulong owner, LockRanges ranges) in owners.ToArray())
        {
            foreach (LockRange range in ranges.All.ToArray())
            {
                if (range.Handle == handle)
                {
                    ranges.Clear(range.Start, range.End);
                }
            }

            Tidy(node, owners, owner);
        }
    }

    /// <summary>Whether anything of a node is locked.</summary>
    public bool Has(ulong node) => _nodes.ContainsKey(node);

    /// <summary>The open files by which an owner has locked a node, each at least once.</summary>
    public ulong[] HandlesOf(ulong node, ulong owner)
    {
        ulong[] handles = [];
        if (_nodes.TryGetValue(node, out Dictionary<ulong, LockRanges>? owners) && owners.TryGetValue(owner, out LockRanges? ranges))
        {
            ReadOnlySpan<LockRange> all = ranges.All;
            handles = new ulong[all.Length];
            for (int i = 0; i < all.Length; i++)
            {
                handles[i] = all[i].Handle;
            }
        }

        return handles;
    }

    /// <summary>Whether a range is locked by an open file.</summary>
    public bool Has(ulong node, ulong handle)
    {
        foreach (LockRanges ranges in _nodes.GetValueOrDefault(node)?.Values ?? Enumerable.Empty<LockRanges>())
        {
            foreach (ref readonly LockRange range in ranges.All)
            {
                if (range.Handle == handle)
                {
                    return true;
                }
            }
        }

        return false;
    }

    /// <summary>Nothing is locked any more.</summary>
    public void Clear() => _nodes.Clear();

    private LockRanges Ranges(ulong node, ulong owner)
    {
        if (!_nodes.TryGetValue(node, out Dictionary<ulong, LockRanges>? owners))
        {
            _nodes.Add(node, owners = []);
        }

        if (!owners.TryGetValue(owner, out LockRanges? ranges))
        {
            owners.Add(owner, ranges = new LockRanges());
        }

        return ranges;
    }

    private void Tidy(ulong node, Dictionary<ulong, LockRanges> owners, ulong owner)
    {
        if (owners[owner].Count == 0)
        {
            End(node, owner);
        }
    }
}
