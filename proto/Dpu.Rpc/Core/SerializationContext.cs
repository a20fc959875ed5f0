using System.Buffers;

namespace Grpc.Core;

/// <summary>Where a marshaller writes one message: either one array, or a buffer writer and then <see cref="Complete()"/>.</summary>
public abstract class SerializationContext
{
    /// <summary>The message is this array.</summary>
    public abstract void Complete(byte[] payload);

    /// <summary>The buffer to write into.</summary>
    public abstract IBufferWriter<byte> GetBufferWriter();

    /// <summary>Tells the exact length in bytes before the first write, so that nothing is copied.</summary>
    public abstract void SetPayloadLength(int payloadLength);

    /// <summary>The message is what was written.</summary>
    public abstract void Complete();
}

/// <summary>Where a marshaller reads one message. The bytes are valid only during the call.</summary>
public abstract class DeserializationContext
{
    /// <summary>The message's length in bytes.</summary>
    public abstract int PayloadLength { get; }

    /// <summary>A copy of the message.</summary>
    public abstract byte[] PayloadAsNewBuffer();

    /// <summary>The message in the transport's buffers.</summary>
    public abstract ReadOnlySequence<byte> PayloadAsReadOnlySequence();
}

/// <summary>Collects a message in an array of its own.</summary>
internal sealed class ArraySerializationContext : SerializationContext
{
    private ArrayBufferWriter<byte>? writer;
    private byte[]? payload;

    public byte[] Result => payload ?? throw new InvalidOperationException("The marshaller did not call Complete.");

    public override void Complete(byte[] payload) => this.payload = payload;

    public override IBufferWriter<byte> GetBufferWriter() => writer ??= new ArrayBufferWriter<byte>();

    public override void SetPayloadLength(int payloadLength)
    {
        if (payloadLength > 0)
        {
            writer ??= new ArrayBufferWriter<byte>(payloadLength);
        }
    }

    public override void Complete() => payload = writer is null ? [] : writer.WrittenSpan.ToArray();
}

/// <summary>A message in an array.</summary>
internal sealed class ArrayDeserializationContext(byte[] payload) : DeserializationContext
{
    public override int PayloadLength => payload.Length;

    public override byte[] PayloadAsNewBuffer() => (byte[])payload.Clone();

    public override ReadOnlySequence<byte> PayloadAsReadOnlySequence() => new(payload);
}
