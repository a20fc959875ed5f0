using System.Globalization;
using System.Net;
using System.Net.Sockets;
using Dpu.Flows.Keys;

namespace Dpu.Flows.Text;

/// <summary>How a field is written.</summary>
internal enum FieldStyle
{
    Decimal,
    Hex,
    Ethernet,
    IPv4,
    IPv6,
    Fragment,
    ConnectionState,
    TcpFlags,
    Tunnel,
}

/// <summary>Values and masks of fields as text, in the forms of ovs-fields(7). Pure.</summary>
internal static class FieldText
{
    private static readonly string[] _tcpFlags = ["fin", "syn", "rst", "psh", "ack", "urg", "ece", "cwr", "ns"];
    private static readonly string[] _states = ["new", "est", "rel", "rpl", "inv", "trk", "snat", "dnat"];

    /// <summary>Reads "value" or "value/mask"; the value without bits outside of the mask.</summary>
    internal static (UInt128 Value, UInt128 Mask) Parse(string name, string text, FieldStyle style, int width)
    {
        UInt128 full = width == 128 ? UInt128.MaxValue : (UInt128.One << width) - 1;
        if (NamedParse(text, style) is { } named)
        {
            return named;
        }

        int slash = text.IndexOf('/', StringComparison.Ordinal);
        UInt128 value = One(name, slash < 0 ? text : text[..slash], style, full);
        if (slash < 0)
        {
            return (value, full);
        }

        string maskText = text[(slash + 1)..];
        UInt128 mask = style is FieldStyle.IPv4 or FieldStyle.IPv6 && int.TryParse(maskText, NumberStyles.None, CultureInfo.InvariantCulture, out int length)
            ? length <= width ? length == 0 ? 0 : full & ~((UInt128.One << (width - length)) - 1) : throw Bad(name, text, $"a prefix has at most {width} bits")
            : One(name, maskText, style, full);
        return (value & mask, mask);
    }

    /// <summary>Writes "value", or "value/mask" where not all bits count.</summary>
    internal static string Format(UInt128 value, UInt128 mask, FieldStyle style, int width)
    {
        UInt128 full = width == 128 ? UInt128.MaxValue : (UInt128.One << width) - 1;
        if (style == FieldStyle.Fragment && Fragment((uint)value, (uint)mask) is { } word)
        {
            return word;
        }

        if (style == FieldStyle.ConnectionState && mask <= 0xff)
        {
            return string.Concat(_states.Select((name, bit) => ((mask >> bit) & 1) == 0 ? "" : (((value >> bit) & 1) == 0 ? "-" : "+") + name));
        }

        if (style == FieldStyle.Tunnel && mask == full)
        {
            return ((TunnelKind)(byte)value).ToString().ToLowerInvariant();
        }

        if (mask == full)
        {
            return One(value, style);
        }

        int length = PrefixLength(mask, width);
        return style is FieldStyle.IPv4 or FieldStyle.IPv6 && length >= 0
            ? string.Create(CultureInfo.InvariantCulture, $"{One(value, style)}/{length}")
            : $"{One(value, style is FieldStyle.Decimal ? FieldStyle.Hex : style)}/{One(mask, style is FieldStyle.Decimal ? FieldStyle.Hex : style)}";
    }

    /// <summary>Reads one number, address or name.</summary>
    internal static UInt128 One(string name, string text, FieldStyle style, UInt128 max)
    {
        UInt128 value;
        switch (style)
        {
            case FieldStyle.Ethernet:
                string[] parts = text.Split(':');
                value = 0;
                if (parts.Length != 6 || !parts.All(p => p.Length is 1 or 2))
                {
                    throw Bad(name, text, "an Ethernet address has six bytes in hex");
                }

                foreach (string part in parts)
                {
                    value = (value << 8) | (byte.TryParse(part, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out byte b) ? b : throw Bad(name, text, "an Ethernet address has six bytes in hex"));
                }

                return value;
            case FieldStyle.IPv4 when IPAddress.TryParse(text, out IPAddress? v4) && v4.AddressFamily == AddressFamily.InterNetwork && text.Count(c => c == '.') == 3:
                return Number(v4);
            case FieldStyle.IPv6 when !text.Contains('%', StringComparison.Ordinal) && IPAddress.TryParse(text, out IPAddress? v6) && v6.AddressFamily == AddressFamily.InterNetworkV6:
                return Number(v6);
            case FieldStyle.IPv4 or FieldStyle.IPv6:
                throw Bad(name, text, style == FieldStyle.IPv4 ? "it is no IPv4 address" : "it is no IPv6 address");
            default:
                bool hex = text.StartsWith("0x", StringComparison.OrdinalIgnoreCase);
                if (!UInt128.TryParse(hex ? text.AsSpan(2) : text, hex ? NumberStyles.AllowHexSpecifier : NumberStyles.None, CultureInfo.InvariantCulture, out value))
                {
                    throw Bad(name, text, "it is no number");
                }

                return value <= max ? value : throw Bad(name, text, $"it is at most {max}");
        }
    }

