using System.Numerics;
using System.Runtime.CompilerServices;
using Dpu.Reconciler.Records;

namespace Dpu.Reconciler.Diff;

/// <summary>
/// The flows of a set by their exact key (table, match, priority): open addressing, 8 bytes a place of which half are the
/// hash, so that nearly no look-up reads a record that it does not want.
/// </summary>
internal sealed class KeyIndex
{
    private readonly FlowSet _flows;
    private readonly ulong[] _places; // Upper half of the hash, then number and 1.
    private readonly int _mask;

    internal KeyIndex(FlowSet flows)
    {
        _flows = flows;
        _places = new ulong[BitOperations.RoundUpToPowerOf2((uint)Math.Max(16, flows.Count * 2L))];
        _mask = _places.Length - 1;
        for (int i = 0; i < flows.Count; i++)
        {
            ulong hash = flows[i].KeyHash;
            int place = (int)hash & _mask;
            while (_places[place] != 0)
            {
                place = (place + 1) & _mask;
            }

            _places[place] = (hash & 0xffffffff00000000) | (uint)(i + 1);
        }
    }

    /// <summary>The place where a hash's search begins, and what is there.</summary>
    internal ulong Peek(ulong hash) => _places[(int)hash & _mask];

    /// <summary>
    /// The flow at <paramref name="place"/> or after it with that hash and, as <paramref name="same"/> says, that key; negative at the end.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal int Next(ulong hash, ref int place, in SameKey same)
    {
        for (; ; place = (place + 1) & _mask)
        {
            ulong found = _places[place];
            if (found == 0)
            {
                return -1;
            }

            if (((found ^ hash) >> 32) == 0 && same.Is((int)(uint)found - 1))
            {
                place = (place + 1) & _mask;
                return (int)(uint)found - 1;
            }
        }
    }

    internal int First(ulong hash) => (int)hash & _mask;

    /// <summary>Compares a flow of another set with those of this index, to the bit.</summary>
    internal readonly ref struct SameKey(FlowSet flows, ref readonly FlowSet.Record wanted, FlowSet from, int shape)
    {
        private readonly ref readonly FlowSet.Record _wanted = ref wanted;

        internal bool Is(int number)
        {
            ref FlowSet.Record record = ref flows[number];
            int count = shape < 0 ? -1 : flows.Shapes[shape].Words;
            return record.Shape == shape && record.MatchHash == _wanted.MatchHash && record.Priority == _wanted.Priority && record.Table == _wanted.Table
                && flows.WordsOf(record.WordAt, count).SequenceEqual(from.WordsOf(_wanted.WordAt, count));
        }
    }
}
