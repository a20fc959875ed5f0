using System.Runtime.CompilerServices;
using Dpu.Flows.Table;
using Dpu.Reconciler.Records;

namespace Dpu.Reconciler.Diff;

/// <summary>
/// Compares two sets in time that grows with their size alone: each layer is one hash join, and takes what the layers before
/// left. (1) The same key, actions and correlator; (2) the same key, first those that do the same; (3) the same correlator,
/// where it names one desired flow only; (4) the same match at another priority; what is left is missing, stale or there twice.
/// The exact key goes before the correlator because cookies are often shared. Pure.
/// </summary>
public static class FlowDiff
{
    /// <summary>Compares.</summary>
    public static DiffResult Compare(FlowSet desired, FlowSet actual, DiffOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(desired);
        ArgumentNullException.ThrowIfNull(actual);
        Join join = new(desired, actual, options ?? new DiffOptions());
        return join.Run();
    }

    private sealed class Join
    {
        private const int Batch = 32;
        private const int None = -1;
        private readonly FlowSet _desired;
        private readonly FlowSet _actual;
        private readonly DiffOptions _options;
        private readonly KeyIndex _index;
        private readonly int[] _shapeOf; // A shape of the actual set: its number in the desired one.
        private readonly int[] _actionsOf;
        private readonly int[] _pairOfDesired;
        private readonly List<Difference> _differences = [];
        private readonly Dictionary<ulong, List<int>> _repaired = []; // Actual flows of divergent pairs, by key: their like are duplicates.
        private readonly Dictionary<int, int> _occupied = []; // Desired flows whose key a foreign flow has.
        private List<int> _left = [];
        private int _inStep;

        internal Join(FlowSet desired, FlowSet actual, DiffOptions options)
        {
            (_desired, _actual, _options, _index) = (desired, actual, options, new KeyIndex(desired));
            _shapeOf = new int[actual.Shapes.Count];
            for (int i = 0; i < _shapeOf.Length; i++)
            {
                _shapeOf[i] = desired.Shapes.Find(actual.Shapes[i]);
            }

            _actionsOf = new int[actual.Actions.Count];
            for (int i = 0; i < _actionsOf.Length; i++)
            {
                _actionsOf[i] = desired.Actions.Find(actual.Actions, i);
            }

            _pairOfDesired = new int[desired.Count];
            for (int d = 0; d < desired.Count; d++)
            {
                // What is no flow that can be kept is not wanted elsewhere.
                _pairOfDesired[d] = desired.IsForeign(d) ? int.MaxValue : None;
            }
        }

        internal DiffResult Run()
        {
            Perfect();
            ExactKeys();
            if (_left.Count > 0)
            {
                List<int> free = [.. Enumerable.Range(0, _desired.Count).Where(d => _pairOfDesired[d] == None)];
                Correlators(free);
                Priorities(free);
            }

            Rest();
            DifferenceOrder.Sort(_differences, _desired, _actual);
            return new DiffResult(_desired, _actual, _differences, _inStep);
        }

        // In batches, so that the processor waits for many lines of memory at once.
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private void Perfect()
        {
            Span<ulong> hashes = stackalloc ulong[Batch];
            Span<ulong> first = stackalloc ulong[Batch];
            for (int begin = 0; begin < _actual.Count; begin += Batch)
            {
                int count = Math.Min(Batch, _actual.Count - begin);
                for (int i = 0; i < count; i++)
                {
                    hashes[i] = _actual[begin + i].KeyHash;
                    first[i] = _index.Peek(hashes[i]);
                }

                ulong touched = 0;
                for (int i = 0; i < count; i++)
                {
                    touched += (int)(uint)first[i] is > 0 and int number ? _desired[number - 1].WordAt : 0u;
                }

                GC.KeepAlive(touched);
                for (int i = 0; i < count; i++)
                {
                    Perfect(begin + i, hashes[i]);
                }
            }
        }

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private void Perfect(int a, ulong hash)
        {
            ref FlowSet.Record record = ref _actual[a];
            if (_actual.IsForeign(a))
            {
                // What it matches is not known: it takes no flow's place here.
                Add(DifferenceCategory.Foreign, Divergence.None, None, a, _actual.NoteOf(a) ?? "");
                return;
            }

            if (!_options.Owner.Owns(record.Cookie))
            {
                KeyIndex.SameKey taken = new(_desired, in record, _actual, _shapeOf[record.Shape]);
                int from = _index.First(hash);
                if (_index.Next(hash, ref from, taken) is >= 0 and int occupied)
                {
                    _occupied[occupied] = a;
                }

                Add(DifferenceCategory.Foreign, Divergence.None, None, a);
                return;
            }

            KeyIndex.SameKey same = new(_desired, in record, _actual, _shapeOf[record.Shape]);
            int place = _index.First(hash);
            for (int d = _index.Next(hash, ref place, same); d >= 0; d = _index.Next(hash, ref place, same))
            {
                if (_pairOfDesired[d] == None && Agree(d, a) && !IsStuck(a))
                {
                    Pair(d, a, Divergence.None);
                    return;
                }
            }

            _left.Add(a);
        }

