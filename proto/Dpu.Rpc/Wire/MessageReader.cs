using System.Buffers;
using System.IO.Pipelines;
using Grpc.Core;

namespace Dpu.Rpc.Wire;

/// <summary>Reads the messages of one direction of a call. One read at a time.</summary>
/// <param name="reader">The bytes of the body.</param>
/// <param name="maxLength">The longest message allowed, in bytes.</param>
/// <param name="encodingNamed">Whether the other end has named an encoding; without, a set compressed flag is an error.</param>
internal sealed class MessageReader(PipeReader reader, int maxLength, bool encodingNamed)
{
    /// <summary>The next message, or null at the end.</summary>
    /// <exception cref="RpcException">INTERNAL or RESOURCE_EXHAUSTED where what arrived is malformed or too long.</exception>
    public async ValueTask<T?> ReadAsync<T>(Func<DeserializationContext, T> deserializer, CancellationToken cancellationToken)
        where T : class
    {
        while (true)
        {
            ReadResult read = await reader.ReadAsync(cancellationToken).ConfigureAwait(false);
            SequencePosition consumed = read.Buffer.End;
            SequencePosition examined = read.Buffer.End;
            try
            {
                ThrowIfCanceled(read, cancellationToken);
                switch (FrameParser.Parse(read.Buffer, maxLength, out bool compressed, out ReadOnlySequence<byte> payload))
                {
                    case FrameResult.Complete:
                        T message = Deserialize(deserializer, compressed, payload);
                        consumed = examined = payload.End;
                        return message;
                    case FrameResult.TooLarge:
                        throw GrpcProtocol.Error(StatusCode.ResourceExhausted, $"The received message is longer than the limit of {maxLength} bytes.");
                    case FrameResult.BadFlag:
                        throw GrpcProtocol.Error(StatusCode.Internal, "The received message begins with a compressed flag other than 0 and 1.");
                    case FrameResult.Incomplete when !read.IsCompleted:
                        consumed = read.Buffer.Start;
                        break;
                    case FrameResult.Incomplete when read.Buffer.IsEmpty:
                        return null;
                    default:
                        throw GrpcProtocol.Error(StatusCode.Internal, "The stream ended within a message.");
                }
            }
            finally
            {
                reader.AdvanceTo(consumed, examined);
            }
        }
    }

    /// <summary>Waits for the end of the stream; false where another message begins, of which no more is read.</summary>
    public async ValueTask<bool> ReadEndAsync(CancellationToken cancellationToken)
    {
        while (true)
        {
            ReadResult read = await reader.ReadAsync(cancellationToken).ConfigureAwait(false);
            bool empty = read.Buffer.IsEmpty;
            reader.AdvanceTo(read.Buffer.End);
            ThrowIfCanceled(read, cancellationToken);
            if (!empty || read.IsCompleted)
            {
                return empty;
            }
        }
    }

    /// <summary>Gives the buffers back, once no more is read.</summary>
    public void Complete() => reader.Complete();

    private static void ThrowIfCanceled(in ReadResult read, CancellationToken cancellationToken)
    {
        if (read.IsCanceled)
        {
            throw new OperationCanceledException(cancellationToken);
        }
    }

    private T Deserialize<T>(Func<DeserializationContext, T> deserializer, bool compressed, in ReadOnlySequence<byte> payload)
        where T : class
    {
        if (compressed)
        {
            throw GrpcProtocol.Error(
                StatusCode.Internal,
                encodingNamed
                    ? "The received message is flagged as compressed, but its encoding is identity."
                    : "The received message is flagged as compressed, but no grpc-encoding was named.");
        }

        try
        {
            return deserializer(new SequenceDeserializationContext(payload))
                ?? throw GrpcProtocol.Error(StatusCode.Internal, "The marshaller of the received message gave null.");
        }
        catch (Exception e) when (e is not RpcException)
        {
            // Expected of hostile or foreign bytes: whatever a marshaller throws at them ends this call only.
            throw GrpcProtocol.Error(StatusCode.Internal, "The received message could not be decoded.", e);
        }
    }

    private sealed class SequenceDeserializationContext(ReadOnlySequence<byte> payload) : DeserializationContext
    {
        public override int PayloadLength => (int)payload.Length;

        public override byte[] PayloadAsNewBuffer() => payload.ToArray();

        public override ReadOnlySequence<byte> PayloadAsReadOnlySequence() => payload;
    }
}
