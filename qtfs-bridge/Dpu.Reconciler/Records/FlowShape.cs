using System.Numerics;
using System.Runtime.InteropServices;
using Dpu.Flows.Classifier;
using Dpu.Flows.Keys;

namespace Dpu.Reconciler.Records;

/// <summary>What matches have in common: their mask, and whether ports are ranges. Few of these describe many flows. Immutable.</summary>
internal sealed class FlowShape
{
    private readonly FlowMask _mask;

    internal FlowShape(in FlowMask mask, bool hasRange)
    {
        (_mask, HasRange, WordMap) = (mask, hasRange, mask.WordMap);
        Words = BitOperations.PopCount(WordMap) + (hasRange ? 1 : 0);
        ulong hash = hasRange ? 1u : 0u;
        for (int i = 0; i < FlowKey.Words; i++)
        {
            hash = RecordHash.Add(hash, mask.Bits.Word(i));
        }

        Hash = hash;
    }

    internal ref readonly FlowMask Mask => ref _mask;

    /// <summary>The words of a key or of a mask's bits.</summary>
    internal static ReadOnlySpan<ulong> WordsOf(in FlowKey key) => MemoryMarshal.Cast<FlowKey, ulong>(new ReadOnlySpan<FlowKey>(in key));

    internal bool HasRange { get; }

    /// <summary>Words of the key that count: only these are kept of a flow.</summary>
    internal uint WordMap { get; }

    /// <summary>Words that a flow of this shape takes; a last one has the ranges.</summary>
    internal int Words { get; }

    internal ulong Hash { get; }

    /// <summary>Writes a match's words, without the bits that do not count.</summary>
    internal void Pack(in FlowMatch match, Span<ulong> words)
    {
        int at = 0;
        ReadOnlySpan<ulong> key = WordsOf(match.Key), mask = WordsOf(_mask.Bits);
        for (uint map = WordMap; map != 0; map &= map - 1)
        {
            int word = BitOperations.TrailingZeroCount(map);
            words[at++] = key[word] & mask[word];
        }

        if (HasRange)
        {
            words[at] = ((ulong)match.TpSrc.Low << 48) | ((ulong)match.TpSrc.High << 32) | ((ulong)match.TpDst.Low << 16) | match.TpDst.High;
        }
    }

    /// <summary>The match of which these are the words.</summary>
    internal FlowMatch Unpack(ReadOnlySpan<ulong> words)
    {
        FlowMatch match = FlowMatch.Any;
        match.Mask = _mask;
        int at = 0;
        for (uint map = WordMap; map != 0; map &= map - 1)
        {
            match.Key.SetWord(BitOperations.TrailingZeroCount(map), words[at++]);
        }

        if (HasRange)
        {
            ulong ranges = words[at];
            match.TpSrc = new PortRange((ushort)(ranges >> 48), (ushort)(ranges >> 32));
            match.TpDst = new PortRange((ushort)(ranges >> 16), (ushort)ranges);
        }

        return match;
    }
}

/// <summary>The shapes of one set of flows, by number. One thread at a time.</summary>
internal sealed class FlowShapes
{
    private readonly Dictionary<(FlowMask Mask, bool HasRange), int> _numbers = [];
    private readonly List<FlowShape> _shapes = [];
    private int _last = -1;

    internal int Count => _shapes.Count;

    internal FlowShape this[int number] => _shapes[number];

    /// <summary>The number of the shape of a match whose ranges are canonical.</summary>
    internal int Of(in FlowMatch match)
    {
        bool hasRange = match.HasRange;
        if (_last >= 0 && _shapes[_last].HasRange == hasRange && FlowShape.WordsOf(_shapes[_last].Mask.Bits).SequenceEqual(FlowShape.WordsOf(match.Mask.Bits)))
        {
            return _last;
        }

        if (!_numbers.TryGetValue((match.Mask, hasRange), out int number))
        {
            number = _shapes.Count;
            _shapes.Add(new FlowShape(match.Mask, hasRange));
            _numbers.Add((match.Mask, hasRange), number);
        }

        return _last = number;
    }

    /// <summary>The number of the same shape here; negative where there is none.</summary>
    internal int Find(FlowShape shape) => _numbers.TryGetValue((shape.Mask, shape.HasRange), out int number) ? number : -1;
}
