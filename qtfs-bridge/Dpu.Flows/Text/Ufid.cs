using System.Globalization;

namespace Dpu.Flows.Text;

/// <summary>
/// Names that data paths give to flows: 128 bits, written as a UUID (lib/odp-util.c, odp_format_ufid). Pure.
/// </summary>
public static class Ufid
{
    private const int Length = 36;

    /// <summary>Reads one from the bytes of its text; false where it is not in that form.</summary>
    public static bool TryParse(ReadOnlySpan<byte> text, out UInt128 ufid)
    {
        ulong high = 0, low = 0;
        ufid = 0;
        if (text.Length != Length)
        {
            return false;
        }

        for (int i = 0; i < Length; i++)
        {
            byte c = text[i];
            if (i is 8 or 13 or 18 or 23)
            {
                if (c != '-')
                {
                    return false;
                }

                continue;
            }

            if (!char.IsAsciiHexDigit((char)c))
            {
                return false;
            }

            uint digit = (uint)(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
            if (i < 18)
            {
                high = (high << 4) | digit;
            }
            else
            {
                low = (low << 4) | digit;
            }
        }

        ufid = new UInt128(high, low);
        return true;
    }

    /// <summary>The same from characters.</summary>
    public static bool TryParse(ReadOnlySpan<char> text, out UInt128 ufid)
    {
        Span<byte> bytes = stackalloc byte[Length];
        ufid = 0;
        return text.Length == Length && System.Text.Ascii.FromUtf16(text, bytes, out _) == System.Buffers.OperationStatus.Done && TryParse(bytes, out ufid);
    }

    /// <summary>Its text; <see cref="TryParse(ReadOnlySpan{char}, out UInt128)"/> of that is the same.</summary>
    public static string Format(UInt128 ufid)
    {
        string digits = ufid.ToString("x32", CultureInfo.InvariantCulture);
        return $"{digits[..8]}-{digits[8..12]}-{digits[12..16]}-{digits[16..20]}-{digits[20..]}";
    }
}

/// <summary>Ufids that came already: a data path tells a flow once for each thread that has it. One thread at a time.</summary>
public sealed class UfidSet
{
    private readonly HashSet<UInt128> _ufids = [];
    private readonly HashSet<string> _others = new(StringComparer.Ordinal);

    /// <summary>Notes one; false where it came already.</summary>
    public bool Add(UInt128 ufid) => _ufids.Add(ufid);

    /// <summary>Notes one of any form.</summary>
    public bool Add(string text) => Ufid.TryParse(text, out UInt128 ufid) ? Add(ufid) : _others.Add(text);
}
