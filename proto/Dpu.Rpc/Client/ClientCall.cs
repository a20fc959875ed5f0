using Dpu.Rpc.Wire;
using Grpc.Core;

namespace Grpc.Net.Client;

/// <summary>The state of one call: it ends once, by whatever ends it first, and everybody then sees the same status.</summary>
internal sealed partial class ClientCall<TRequest, TResponse> : IDisposable
    where TRequest : class
    where TResponse : class
{
    private readonly GrpcChannel channel;
    private readonly CallOptions options;
    private readonly CancellationTokenSource ended = new();
    private readonly TaskCompletionSource<Status> end = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource<Metadata> headers = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Lock gate = new();

    private Metadata? trailers;
    private DeadlineTimer? deadline;
    private CancellationTokenRegistration callerCancellation;
    private HttpResponseMessage? response;
    private bool isEnded;

    public ClientCall(GrpcChannel channel, Method<TRequest, TResponse> method, CallOptions options)
    {
        this.channel = channel;
        this.options = options;
        Method = method;

        Ended = ended.Token;
    }

    public Method<TRequest, TResponse> Method { get; }

    public Task<Metadata> ResponseHeaders => headers.Task;

    /// <summary>Fires when the call has ended, by whichever side.</summary>
    public CancellationToken Ended { get; }

    public Status GetStatus() =>
        end.Task.IsCompletedSuccessfully ? end.Task.Result : throw new InvalidOperationException("The call has not ended: its status is not known yet.");

    public Metadata GetTrailers()
    {
        if (!end.Task.IsCompleted)
        {
            throw new InvalidOperationException("The call has not ended: its trailers are not known yet.");
        }

        return trailers ?? throw new InvalidOperationException("The call ended without trailers.");
    }

    public Task WaitForEndAsync() => end.Task;

    /// <summary>Throws where no more can be written: how the call ended, or that it has.</summary>
    public void ThrowIfEnded()
    {
        if (end.Task.IsCompleted)
        {
            Status status = GetStatus();
            throw status.StatusCode == StatusCode.OK
                ? new InvalidOperationException("The call has ended with OK: the server wants no more messages.")
                : ToException(status);
        }
    }

    /// <summary>Ends the call with CANCELLED when that token fires.</summary>
    public CancellationTokenRegistration CancelOn(CancellationToken cancellationToken) =>
        cancellationToken.UnsafeRegister(
            static state => ((ClientCall<TRequest, TResponse>)state!).End(new Status(StatusCode.Cancelled, "The caller cancelled the call.")), this);

    public void Dispose() => End(new Status(StatusCode.Cancelled, "The call was disposed before its end."));

    /// <summary>Ends the call where nothing has ended it before. The stream is reset with CANCEL unless it is at its end.</summary>
    /// <returns>How the call ended in truth.</returns>
    private Status End(Status status, Metadata? withTrailers = null)
    {
        HttpResponseMessage? toDispose;
        lock (gate)
        {
            if (isEnded)
            {
                return end.Task.Result;
            }

            isEnded = true;
            trailers = withTrailers;
            toDispose = response;
            end.SetResult(status);
        }

        deadline?.Dispose();
        callerCancellation.Unregister();
        channel.Leave(this);
        if (headers.TrySetException(ToException(status)))
        {
            // Not everybody asks for the headers: this one counts as observed.
            _ = headers.Task.Exception;
        }

        // Ends what waits in the transport: the sending of the body, the wait for headers, a read.
        ended.Cancel();
        toDispose?.Dispose();
        return status;
    }

    private void OnDeadline() => End(new Status(StatusCode.DeadlineExceeded, "The deadline passed before the call ended."));

    private Exception ToException(Status status)
    {
        var exception = new RpcException(status, trailers ?? Metadata.Empty);
        return channel.ThrowOperationCanceled && status.StatusCode is StatusCode.Cancelled or StatusCode.DeadlineExceeded
            ? new OperationCanceledException(status.Detail, exception, options.CancellationToken)
            : exception;
    }
}
