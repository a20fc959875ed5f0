using System.Text;

namespace Dpu.Rpc.Wire;

/// <summary>How <c>grpc-message</c> carries any text in a header (PROTOCOL-HTTP2.md, Status-Message).</summary>
public static class PercentEncoding
{
    private const string Hex = "0123456789ABCDEF";

    /// <summary>UTF-8, with every byte outside 0x20 to 0x7E, and '%', as %XX.</summary>
    public static string Encode(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        if (!text.AsSpan().ContainsAnyExceptInRange(' ', '~') && !text.Contains('%', StringComparison.Ordinal))
        {
            return text;
        }

        byte[] bytes = Encoding.UTF8.GetBytes(text);
        var builder = new StringBuilder(bytes.Length + 16);
        foreach (byte b in bytes)
        {
            if (b is >= 0x20 and <= 0x7E and not (byte)'%')
            {
                builder.Append((char)b);
            }
            else
            {
                builder.Append('%').Append(Hex[b >> 4]).Append(Hex[b & 15]);
            }
        }

        return builder.ToString();
    }

    /// <summary>The text again. It never fails: a '%' that begins no escape stays, and what is no UTF-8 becomes U+FFFD.</summary>
    /// <param name="header">A header's value; a character to 0xFF stands for the byte that was on the wire.</param>
    public static string Decode(string header)
    {
        ArgumentNullException.ThrowIfNull(header);
        if (!header.AsSpan().ContainsAnyExceptInRange(' ', '~') && !header.Contains('%', StringComparison.Ordinal))
        {
            return header;
        }

        var bytes = new List<byte>(header.Length);
        Span<byte> utf8 = stackalloc byte[4];
        for (int i = 0; i < header.Length;)
        {
            char c = header[i];
            if (c == '%' && i + 2 < header.Length && char.IsAsciiHexDigit(header[i + 1]) && char.IsAsciiHexDigit(header[i + 2]))
            {
                bytes.Add((byte)((HexValue(header[i + 1]) << 4) | HexValue(header[i + 2])));
                i += 3;
            }
            else if (c <= 0xFF)
            {
                bytes.Add((byte)c);
                i++;
            }
            else
            {
                // No byte of a header: only a caller's own string comes here. A lone surrogate becomes U+FFFD.
                Rune.DecodeFromUtf16(header.AsSpan(i), out Rune rune, out int used);
                bytes.AddRange(utf8[..rune.EncodeToUtf8(utf8)]);
                i += used;
            }
        }

        return Encoding.UTF8.GetString([.. bytes]);
    }

    private static int HexValue(char c) => c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10;
}
