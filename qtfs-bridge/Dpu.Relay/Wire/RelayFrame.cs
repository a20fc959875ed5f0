using System.Buffers.Binary;

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
