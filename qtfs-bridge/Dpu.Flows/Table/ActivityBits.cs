
namespace Dpu.Flows.Table;

/// <summary>
/// A bit for each of many entries, which data paths set and which are taken 4,096 at a time without a locked instruction for each
/// word. Any thread; a bit that is set is told once at least, and again by the next reading where it was set while it was read.
/// </summary>
/// <remarks>
/// Each segment of bits is there twice. Whoever takes it empties the other one, lets that be set from then on, and copies this one
/// at leisure. Who sets looks afterwards whether that has happened meanwhile, and sets the other one too: so either the copy has
/// the bit or the next one will. Segments that follow each other are taken together, so that a million bits cost what copying and
/// clearing 128 KiB does.
/// <list type="number">
/// <item>Reader: empties the other side, then counts the segment's turn up (release): its lowest bit is the side that is set.</item>
/// <item>Reader: a full barrier, then copies. Setter: sets (a full barrier), then reads the turn. So one of both sees the other.</item>
/// <item>The turn counts, as a side alone could be the same again after two readings, of which the second has emptied what was set.</item>
/// </list>
/// </remarks>
internal sealed class ActivityBits
{
    private const int SegmentWords = 64;

    private readonly Lock _reader = new();
    private readonly ulong[][] _sides;
    private readonly uint[] _turn; // By segment: how often it was taken; the lowest bit is which of the two is set.

    /// <summary>All clear.</summary>
    /// <param name="capacity">Entries.</param>
    internal ActivityBits(int capacity)
    {
        int words = (capacity + 63) / 64;
        _sides = [new ulong[words], new ulong[words]];
        _turn = new uint[(words + SegmentWords - 1) / SegmentWords];
    }

    /// <summary>Words of 64 entries.</summary>
    internal int Words => _sides[0].Length;

    /// <summary>Memory, in bytes.</summary>
    internal long Size => (2L * sizeof(ulong) * Words) + (sizeof(uint) * _turn.Length);

    internal void Set(int index)
    {
        ulong bit = 1ul << (index & 63);
        ref uint turn = ref _turn[index / (64 * SegmentWords)];
        uint set = Volatile.Read(ref turn);
        while (true)
        {
            // Mostly it is set already, and the line with the bits stays shared.
            ref ulong word = ref _sides[set & 1][index / 64];
            if ((Volatile.Read(ref word) & bit) != 0)
            {
                return;
            }

            Interlocked.Or(ref word, bit);
            uint now = Volatile.Read(ref turn);
            if (now == set)
            {
                return;
            }

            set = now;
        }
    }

    /// <summary>Forgets what was set of an entry that is no more.</summary>
    internal void Unset(int index) =>
        Interlocked.And(ref _sides[Volatile.Read(ref _turn[index / (64 * SegmentWords)]) & 1][index / 64], ~(1ul << (index & 63)));

    /// <summary>Reads bits, the lowest of a word first.</summary>
    /// <param name="first">The first word.</param>
    /// <param name="bits">Receives so many words, or as many as there are.</param>
    /// <param name="clear">Whether they are taken, so that the next reading tells what was set since.</param>
    /// <returns>Words that were written.</returns>
    internal int Read(int first, Span<ulong> bits, bool clear)
    {
        int words = Math.Clamp(Words - first, 0, bits.Length);
        lock (_reader)
        {
            for (int done = 0, length; done < words; done += length)
            {
                int word = first + done;
                int segment = word / SegmentWords;
                int begin = segment * SegmentWords;
                uint side = _turn[segment] & 1;
                int end = Math.Min(begin + SegmentWords, Words);
                if (!clear || word != begin || end > first + words)
                {
                    length = Math.Min(end - word, words - done);
                    Span<ulong> set = _sides[side].AsSpan(word, length);
                    if (clear)
                    {
                        TakeWords(set, bits.Slice(done, length));
                    }
                    else
                    {
                        set.CopyTo(bits.Slice(done, length));
                    }

                    continue;
                }

                int last = segment;
                for (int next; (next = Math.Min(end + SegmentWords, Words)) > end && next <= first + words && (_turn[last + 1] & 1) == side; end = next)
                {
                    last++;
                }

                length = end - begin;
                _sides[1 - side].AsSpan(begin, length).Clear();
                for (int taken = segment; taken <= last; taken++)
                {
                    Volatile.Write(ref _turn[taken], _turn[taken] + 1);
                }

                Interlocked.MemoryBarrier();
                _sides[side].AsSpan(begin, length).CopyTo(bits.Slice(done, length));
            }
        }

        return words;
    }

    private static void TakeWords(Span<ulong> words, Span<ulong> into)
    {
        for (int i = 0; i < words.Length; i++)
        {
            into[i] = words[i] == 0 ? 0 : Interlocked.Exchange(ref words[i], 0);
        }
    }
}
