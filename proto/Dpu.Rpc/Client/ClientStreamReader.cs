using Grpc.Core;

namespace Grpc.Net.Client;

/// <summary>Reads a call's responses.</summary>
internal sealed class ClientStreamReader<TRequest, TResponse>(ClientCall<TRequest, TResponse> call) : IAsyncStreamReader<TResponse>
    where TRequest : class
    where TResponse : class
{
    private TResponse? current;
    private int busy;

    public TResponse Current => current ?? throw new InvalidOperationException("There is no current message: MoveNext has not given true.");

    public async Task<bool> MoveNext(CancellationToken cancellationToken)
    {
        if (Interlocked.Exchange(ref busy, 1) != 0)
        {
            throw new InvalidOperationException("The last MoveNext of this stream has not ended: await each one.");
        }

        try
        {
            current = null;
            using CancellationTokenRegistration registration = call.CancelOn(cancellationToken);
            current = await call.ReadNextAsync().ConfigureAwait(false);
            return current is not null;
        }
        finally
        {
            Volatile.Write(ref busy, 0);
        }
    }
}
