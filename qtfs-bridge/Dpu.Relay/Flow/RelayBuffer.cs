using System.Buffers;

namespace Dpu.Relay.Flow;

/// <summary>Bytes that could not go on at once. Holds memory only while it has some. Not thread-safe.</summary>
internal struct RelayBuffer
{
    private byte[]? _bytes;
    private int _start;
    private int _end;

    /// <summary>How many there are.</summary>
    public readonly int Length => _end - _start;

    /// <summary>They.</summary>
    public readonly Span<byte> Bytes => _bytes.AsSpan(_start, Length);

    /// <summary>Adds some behind.</summary>
    public void Add(ReadOnlySpan<byte> more)
    {
        more.CopyTo(Room(more.Length));
        _end += more.Length;
    }

    /// <summary>Room behind for so many at least; <see cref="Filled"/> says how many came.</summary>
    public Span<byte> Room(int size)
    {
        if (_bytes is null || _bytes.Length - _end < size)
        {
            byte[] larger = ArrayPool<byte>.Shared.Rent(Length + size);
            int length = Length;
            Bytes.CopyTo(larger);
            Free();
            (_bytes, _start, _end) = (larger, 0, length);
        }

        return _bytes.AsSpan(_end);
    }

    /// <summary>So many have come into the <see cref="Room"/>.</summary>
    public void Filled(int size) => _end += size;

    /// <summary>Only so many are left, those in front.</summary>
    public void Cut(int length) => _end = _start + length;

    /// <summary>So many have gone, from the front.</summary>
    public void Gone(int size)
    {
        _start += size;
        if (_start == _end)
        {
            Free();
        }
    }

    /// <summary>Drops all.</summary>
    public void Free()
    {
        if (_bytes is not null)
        {
            ArrayPool<byte>.Shared.Return(_bytes);
        }

        (_bytes, _start, _end) = (null, 0, 0);
    }
}