        // Those that do the same first, then those of the same correlator, then any.
        private void ExactKeys()
        {
            for (int wanted = 2; wanted >= 0 && _left.Count > 0; wanted--)
            {
                List<int> left = [];
                foreach (int a in _left)
                {
                    ref FlowSet.Record record = ref _actual[a];
                    ulong hash = record.KeyHash;
                    KeyIndex.SameKey same = new(_desired, in record, _actual, _shapeOf[record.Shape]);
                    int place = _index.First(hash), found = None, twin = None;
                    for (int d = _index.Next(hash, ref place, same); d >= 0; d = _index.Next(hash, ref place, same))
                    {
                        if (_desired.IsForeign(d))
                        {
                            continue;
                        }

                        twin = d;
                        found = found == None && _pairOfDesired[d] == None && Likeness(d, a) >= wanted ? d : found;
                    }

                    if (found >= 0)
                    {
                        Pair(found, a, Differs(found, a, sameKey: true));
                    }
                    else if (wanted == 0 && twin >= 0)
                    {
                        Add(DifferenceCategory.Duplicate, Divergence.None, twin, a);
                    }
                    else
                    {
                        left.Add(a);
                    }
                }

                _left = left;
            }
        }

        private void Correlators(List<int> free)
        {
            Dictionary<ulong, int> byCorrelator = [];
            foreach (int d in free)
            {
                if (_desired[d].Correlator != 0)
                {
                    byCorrelator[_desired[d].Correlator] = d;
                }
            }

            // A correlator of several desired flows names none of them.
            if (byCorrelator.Count > 0)
            {
                for (int d = 0; d < _desired.Count; d++)
                {
                    if (byCorrelator.TryGetValue(_desired[d].Correlator, out int other) && other != d)
                    {
                        byCorrelator.Remove(_desired[d].Correlator);
                    }
                }
            }

            PairLeft(a => byCorrelator.Remove(_actual[a].Correlator, out int d) ? d : None);
            _ = free.RemoveAll(d => _pairOfDesired[d] != None);
        }

        private void Priorities(List<int> free)
        {
            Dictionary<ulong, Queue<int>> byMatch = [];
            foreach (int d in free)
            {
                if (!byMatch.TryGetValue(_desired[d].MatchHash, out Queue<int>? queue))
                {
                    byMatch.Add(_desired[d].MatchHash, queue = []);
                }

                queue.Enqueue(d);
            }

            PairLeft(a => byMatch.TryGetValue(_actual[a].MatchHash, out Queue<int>? queue) && queue.TryPeek(out int d) && _actual.MatchOf(a) == _desired.MatchOf(d) ? queue.Dequeue() : None);
        }

        private void PairLeft(Func<int, int> find)
        {
            List<int> left = [];
            foreach (int a in _left)
            {
                int d = find(a);
                if (d < 0)
                {
                    left.Add(a);
                    continue;
                }

                Pair(d, a, Differs(d, a, sameKey: false));
                ulong key = _actual[a].KeyHash;
                if (!_repaired.TryGetValue(key, out List<int>? like))
                {
                    _repaired.Add(key, like = []);
                }

                like.Add(a);
            }

            _left = left;
        }

