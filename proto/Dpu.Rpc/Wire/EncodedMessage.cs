using System.Buffers;
using Grpc.Core;

namespace Dpu.Rpc.Wire;

/// <summary>One message with its prefix, in pooled memory until disposed.</summary>
internal sealed class EncodedMessage : SerializationContext, IBufferWriter<byte>, IDisposable
{
    private const int FirstSize = 256;

    private readonly int maxLength;
    private byte[] buffer;
    private int written = FrameParser.PrefixSize;
    private bool complete;

    private EncodedMessage(int maxLength)
    {
        this.maxLength = maxLength;
        buffer = ArrayPool<byte>.Shared.Rent(FirstSize);
    }

    /// <summary>The prefix and the message.</summary>
    public ReadOnlyMemory<byte> Memory => buffer.AsMemory(0, written);

    /// <summary>Encodes a message.</summary>
    /// <exception cref="RpcException">RESOURCE_EXHAUSTED where it is longer than <paramref name="maxLength"/>; INTERNAL where the marshaller fails.</exception>
    public static EncodedMessage Encode<T>(T message, Action<T, SerializationContext> serializer, int maxLength)
    {
        var encoded = new EncodedMessage(maxLength);
        try
        {
            serializer(message, encoded);
            if (!encoded.complete)
            {
                throw GrpcProtocol.Error(StatusCode.Internal, "The marshaller of the message to send did not call Complete.");
            }

            int length = encoded.written - FrameParser.PrefixSize;
            encoded.ThrowIfTooLong(length);
            FrameParser.WritePrefix(encoded.buffer, length);
            return encoded;
        }
        catch (Exception e)
        {
            encoded.Dispose();
            if (e is RpcException)
            {
                throw;
            }

            // Expected of a marshaller only if it has a bug; the caller sees INTERNAL with the cause beside it.
            throw GrpcProtocol.Error(StatusCode.Internal, "The message to send could not be encoded.", e);
        }
    }

    public override void Complete(byte[] payload)
    {
        ThrowIfTooLong(payload.Length);
        payload.CopyTo(GetSpan(payload.Length));
        written += payload.Length;
        complete = true;
    }

    public override IBufferWriter<byte> GetBufferWriter() => this;

    public override void SetPayloadLength(int payloadLength)
    {
        ThrowIfTooLong(payloadLength);
        Reserve(payloadLength);
    }

    public override void Complete() => complete = true;

    public void Advance(int count)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(count);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(count, buffer.Length - written);
        written += count;
    }

    public Memory<byte> GetMemory(int sizeHint = 0)
    {
        Reserve(Math.Max(sizeHint, 1));
        return buffer.AsMemory(written);
    }

    public Span<byte> GetSpan(int sizeHint = 0) => GetMemory(sizeHint).Span;

    public void Dispose()
    {
        byte[] rented = Interlocked.Exchange(ref buffer, []);
        if (rented.Length != 0)
        {
            ArrayPool<byte>.Shared.Return(rented);
        }
    }

    private void Reserve(int size)
    {
        if (buffer.Length - written >= size)
        {
            return;
        }

        byte[] larger = ArrayPool<byte>.Shared.Rent(Math.Max(checked(written + size), (int)Math.Min(2L * buffer.Length, Array.MaxLength)));
        buffer.AsSpan(0, written).CopyTo(larger);
        ArrayPool<byte>.Shared.Return(buffer);
        buffer = larger;
    }

    private void ThrowIfTooLong(int length)
    {
        if (length > maxLength)
        {
            throw GrpcProtocol.Error(StatusCode.ResourceExhausted, $"The message to send has {length} bytes; the limit for sending is {maxLength}.");
        }
    }
}
