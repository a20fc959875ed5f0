using System.Buffers.Binary;
using System.Diagnostics.CodeAnalysis;
using Dpu.Link;
using Dpu.Link.Handshake;
using Dpu.Proto.V1;
using Google.Protobuf;

namespace Dpu.Relay.Wire;

/// <summary>What a frame of a relay says.</summary>
internal enum RelayFrameKind : byte
{
    /// <summary>No frame.</summary>
    None = 0,

    /// <summary>First, from the host: an errno in 4 bytes, 0 where the far socket is connected.</summary>
    Opened = 1,

    /// <summary>Bytes of a stream, or one whole message.</summary>
    Data = 2,

    /// <summary>The sender's program writes no more; after all of its data.</summary>
    End = 3,

    /// <summary>The sender's program reads no more: what is sent to it is in vain.</summary>
    Stop = 4,

    /// <summary>The sender's connection broke off (ECONNRESET).</summary>
    Reset = 5,

    /// <summary>First, from the host, where a program of it has connected: that one's user and group, 4 bytes each, as the DPU names them.</summary>
    Accepted = 6,

    /// <summary>Descriptors that came beside the first byte, or the message, of the data that follow (<see cref="Descriptors.DescriptorList"/>).</summary>
    Rights = 7,

    /// <summary>How many bytes of frames have been used up since the relay began, in 8 bytes: they need not be kept for a resumption. Does not count itself.</summary>
    Ack = 16,

    /// <summary>First, from the host, on a connection that takes the place of a lost one: how many bytes of frames have come, in 8 bytes. Does not count itself.</summary>
    Resumed = 17,

    /// <summary>From the DPU, on a connection whose relay is over at both ends: which one is next, a RelayParameters of proto/dpu/v1/link.proto.</summary>
    Next = 18,

    /// <summary>The host's answer to that: an errno in 4 bytes, as of <see cref="Opened"/>, and a HelloReply.</summary>
    Answer = 19,
}

/// <summary>
/// The frames of a relay: one byte of kind, three of zeros, a 32-bit little-endian length, and as many bytes. Both directions of a
/// link's connection carry them, one relay a connection. Pure.
/// </summary>
internal static class RelayFrame
{
    /// <summary>Bytes before the content.</summary>
    public const int HeaderSize = 8;

    /// <summary>Bytes of a frame of <see cref="Counted"/>.</summary>
    public const int CountedSize = HeaderSize + sizeof(ulong);

    /// <summary>The longest message that crosses: beyond what unprivileged programs may send (net.core.wmem_max, 208 KiB by default).</summary>
    public const int MaxContentSize = 4 << 20;

    /// <summary>The longest <see cref="RelayFrameKind.Next"/> and <see cref="RelayFrameKind.Answer"/>: a hello, and what goes with it.</summary>
    public const int MaxAskedSize = LinkFrame.MaxMessageSize;