        private void Rest()
        {
            foreach (int a in _left)
            {
                int like = _repaired.TryGetValue(_actual[a].KeyHash, out List<int>? pairs) ? pairs.FindIndex(p => _actual.MatchOf(p) == _actual.MatchOf(a)) : None;
                if (like >= 0)
                {
                    Add(DifferenceCategory.Duplicate, Divergence.None, None, a, "of a divergent flow");
                }
                else
                {
                    Add(DifferenceCategory.Stale, Divergence.None, None, a);
                }
            }

            for (int d = 0; d < _desired.Count; d++)
            {
                if (_pairOfDesired[d] != None)
                {
                    continue;
                }

                if (_options.RefusalOf?.Invoke(_desired.Definition(d)) is { } refusal)
                {
                    Add(DifferenceCategory.NotOffloaded, Divergence.None, d, None, refusal);
                }
                else if (_occupied.TryGetValue(d, out int foreign))
                {
                    Add(DifferenceCategory.Missing, Divergence.None, d, foreign, "a flow of another owner has its place");
                }
                else
                {
                    Add(DifferenceCategory.Missing, Divergence.None, d, None);
                }
            }
        }

        private void Pair(int d, int a, Divergence divergence)
        {
            _pairOfDesired[d] = a;
            OffloadState offload = _options.ExpectOffload ? _actual[a].Offload : OffloadState.Unknown;
            if (divergence != Divergence.None)
            {
                Add(DifferenceCategory.Divergent, divergence, d, a);
            }
            else if (IsStuck(a))
            {
                Add(DifferenceCategory.StuckCounter, Divergence.None, d, a);
            }
            else if (offload is OffloadState.No or OffloadState.Partial)
            {
                Add(DifferenceCategory.NotOffloaded, Divergence.None, d, a, _actual.NoteOf(a) is { } why ? why : offload == OffloadState.No ? "the target says that hardware does not execute it" : "the target says that hardware executes a part of it");
            }
            else
            {
                _inStep++;
            }
        }

        private bool Agree(int d, int a)
        {
            ref FlowSet.Record wanted = ref _desired[d], there = ref _actual[a];
            return wanted.Actions == _actionsOf[there.Actions] && SameCookie(wanted, there) && SameTimeouts(wanted, there);
        }

        private int Likeness(int d, int a) =>
            _desired[d].Actions == _actionsOf[_actual[a].Actions] ? 2 : _desired[d].Correlator == _actual[a].Correlator ? 1 : 0;

        private Divergence Differs(int d, int a, bool sameKey)
        {
            ref FlowSet.Record wanted = ref _desired[d], there = ref _actual[a];
            Divergence divergence = wanted.Actions == _actionsOf[there.Actions] ? Divergence.None : Divergence.Action;
            if (!sameKey)
            {
                divergence |= wanted.Table != there.Table || _desired.MatchOf(d) != _actual.MatchOf(a) ? Divergence.Match : Divergence.None;
                divergence |= wanted.Priority != there.Priority ? Divergence.Priority : Divergence.None;
            }

            return divergence | (SameCookie(wanted, there) && SameTimeouts(wanted, there) ? Divergence.None : Divergence.Attribute);
        }

        // Names of data paths are theirs alone: two of them never have the same for one flow.
        private bool SameCookie(in FlowSet.Record left, in FlowSet.Record right) =>
            !_options.CompareCookies || ((left.Flags | right.Flags) & FlowSet.Record.HasUfid) != 0 || left.Correlator == right.Correlator;

        private bool SameTimeouts(in FlowSet.Record left, in FlowSet.Record right) =>
            !_options.CompareTimeouts || (left.IdleTimeout == right.IdleTimeout && left.HardTimeout == right.HardTimeout);

        private bool IsStuck(int a) => _options.Stuck is { } stuck && stuck.Contains(_actual[a].Handle);

        private void Add(DifferenceCategory category, Divergence divergence, int d, int a, string reason = "") =>
            _differences.Add(new Difference(category, divergence, d, a, reason));
    }
}
