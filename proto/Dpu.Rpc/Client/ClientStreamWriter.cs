using System.IO.Pipelines;
using Dpu.Rpc.Wire;
using Grpc.Core;

namespace Grpc.Net.Client;

/// <summary>Writes a call's requests into its body.</summary>
internal sealed class ClientStreamWriter<TRequest, TResponse>(ClientCall<TRequest, TResponse> call, StreamingContent content, int maxLength, WriteOptions? writeOptions)
    : IClientStreamWriter<TRequest>
    where TRequest : class
    where TResponse : class
{
    private int busy;
    private bool completed;

    public WriteOptions? WriteOptions { get; set; } = writeOptions;

    public Task WriteAsync(TRequest message) => WriteAsync(message, CancellationToken.None);

    public async Task WriteAsync(TRequest message, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(message);
        Enter();
        try
        {
            if (completed)
            {
                throw new InvalidOperationException("The request stream was completed: no message can follow.");
            }

            call.ThrowIfEnded();
            using CancellationTokenRegistration registration = call.CancelOn(cancellationToken);
            using EncodedMessage encoded = EncodedMessage.Encode(message, call.Method.RequestMarshaller.ContextualSerializer, maxLength);
            try
            {
                FlushResult flushed = await content.Writer.WriteAsync(encoded.Memory, call.Ended).ConfigureAwait(false);
                if (!flushed.IsCompleted)
                {
                    return;
                }
            }
            catch (Exception e) when (e is not RpcException)
            {
                // Expected when the call ends first; how it ended is told below.
                _ = e;
            }

            // The body is no longer read: the call has ended or is about to; its status says why.
            await call.WaitForEndAsync().ConfigureAwait(false);
            call.ThrowIfEnded();
        }
        finally
        {
            Volatile.Write(ref busy, 0);
        }
    }

    public async Task CompleteAsync()
    {
        Enter();
        try
        {
            completed = true;
            await content.Writer.CompleteAsync().ConfigureAwait(false);
        }
        finally
        {
            Volatile.Write(ref busy, 0);
        }
    }

    private void Enter()
    {
        if (Interlocked.Exchange(ref busy, 1) != 0)
        {
            throw new InvalidOperationException("The last write to this request stream has not ended: await each one.");
        }
    }
}
