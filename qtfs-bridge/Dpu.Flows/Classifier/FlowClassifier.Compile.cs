using System.Diagnostics;
using System.Diagnostics.CodeAnalysis;

namespace Dpu.Flows.Classifier;

/// <summary>Compilation: many tables become trees, beside which new tables hold what changes from then on.</summary>
public sealed unsafe partial class FlowClassifier
{
    // A table that has a quarter of all rules is worth its probe; at most so many are left out of the trees.
    private const int MaxDenseTables = 2;

    // Beside trees: so many tables, or a delta of this part of the rules, are compiled again.
    private const int MaxDeltaTables = 24;
    private const int DeltaPart = 6;

    private readonly List<uint> _deadInTrees = [];
    private CutTreeSet _trees = CutTreeSet.Empty;
    private uint[] _compiledIds = [];
    private long _compilations;
    private string? _compileFailure;
    private Task _compiling = Task.CompletedTask;
    private bool _isCompiling;
    private int _givenUpAt;

    /// <summary>Ends when no compilation is under way; for tests and benchmarks.</summary>
    public Task WhenCompiled()
    {
        lock (_writer)
        {
            return _compiling;
        }
    }

    private void CompileIfWorthIt()
    {
        if (_isCompiling || !IsWorthCompiling())
        {
            return;
        }

        _isCompiling = true;
        (uint[] ids, int dead) = Freeze();
        if (_options.CompileInBackground)
        {
            _compiling = Task.Run(() => Compile(ids, dead));
        }
        else
        {
            Compile(ids, dead);
        }
    }

    private bool IsWorthCompiling()
    {
        if (_tables.Count <= _options.FewTables || _live < _givenUpAt)
        {
            return false;
        }

        if (_trees.Rules == 0)
        {
            return _tables.Count > _options.CompileAboveTables || _live > _options.CompileAboveRules;
        }

        int delta = _tables.Where(table => !IsDense(table)).Sum(table => table.Count);
        return _tables.Count > MaxDeltaTables || delta > Math.Max(1024, _trees.Rules / DeltaPart) || _deadInTrees.Count > (_trees.Rules / 3) + 1024;
    }

    private bool IsDense(TupleTable table) => table.Count > _live / 4;

    // What is to be compiled is fixed: no rule is added to these tables, and none of their rules is freed, until that is done.
    private (uint[] Ids, int Dead) Freeze()
    {
        List<uint> ids = [.. _compiledIds.Where(id => _rules.At(id)->Home != RuleRecord.Dead)];
        HashSet<TupleTable> dense = [.. _tables.Where(IsDense).OrderByDescending(table => table.Count).Take(MaxDenseTables)];
        foreach (TupleTable table in _tables.Where(table => !dense.Contains(table)))
        {
            table.Frozen = true;
            table.ForEach(ids.Add);
        }

        return ([.. ids], _deadInTrees.Count);
    }

    [SuppressMessage("Design", "CA1031", Justification = "Whatever keeps rules from being compiled (memory, a bug) must not lose them: the tables go on, and Statistics says why.")]
    private void Compile(uint[] ids, int dead)
    {
        try
        {
            long start = Stopwatch.GetTimestamp();
            CutTree[] trees = CutTreeBuilder.Build(_rules, ids);
            Finish(new CutTreeSet(trees, ids.Length, Stopwatch.GetElapsedTime(start)), ids, dead);
        }
        catch (Exception e)
        {
            lock (_writer)
            {
                _tables.ForEach(table => table.Frozen = false);
                _givenUpAt = (_live * 2) + 1;
                _compileFailure = e.Message;
                _isCompiling = false;
            }
        }
    }

    private void Finish(CutTreeSet trees, uint[] ids, int dead)
    {
        lock (_writer)
        {
            foreach (uint id in ids)
            {
                RuleRecord* rule = _rules.At(id);
                rule->Home = rule->Home == RuleRecord.Dead ? RuleRecord.Dead : RuleRecord.Compiled;
            }

            _tables.RemoveAll(table => table.Frozen);
            _trees = trees;
            _compiledIds = ids;
            PublishSnapshot();

            for (int i = 0; i < dead; i++)
            {
                _changes.Enqueue(new Change(_version + 1, _deadInTrees[i], ChangeKind.Forgotten));
            }

            _deadInTrees.RemoveRange(0, dead);
            _compilations++;
            _compileFailure = null;
            _isCompiling = false;
        }
    }
}
