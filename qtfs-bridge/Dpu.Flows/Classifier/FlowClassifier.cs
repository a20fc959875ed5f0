using Dpu.Flows.Keys;

namespace Dpu.Flows.Classifier;

/// <summary>
/// Finds, of many rules, the best that matches a packet: the one of the highest priority, of these the oldest. Rules live in
/// hash tables with relaxed masks; where those become many they are compiled into trees in the background, and what changes
/// meanwhile lies in tables beside them.
/// </summary>
/// <remarks>
/// One thread at a time writes (calls are serialised by a lock); any number of <see cref="ClassifierReader"/>s read without
/// locks and are never waited for. What is added and removed becomes visible at once, with <see cref="Publish"/>.
/// </remarks>
public sealed unsafe partial class FlowClassifier
{
    private readonly Lock _writer = new();
    private readonly ClassifierOptions _options;
    private readonly RuleStore _rules = new();
    private readonly Queue<Change> _changes = new();
    private readonly ulong[] _keyMemory = GC.AllocateArray<ulong>(FlowKey.Words, pinned: true);
    private readonly ReaderSlots _readers = new();

    private List<TupleTable> _tables = []; // Those with most bits first.
    private ushort _nextTable = 1;
    private ulong _sequence;
    private int _live;
    private int _sinceRecount;
    private bool _tablesChanged;
    private uint _version = 1;
    private ClassifierSnapshot _snapshot = new([], CutTreeSet.Empty);

    /// <summary>An empty classifier.</summary>
    public FlowClassifier(ClassifierOptions? options = null) => _options = options ?? new ClassifierOptions();

    /// <summary>What it consists of.</summary>
    public ClassifierStatistics Statistics
    {
        get
        {
            lock (_writer)
            {
                return new ClassifierStatistics(
                    _live, _rules.MaskCount, _tables.Count, _snapshot.Trees.Trees.Length, _snapshot.Trees.Rules, _compilations, _snapshot.Trees.BuildTime,
                    _rules.Size + _tables.Sum(table => table.Size) + _snapshot.Trees.Size, _version, _compileFailure);
            }
        }
    }

    internal RuleStore Rules => _rules;

    internal ReaderSlots Readers => _readers;

    internal ref uint PublishedVersion => ref _version;

    internal ClassifierSnapshot Snapshot => Volatile.Read(ref _snapshot);

    /// <summary>A reader for one thread.</summary>
    public ClassifierReader CreateReader(bool cached = true) => new(this, cached);

    /// <summary>Adds a rule, visible with the next <see cref="Publish"/>.</summary>
    /// <param name="match">What it matches.</param>
    /// <param name="priority">The higher wins.</param>
    /// <param name="value">What look-ups give; not <see cref="ClassifierReader.None"/>.</param>
    /// <returns>The rule's number, until it is removed; 0 where its mask is one too many (<see cref="MaskStore.MaxMasks"/>).</returns>
    public uint Add(in FlowMatch match, ushort priority, uint value)
    {
        FlowMatch canonical = match.Canonical();
        lock (_writer)
        {
            uint id = _rules.Allocate(canonical, RuleRecord.RankOf(priority, _sequence++), _version + 1, value);
            if (id == 0)
            {
                return 0;
            }

            ulong* key = Key(id);
            TupleTable table = ChooseTable(canonical.Mask, key);
            RuleRecord* rule = _rules.At(id);
            rule->Home = table.Number;
            table.Add(key, id, rule->Rank);
            _changes.Enqueue(new Change(_version + 1, id, ChangeKind.Added));
            _live++;
            return id;
        }
    }

    /// <summary>Removes a rule, with the next <see cref="Publish"/>. Its number is then another rule's one day.</summary>
    public void Remove(uint id)
    {
        lock (_writer)
        {
            RuleRecord* rule = _rules.At(id);
            if (rule->Removed != 0)
            {
                throw new InvalidOperationException("the rule was removed already");
            }

            Volatile.Write(ref rule->Removed, _version + 1);
            _changes.Enqueue(new Change(_version + 1, id, ChangeKind.Removed));
            _live--;
        }
    }

    /// <summary>What the rule matches; for the writer.</summary>
    public FlowMatch MatchOf(uint id) => _rules.MatchOf(id);

    /// <summary>The rule's priority; for the writer.</summary>
    public ushort PriorityOf(uint id) => RuleRecord.PriorityOf(_rules.At(id)->Rank);

