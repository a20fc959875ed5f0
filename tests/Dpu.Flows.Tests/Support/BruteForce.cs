using Dpu.Flows.Classifier;
using Dpu.Flows.Keys;

namespace Dpu.Flows.Tests.Support;

/// <summary>The oracle: every rule is compared with every packet.</summary>
internal sealed class BruteForce
{
    private readonly SortedDictionary<(int Priority, long Sequence), (FlowMatch Match, uint Value)> _rules = [];
    private long _sequence;

    internal int Count => _rules.Count;

    /// <summary>Adds a rule; returns what removes it.</summary>
    internal (int, long) Add(in FlowMatch match, ushort priority, uint value)
    {
        (int, long) name = (-priority, _sequence++);
        _rules.Add(name, (match, value));
        return name;
    }

    internal void Remove((int, long) name) => Assert.IsTrue(_rules.Remove(name));

    internal uint Lookup(in FlowKey key)
    {
        foreach ((FlowMatch match, uint value) in _rules.Values)
        {
            if (match.Matches(key))
            {
                return value;
            }
        }

        return ClassifierReader.None;
    }
}