    /// <summary>Writes a header.</summary>
    /// <param name="room"><see cref="HeaderSize"/> bytes.</param>
    /// <param name="kind">The kind.</param>
    /// <param name="length">The content's bytes.</param>
    public static void Write(Span<byte> room, RelayFrameKind kind, int length)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(room, (byte)kind);
        BinaryPrimitives.WriteInt32LittleEndian(room[4..], length);
    }

    /// <summary>Reads a header; false where it is none, and the connection is to end.</summary>
    /// <param name="header"><see cref="HeaderSize"/> bytes, from a peer that is not trusted.</param>
    /// <param name="kind">The kind.</param>
    /// <param name="length">The content's bytes.</param>
    public static bool TryRead(ReadOnlySpan<byte> header, out RelayFrameKind kind, out int length)
    {
        uint first = BinaryPrimitives.ReadUInt32LittleEndian(header);
        uint size = BinaryPrimitives.ReadUInt32LittleEndian(header[4..]);
        kind = (RelayFrameKind)(byte)first;
        length = (int)Math.Min(size, int.MaxValue);
        return first <= byte.MaxValue && kind switch
        {
            RelayFrameKind.Opened => size == sizeof(int),
            RelayFrameKind.Accepted => size == 2 * sizeof(uint),
            RelayFrameKind.Ack or RelayFrameKind.Resumed => size == sizeof(ulong),
            RelayFrameKind.Next => size is > 0 and <= MaxAskedSize,
            RelayFrameKind.Answer => size is > sizeof(int) and <= MaxAskedSize,
            RelayFrameKind.Data => size <= MaxContentSize,
            RelayFrameKind.Rights => size is > 0 and <= Descriptors.DescriptorList.MaxSize,
            RelayFrameKind.End or RelayFrameKind.Stop or RelayFrameKind.Reset => size == 0,
            _ => false,
        };
    }

    /// <summary>Writes a frame that tells a number of bytes.</summary>
    /// <param name="room"><see cref="CountedSize"/> bytes.</param>
    /// <param name="kind">What the number is.</param>
    /// <param name="total">The number.</param>
    public static void Counted(Span<byte> room, RelayFrameKind kind, ulong total)
    {
        Write(room, kind, sizeof(ulong));
        BinaryPrimitives.WriteUInt64LittleEndian(room[HeaderSize..], total);
    }

    /// <summary>The number of a frame of <see cref="Counted"/>.</summary>
    public static ulong TotalOf(ReadOnlySpan<byte> frame) => BinaryPrimitives.ReadUInt64LittleEndian(frame[HeaderSize..]);

    /// <summary>The first frame that the host sends.</summary>
    /// <param name="error">0, or why the far socket is not connected, as a positive errno.</param>
    public static byte[] Opened(int error)
    {
        byte[] frame = new byte[HeaderSize + sizeof(int)];
        Write(frame, RelayFrameKind.Opened, sizeof(int));
        BinaryPrimitives.WriteInt32LittleEndian(frame.AsSpan(HeaderSize), error);
        return frame;
    }

    /// <summary>The first frame that the host sends where a program of it has connected.</summary>
    public static byte[] Accepted(uint uid, uint gid)
    {
        byte[] frame = new byte[HeaderSize + (2 * sizeof(uint))];
        Write(frame, RelayFrameKind.Accepted, 2 * sizeof(uint));
        BinaryPrimitives.WriteUInt32LittleEndian(frame.AsSpan(HeaderSize), uid);
        BinaryPrimitives.WriteUInt32LittleEndian(frame.AsSpan(HeaderSize + sizeof(uint)), gid);
        return frame;
    }

    /// <summary>A frame with a message.</summary>
    /// <exception cref="ArgumentException">It is longer than <see cref="MaxAskedSize"/>.</exception>
    public static byte[] Of(RelayFrameKind kind, IMessage content)
    {
        int size = content.CalculateSize();
        if (size > MaxAskedSize)
        {
            throw new ArgumentException($"A message of {size} bytes is too long for a frame, at most {MaxAskedSize} are allowed.", nameof(content));
        }

        byte[] frame = new byte[HeaderSize + size];
        Write(frame, kind, size);
        content.WriteTo(frame.AsSpan(HeaderSize));
        return frame;
    }

    /// <summary>The host's answer to <see cref="RelayFrameKind.Next"/>.</summary>
    /// <param name="error">0, or why the far socket is not connected, as a positive errno.</param>
    /// <param name="reply">Status, message and result. Of a path that is too long nothing is said: it is for logs.</param>
    public static byte[] Answer(int error, HelloReply reply)
    {
        var told = new HelloReply { Status = reply.Status, Message = reply.Message, Relay = reply.Relay };
        if (told.CalculateSize() > MaxAskedSize - sizeof(int))
        {
            told.Relay = new RelayResult(reply.Relay) { Path = "" };
        }

        int size = sizeof(int) + told.CalculateSize();
        byte[] frame = new byte[HeaderSize + size];
        Write(frame, RelayFrameKind.Answer, size);
        BinaryPrimitives.WriteInt32LittleEndian(frame.AsSpan(HeaderSize), error);
        told.WriteTo(frame.AsSpan(HeaderSize + sizeof(int)));
        return frame;
    }

    /// <summary>What <see cref="Answer"/> says; false where it is not that.</summary>
    /// <param name="content">Without its header, from a peer that is not trusted.</param>
    /// <param name="error">0, or an errno.</param>
    /// <param name="reply">Its status, message and result.</param>
    public static bool TryReadAnswer(ReadOnlySpan<byte> content, out int error, [NotNullWhen(true)] out HelloReply? reply)
    {
        (error, reply) = (0, null);
        if (content.Length <= sizeof(int))
        {
            return false;
        }

        error = BinaryPrimitives.ReadInt32LittleEndian(content);
        try
        {
            reply = HelloReply.Parser.ParseFrom(content[sizeof(int)..]);
        }
        catch (InvalidProtocolBufferException)
        {
            // Expected of a peer that does not keep to the protocol.
            return false;
        }

        reply.Message = Printable.Clean(reply.Message, HelloCodec.MaxRefusalLength);
        return error is >= 0 and < 4096 && reply.Status != HelloStatus.Unspecified;
    }

    /// <summary>What <see cref="RelayFrameKind.Next"/> asks; null where it is no such message.</summary>
    /// <param name="content">Without its header, from a peer that is not trusted.</param>
    public static RelayParameters? ReadNext(ReadOnlySpan<byte> content)
    {
        try
        {
            return RelayParameters.Parser.ParseFrom(content);
        }
        catch (InvalidProtocolBufferException)
        {
            // Expected of a peer that does not keep to the protocol.
            return null;
        }
    }

    /// <summary>What <see cref="Opened(int)"/> says; false where it is not that frame.</summary>
    public static bool TryReadOpened(ReadOnlySpan<byte> frame, out int error)
    {
        error = 0;
        if (frame.Length != HeaderSize + sizeof(int) || !TryRead(frame, out RelayFrameKind kind, out _) || kind != RelayFrameKind.Opened)
        {
            return false;
        }

        error = BinaryPrimitives.ReadInt32LittleEndian(frame[HeaderSize..]);
        return error is >= 0 and < 4096;
    }
}