    internal static FlowTextException Bad(string name, string text, string why) => new($"{name}={Pieces.Short(text)}: {why}");

    private static string One(UInt128 value, FieldStyle style) => style switch
    {
        FieldStyle.Decimal => value.ToString(CultureInfo.InvariantCulture),
        FieldStyle.Ethernet => string.Join(':', Enumerable.Range(0, 6).Select(i => ((byte)(value >> (40 - (i * 8)))).ToString("x2", CultureInfo.InvariantCulture))),
        FieldStyle.IPv4 => new IPAddress(Bytes(value, 4)).ToString(),
        FieldStyle.IPv6 => new IPAddress(Bytes(value, 16)).ToString(),
        _ => "0x" + value.ToString("x", CultureInfo.InvariantCulture),
    };

    private static UInt128 Number(IPAddress address) => address.GetAddressBytes().Aggregate(UInt128.Zero, (number, b) => (number << 8) | b);

    private static byte[] Bytes(UInt128 value, int count) => [.. Enumerable.Range(0, count).Select(i => (byte)(value >> ((count - 1 - i) * 8)))];

    private static int PrefixLength(UInt128 mask, int width)
    {
        UInt128 rest = ~mask & (width == 128 ? UInt128.MaxValue : (UInt128.One << width) - 1);
        return (rest & (rest + 1)) == 0 ? width - (int)UInt128.PopCount(rest) : -1;
    }

    private static (UInt128 Value, UInt128 Mask)? NamedParse(string text, FieldStyle style) => style switch
    {
        FieldStyle.Fragment => text switch
        {
            "no" => (0, 3),
            "yes" => (1, 1),
            "first" => (1, 3),
            "later" => (3, 3),
            "not_later" => (0, 2),
            _ => null,
        },
        FieldStyle.ConnectionState when text.Length > 0 && text[0] is '+' or '-' => Signed(text, _states),
        FieldStyle.TcpFlags when text.Length > 0 && text[0] is '+' or '-' => Signed(text, _tcpFlags),
        FieldStyle.TcpFlags when text.Length > 0 && char.IsAsciiLetter(text[0]) => (Signed("+" + text.Replace('|', '+'), _tcpFlags).Value, 0xfff),
        FieldStyle.Tunnel when Enum.TryParse(text, ignoreCase: true, out TunnelKind kind) && !char.IsAsciiDigit(text[0]) => ((UInt128)(byte)kind, 0xff),
        _ => null,
    };

    private static string? Fragment(uint value, uint mask) => (value, mask) switch
    {
        (0, 3) => "no",
        (1, 1) => "yes",
        (1, 3) => "first",
        (3, 3) => "later",
        (0, 2) => "not_later",
        _ => null,
    };

    // "+trk-new": bits that are wanted and bits that are not.
    private static (UInt128 Value, UInt128 Mask) Signed(string text, string[] names)
    {
        UInt128 value = 0, mask = 0;
        for (int at = 0; at < text.Length;)
        {
            int end = text.AsSpan(at + 1).IndexOfAny('+', '-');
            end = end < 0 ? text.Length : at + 1 + end;
            int bit = Array.IndexOf(names, text[(at + 1)..end]);
            if (bit < 0)
            {
                throw new FlowTextException($"'{text[(at + 1)..end]}' is none of {string.Join(", ", names)}");
            }

            mask |= UInt128.One << bit;
            value |= text[at] == '+' ? UInt128.One << bit : 0;
            at = end;
        }

        return (value, mask);
    }
}
