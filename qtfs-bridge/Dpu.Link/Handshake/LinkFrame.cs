using System.Buffers.Binary;

namespace Dpu.Link.Handshake;

/// <summary>The frame of a hello and its reply: "DPUL", a 32-bit big-endian length, the message (proto/dpu/v1/link.proto).</summary>
public static class LinkFrame
{
    /// <summary>Size of the magic and the length.</summary>
    public const int HeaderSize = 8;

    /// <summary>The longest message in bytes.</summary>
    public const int MaxMessageSize = 4096;

    /// <summary>The bytes that every link begins with.</summary>
    public static ReadOnlySpan<byte> Magic => "DPUL"u8;

    /// <summary>Reads a header; false with what is wrong.</summary>
    public static bool TryParseHeader(ReadOnlySpan<byte> header, out int messageSize, out string error)
    {
        messageSize = 0;
        if (header.Length < HeaderSize)
        {
            error = $"a frame's header has {HeaderSize} bytes, not {header.Length}";
            return false;
        }

        if (!header[..Magic.Length].SequenceEqual(Magic))
        {
            error = "the frame does not begin with DPUL: the peer speaks another protocol";
            return false;
        }

        var size = BinaryPrimitives.ReadUInt32BigEndian(header[Magic.Length..]);
        if (size > MaxMessageSize)
        {
            error = $"the frame claims {size} bytes, at most {MaxMessageSize} are allowed";
            return false;
        }

        messageSize = (int)size;
        error = "";
        return true;
    }

    /// <summary>The frame of a message.</summary>
    /// <exception cref="ArgumentException">The message is too long.</exception>
    public static byte[] Wrap(ReadOnlySpan<byte> message)
    {
        if (message.Length > MaxMessageSize)
        {
            throw new ArgumentException($"A hello of {message.Length} bytes is too long, at most {MaxMessageSize} are allowed.", nameof(message));
        }

        var frame = new byte[HeaderSize + message.Length];
        Magic.CopyTo(frame);
        BinaryPrimitives.WriteUInt32BigEndian(frame.AsSpan(Magic.Length), (uint)message.Length);
        message.CopyTo(frame.AsSpan(HeaderSize));
        return frame;
    }

    /// <summary>Reads one frame; null with what is wrong. Allocates nothing before the length is checked.</summary>
    /// <exception cref="IOException">The stream failed or its deadline passed.</exception>
    /// <exception cref="EndOfStreamException">The peer ended the stream within the frame.</exception>
    internal static byte[]? Read(Stream stream, out string error)
    {
        Span<byte> header = stackalloc byte[HeaderSize];
        stream.ReadExactly(header);
        if (!TryParseHeader(header, out var size, out error))
        {
            return null;
        }

        var message = new byte[size];
        stream.ReadExactly(message);
        return message;
    }
}
