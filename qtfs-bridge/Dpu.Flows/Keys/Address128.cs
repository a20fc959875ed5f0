using System.Diagnostics.CodeAnalysis;
using System.Runtime.InteropServices;

namespace Dpu.Flows.Keys;

/// <summary>16 bytes of an address as four words in host order, the most significant first; IPv4 fills the first word.</summary>
[StructLayout(LayoutKind.Sequential, Size = 16)]
[SuppressMessage("Design", "CA1051", Justification = "Part of a key's layout.")]
public record struct Address128
{
    /// <summary>Bits 0 to 31 from the left: all of an IPv4 address.</summary>
    public uint Word0;

    /// <summary>Bits 32 to 63.</summary>
    public uint Word1;

    /// <summary>Bits 64 to 95.</summary>
    public uint Word2;

    /// <summary>Bits 96 to 127.</summary>
    public uint Word3;

    /// <summary>An address of four words.</summary>
    public Address128(uint word0, uint word1 = 0, uint word2 = 0, uint word3 = 0) =>
        (Word0, Word1, Word2, Word3) = (word0, word1, word2, word3);

    /// <summary>A mask of the first <paramref name="length"/> bits, 0 to 128.</summary>
    public static Address128 Prefix(int length) => new(Bits(length), Bits(length - 32), Bits(length - 64), Bits(length - 96));

    private static uint Bits(int length) => length <= 0 ? 0 : length >= 32 ? uint.MaxValue : uint.MaxValue << (32 - length);
}
