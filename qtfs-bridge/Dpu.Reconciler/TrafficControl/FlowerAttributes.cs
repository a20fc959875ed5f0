using System.Buffers.Binary;
using Dpu.Linux;

namespace Dpu.Reconciler.TrafficControl;

/// <summary>The attributes of one flower filter by their numbers, as ranges of the bytes that they came in. What is not known is told of.</summary>
internal ref struct FlowerAttributes
{
    private readonly ReadOnlySpan<byte> _bytes;
    private readonly Span<(int At, int Length)> _places;
    private UInt128 _known;

    /// <param name="options">TCA_OPTIONS.</param>
    /// <param name="places">Room for <see cref="Count"/>.</param>
    internal FlowerAttributes(ReadOnlySpan<byte> options, Span<(int At, int Length)> places)
    {
        _bytes = options;
        _places = places;
        NetlinkAttributes attributes = new(options);
        while (attributes.Next())
        {
            if (attributes.Type is 0 or >= Count)
            {
                Unknown = attributes.Type;
                continue;
            }

            places[attributes.Type] = (Offset(options, attributes.Value), attributes.Value.Length);
            _known |= UInt128.One << attributes.Type;
        }

        IsBroken = attributes.IsBroken;
    }

    /// <summary>Numbers that are known: up to the masks of connection tracking.</summary>
    internal const int Count = linux_pkt_cls.TCA_FLOWER_KEY_CT_LABELS_MASK + 1;

    internal bool IsBroken { get; }

    /// <summary>A number that is not known here; 0 where there is none.</summary>
    internal int Unknown { get; private set; }

    /// <summary>Takes an attribute; false where it is not there.</summary>
    internal bool Take(ushort type, out ReadOnlySpan<byte> value)
    {
        UInt128 bit = UInt128.One << type;
        value = (_known & bit) == 0 ? default : _bytes.Slice(_places[type].At, _places[type].Length);
        bool there = (_known & bit) != 0;
        _known &= ~bit;
        return there;
    }

    /// <summary>Whether an attribute that was not taken is there.</summary>
    internal readonly bool Has(ushort type) => (_known & (UInt128.One << type)) != 0;

    /// <summary>A number on the wire's order, of up to 16 bytes.</summary>
    internal bool Take(ushort type, out UInt128 value)
    {
        value = 0;
        if (!Take(type, out ReadOnlySpan<byte> bytes))
        {
            return false;
        }

        foreach (byte b in bytes[..Math.Min(bytes.Length, 16)])
        {
            value = (value << 8) | b;
        }

        return true;
    }

    /// <summary>A number in the machine's order, of 1, 2 or 4 bytes.</summary>
    internal bool TakeHost(ushort type, out uint value)
    {
        bool there = Take(type, out ReadOnlySpan<byte> bytes);
        value = bytes.Length switch
        {
            >= 4 => BinaryPrimitives.ReadUInt32LittleEndian(bytes),
            >= 2 => BinaryPrimitives.ReadUInt16LittleEndian(bytes),
            1 => bytes[0],
            _ => 0,
        };
        return there;
    }

    /// <summary>The first attribute that nobody took; 0 where there is none.</summary>
    internal readonly int Left => _known == 0 ? Unknown : (int)UInt128.TrailingZeroCount(_known);

    private static int Offset(ReadOnlySpan<byte> of, ReadOnlySpan<byte> part) =>
        part.IsEmpty ? 0 : of.Overlaps(part, out int offset) ? offset : 0;
}