    /// <summary>Makes everything since the last call visible, as one, to look-ups that begin from now on.</summary>
    public void Publish()
    {
        lock (_writer)
        {
            if (_sinceRecount > _live + 64)
            {
                // Removed rules may have been the highest of their tables.
                _sinceRecount = 0;
                _tables.ForEach(table => table.Recount());
                _tablesChanged = true;
            }

            if (_tablesChanged || !IsOrdered())
            {
                PublishSnapshot();
            }

            uint next = _version + 1;
            Volatile.Write(ref _version, next == 0 ? 1 : next);
            Reclaim();
            CompileIfWorthIt();
        }
    }

    private void PublishSnapshot()
    {
        Volatile.Write(ref _snapshot, new ClassifierSnapshot(_tables, _trees));
        _tablesChanged = false;
    }

    private bool IsOrdered()
    {
        ClassifierSnapshot snapshot = _snapshot;
        for (int i = 0; i < snapshot.Tables.Length; i++)
        {
            if (snapshot.Tables[i].MaxRank > snapshot.MaxRanks[i])
            {
                return false;
            }
        }

        return true;
    }

    private ulong* Key(uint id)
    {
        // SAFETY: a pinned array of this object's life, used under the writer's lock only.
        ulong* key = (ulong*)System.Runtime.CompilerServices.Unsafe.AsPointer(ref _keyMemory[0]);
        _rules.ExpandKey(id, key);
        return key;
    }

    // The table with most bits whose chains are short enough; else a new one, first with few bits, then with more.
    private TupleTable ChooseTable(in FlowMask mask, ulong* key)
    {
        TupleTable? fallback = null;
        int shortest = int.MaxValue;
        foreach (TupleTable table in _tables)
        {
            if (table.Frozen || !table.FullMask.IsSubsetOf(mask))
            {
                continue;
            }

            int chain = table.CountBehind(key);
            if (chain < _options.MaxChain)
            {
                return table;
            }

            if (chain < shortest)
            {
                (fallback, shortest) = (table, chain);
            }
        }

        if (_tables.Count >= _options.MaxTables && fallback is not null)
        {
            return fallback;
        }

        bool bounded = _tables.Count >= _options.MaxTables;
        foreach (int step in (ReadOnlySpan<int>)[8, 4, 1])
        {
            FlowMask relaxed = bounded ? default : MaskRelaxation.Relax(mask, step);
            if (!_tables.Exists(table => !table.Frozen && table.FullMask == relaxed))
            {
                return AddTable(relaxed);
            }
        }

        // Rules of the very same bits, which only ranges or priorities tell apart.
        return fallback ?? throw new InvalidOperationException("a table that exists must be a fallback");
    }

    private TupleTable AddTable(in FlowMask mask)
    {
        while (_nextTable is 0 or >= RuleRecord.Dead || _tables.Exists(table => table.Number == _nextTable))
        {
            _nextTable = _nextTable >= RuleRecord.Dead ? (ushort)1 : (ushort)(_nextTable + 1);
        }

        TupleTable added = new(_rules, mask, _nextTable++);
        _tables.Add(added);
        _tables = [.. _tables.OrderByDescending(table => table.FullMask.BitCount)];
        _tablesChanged = true;
        return added;
    }

    // What no reader can see any more is given back; what all see needs no version any more.
    private void Reclaim()
    {
        uint oldest = _readers.Oldest(_version);
        while (_changes.TryPeek(out Change change) && (int)(oldest - change.Version) >= 0)
        {
            _changes.Dequeue();
            RuleRecord* rule = _rules.At(change.Id);
            switch (change.Kind)
            {
                case ChangeKind.Added:
                    Volatile.Write(ref rule->Added, 0);
                    break;
                case ChangeKind.Removed:
                    Bury(change.Id, rule);
                    break;
                default:
                    _rules.Free(change.Id);
                    break;
            }
        }
    }

    private void Bury(uint id, RuleRecord* rule)
    {
        TupleTable? table = rule->Home == RuleRecord.Compiled ? null : _tables.Find(t => t.Number == rule->Home);
        if (table is null || table.Frozen)
        {
            // A tree knows its number, or is about to.
            rule->Home = RuleRecord.Dead;
            _deadInTrees.Add(id);
            return;
        }

        ulong rank = rule->Rank;
        table.Clear(Key(id), id);
        _sinceRecount += rank == table.MaxRank ? Math.Max(1, _live / 64) : 0;
        _rules.Free(id);
        if (table.Count == 0)
        {
            _tables.Remove(table);
            _tablesChanged = true;
        }
    }

    private enum ChangeKind
    {
        Added,
        Removed,

        /// <summary>No tree names it any more; readers that began before may still walk through one that does.</summary>
        Forgotten,
    }

    /// <param name="Version">From which it holds.</param>
    /// <param name="Id">The rule.</param>
    /// <param name="Kind">What happened.</param>
    private readonly record struct Change(uint Version, uint Id, ChangeKind Kind);
}
