
namespace Dpu.Flows.Table;

/// <summary>
/// A bit for each of many entries, which data paths set and which are taken 4,096 at a time without a locked instruction for each
/// word. Any thread; a bit that is set is told once at least, and again by the next reading where it was set while it was read.
/// </summary>
/// <remarks>
/// Each segment of bits is there twice. Whoever takes it empties the other one, lets that be set from then on, and copies this one
/// at leisure. Who sets looks afterwards whether that has happened meanwhile, and sets the other one too: so either the copy has
/// the bit or the next one will.
/// </remarks>
internal sealed class ActivityBits
{
    private const int SegmentWords = 64;

    private readonly Lock _reader = new();
    private readonly ulong[][] _sides;
    private readonly int[] _side; // By segment: which of the two is set.

    /// <summary>All clear.</summary>
    /// <param name="capacity">Entries.</param>
    internal ActivityBits(int capacity)
    {
        int words = (capacity + 63) / 64;
        _sides = [new ulong[words], new ulong[words]];
        _side = new int[(words + SegmentWords - 1) / SegmentWords];
    }

    /// <summary>Words of 64 entries.</summary>
    internal int Words => _sides[0].Length;

    /// <summary>Memory, in bytes.</summary>
    internal long Size => (2L * sizeof(ulong) * Words) + (sizeof(int) * _side.Length);

    internal void Set(int index)
    {
        ulong bit = 1ul << (index & 63);
        ref int side = ref _side[index / (64 * SegmentWords)];
        int set = Volatile.Read(ref side);
        while (true)
        {
            // Mostly it is set already, and the line with the bits stays shared.
            ref ulong word = ref _sides[set][index / 64];
            if ((Volatile.Read(ref word) & bit) != 0)
            {
                return;
            }

            Interlocked.Or(ref word, bit);
            int now = Volatile.Read(ref side);
            if (now == set)
            {
                return;
            }

            set = now;
        }
    }

    /// <summary>Forgets what was set of an entry that is no more.</summary>
    internal void Unset(int index) =>
        Interlocked.And(ref _sides[Volatile.Read(ref _side[index / (64 * SegmentWords)])][index / 64], ~(1ul << (index & 63)));

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
                int end = Math.Min(begin + SegmentWords, Words);
                length = Math.Min(end - word, words - done);
                Span<ulong> into = bits.Slice(done, length);
                ulong[] set = _sides[_side[segment]];
                if (!clear)
                {
                    set.AsSpan(word, length).CopyTo(into);
                }
                else if (length == end - begin)
                {
                    ulong[] other = _sides[1 - _side[segment]];
                    other.AsSpan(begin, length).Clear();
                    Interlocked.Exchange(ref _side[segment], 1 - _side[segment]);
                    set.AsSpan(begin, length).CopyTo(into);
                }
                else
                {
                    TakeWords(set.AsSpan(word, length), into);
                }
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
