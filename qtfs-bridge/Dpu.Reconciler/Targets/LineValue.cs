using System.Buffers.Text;
using System.Runtime.CompilerServices;

namespace Dpu.Reconciler.Targets;

/// <summary>Numbers and addresses of lines that are read straight from their bytes. False for every form that is not plain. Pure.</summary>
internal static class LineValue
{
    /// <summary>A number in decimal, or in hex behind 0x.</summary>
    internal static bool TryNumber(ReadOnlySpan<byte> value, ulong max, out ulong number)
    {
        bool hex = value.Length > 2 && value[0] == '0' && value[1] is (byte)'x' or (byte)'X';
        ReadOnlySpan<byte> digits = hex ? value[2..] : value;
        number = 0;
        return digits.Length > 0 && digits[0] is not ((byte)'+' or (byte)'-') && Utf8Parser.TryParse(digits, out number, out int used, hex ? 'x' : 'D') && used == digits.Length && number <= max;
    }

    /// <summary>10.0.0.0, 10.0.0.0/8, 10.0.0.0/255.0.255.0; bits that do not count may be printed.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal static bool TryAddress(ReadOnlySpan<byte> value, ref uint key, ref uint mask)
    {
        uint bits = uint.MaxValue;
        int slash = value.IndexOf((byte)'/');
        if (slash >= 0)
        {
            ReadOnlySpan<byte> tail = value[(slash + 1)..];
            if (TryNumber(tail, 32, out ulong length) && tail.Length <= 2)
            {
                bits = length == 0 ? 0 : uint.MaxValue << (32 - (int)length);
            }
            else if (!TryDotted(tail, out bits))
            {
                return false;
            }

            value = value[..slash];
        }

        if (!TryDotted(value, out uint address))
        {
            return false;
        }

        (key, mask) = ((key & ~bits) | (address & bits), mask | bits);
        return true;
    }

    private static bool TryDotted(ReadOnlySpan<byte> text, out uint address)
    {
        address = 0;
        for (int part = 0; part < 4; part++)
        {
            int end = part < 3 ? text.IndexOf((byte)'.') : text.Length;
            if (end is <= 0 or > 3 || (end > 1 && text[0] == '0'))
            {
                return false;
            }

            uint number = 0;
            foreach (byte digit in text[..end])
            {
                if (!char.IsAsciiDigit((char)digit))
                {
                    return false;
                }

                number = (number * 10) + (uint)(digit - '0');
            }

            if (number > 255)
            {
                return false;
            }

            address = (address << 8) | number;
            text = part < 3 ? text[(end + 1)..] : default;
        }

        return true;
    }

    /// <summary>A number with or without a mask behind a slash; the value without bits outside of it.</summary>
    internal static bool TryMasked(ReadOnlySpan<byte> value, ulong max, out ulong number, out ulong mask)
    {
        mask = max;
        int slash = value.IndexOf((byte)'/');
        bool isMask = slash < 0 || TryNumber(value[(slash + 1)..], max, out mask);
        bool isNumber = TryNumber(slash < 0 ? value : value[..slash], max, out number);
        number &= mask;
        return isMask && isNumber;
    }

    /// <summary>An Ethernet address with or without a mask.</summary>
    internal static bool TryEthernet(ReadOnlySpan<byte> value, out ulong address, out ulong mask)
    {
        mask = 0xffffffffffff;
        int slash = value.IndexOf((byte)'/');
        bool isMask = slash < 0 || TryEthernet(value[(slash + 1)..], out mask);
        bool isAddress = TryEthernet(slash < 0 ? value : value[..slash], out address);
        address &= mask;
        return isMask && isAddress;
    }

    /// <summary>Six bytes of two hex digits each.</summary>
    internal static bool TryEthernet(ReadOnlySpan<byte> text, out ulong address)
    {
        address = 0;
        if (text.Length != 17)
        {
            return false;
        }

        for (int i = 0; i < 17; i++)
        {
            byte c = text[i];
            if (i % 3 == 2)
            {
                if (c != ':')
                {
                    return false;
                }

                continue;
            }

            if (!char.IsAsciiHexDigit((char)c))
            {
                return false;
            }

            address = (address << 4) | (uint)(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
        }

        return true;
    }
}
