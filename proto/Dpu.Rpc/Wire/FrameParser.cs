using System.Buffers;
using System.Buffers.Binary;

namespace Dpu.Rpc.Wire;

/// <summary>What <see cref="FrameParser.Parse"/> found at the start of the bytes.</summary>
public enum FrameResult
{
    /// <summary>A whole message.</summary>
    Complete,

    /// <summary>The beginning of one, or nothing; more bytes are needed.</summary>
    Incomplete,

    /// <summary>A message longer than allowed. Told from the prefix alone, before its bytes have to be there.</summary>
    TooLarge,

    /// <summary>The first byte is neither 0 nor 1.</summary>
    BadFlag,
}

/// <summary>The prefix of a message: one byte flag, 32-bit big-endian length (PROTOCOL-HTTP2.md, Length-Prefixed-Message).</summary>
/// <remarks>Pure functions. Where DATA frames begin and end means nothing, so the bytes may be split anywhere.</remarks>
public static class FrameParser
{
    /// <summary>The prefix's size in bytes.</summary>
    public const int PrefixSize = 5;

    /// <summary>Looks for one message at the start of <paramref name="buffer"/>.</summary>
    /// <param name="buffer">What has arrived and was not consumed.</param>
    /// <param name="maxLength">The longest message allowed, in bytes, without its prefix.</param>
    /// <param name="compressed">The flag; false unless complete.</param>
    /// <param name="payload">The message; empty unless complete. The next one begins at its end.</param>
    public static FrameResult Parse(in ReadOnlySequence<byte> buffer, int maxLength, out bool compressed, out ReadOnlySequence<byte> payload)
    {
        compressed = false;
        payload = default;
        if (buffer.IsEmpty)
        {
            return FrameResult.Incomplete;
        }

        byte flag = buffer.FirstSpan.IsEmpty ? buffer.ToArray()[0] : buffer.FirstSpan[0];
        if (flag > 1)
        {
            return FrameResult.BadFlag;
        }

        if (buffer.Length < PrefixSize)
        {
            return FrameResult.Incomplete;
        }

        Span<byte> length = stackalloc byte[4];
        buffer.Slice(1, 4).CopyTo(length);
        uint size = BinaryPrimitives.ReadUInt32BigEndian(length);
        if (size > (uint)maxLength)
        {
            return FrameResult.TooLarge;
        }

        if (buffer.Length - PrefixSize < size)
        {
            return FrameResult.Incomplete;
        }

        compressed = flag == 1;
        payload = buffer.Slice(PrefixSize, size);
        return FrameResult.Complete;
    }

    /// <summary>Writes the prefix of an uncompressed message.</summary>
    public static void WritePrefix(Span<byte> destination, int length)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(length);
        destination[0] = 0;
        BinaryPrimitives.WriteUInt32BigEndian(destination[1..PrefixSize], (uint)length);
    }
}
