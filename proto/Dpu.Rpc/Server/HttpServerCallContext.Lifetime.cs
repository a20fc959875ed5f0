using Dpu.Rpc.Wire;
using Grpc.Core;
using Microsoft.AspNetCore.Http.Features;

namespace Dpu.Rpc.Server;

/// <summary>A call's life: it ends once, by its handler or by its deadline, and the request is not touched afterwards.</summary>
internal abstract partial class HttpServerCallContext
{
    private static readonly Status DeadlineStatus = new(StatusCode.DeadlineExceeded, "The deadline passed before the call ended.");

    private readonly Lock gate = new();
    private DeadlineTimer? deadline;
    private Task? deadlineEnd;
    private bool handled;

    /// <summary>Runs a call from its headers to its end. It does not throw.</summary>
    /// <param name="run">Reads the request, calls the handler, writes the response.</param>
    public async Task HandleAsync(Func<Task> run)
    {
        (Status status, Metadata trailers) = await RunAsync(run).ConfigureAwait(false);
        Task? pending;
        lock (gate)
        {
            // From here on the timer begins nothing.
            handled = true;
            pending = deadlineEnd;
        }

        deadline?.Dispose();
        if (pending is not null)
        {
            // The client has been told; the request stays ours until the handler has returned, which is now.
            await pending.ConfigureAwait(false);
        }
        else
        {
            await EndAsync(status, trailers).ConfigureAwait(false);
        }

        cancellation.Dispose();
    }

    private async Task<(Status Status, Metadata Trailers)> RunAsync(Func<Task> run)
    {
        try
        {
            if (Prepare() is TimeSpan timeout)
            {
                if (timeout <= TimeSpan.Zero)
                {
                    return (DeadlineStatus, Metadata.Empty);
                }

                deadline = new DeadlineTimer(Dependencies.TimeProvider, timeout, () => OnDeadline(timeout));
            }

            if (Dependencies.Options.Authorize is { } authorize)
            {
                Status verdict = await authorize(this).ConfigureAwait(false);
                if (verdict.StatusCode != StatusCode.OK)
                {
                    Log.CallRefused(Dependencies.Logger, Method, verdict.StatusCode, verdict.Detail);
                    return (verdict, Metadata.Empty);
                }
            }

            await run().ConfigureAwait(false);
            return (StatusCore, Metadata.Empty);
        }
        catch (RpcException e) when (e.StatusCode != StatusCode.OK)
        {
            // Expected: a handler's way to answer with a status, and ours for a malformed request.
            Log.CallRefused(Dependencies.Logger, Method, e.StatusCode, e.Status.Detail);
            return (e.Status, e.Trailers);
        }
        catch (ClientGoneException e)
        {
            // Expected: the stream was reset, the connection lost, or the body came too slowly.
            Log.CallAborted(Dependencies.Logger, Method, e.InnerException);
            return (Status.DefaultCancelled, Metadata.Empty);
        }
        catch (OperationCanceledException) when (Token.IsCancellationRequested)
        {
            // Expected of a handler that heeds its token. At a deadline this status is not used.
            Log.CallAborted(Dependencies.Logger, Method, null);
            return (Status.DefaultCancelled, Metadata.Empty);
        }
        catch (Exception e)
        {
            // A bug of the handler's: logged here, and nothing of it told to the client.
            Log.HandlerFailed(Dependencies.Logger, Method, e);
            return (new Status(StatusCode.Unknown, "The handler failed with an exception."), Metadata.Empty);
        }
    }

    private void OnDeadline(TimeSpan timeout)
    {
        lock (gate)
        {
            if (handled)
            {
                return;
            }

            // It goes on while the handler may still run, and even where the handler ignores its token.
            deadlineEnd = Task.Run(() => EndAtDeadlineAsync(timeout));
        }
    }

    private async Task EndAtDeadlineAsync(TimeSpan timeout)
    {
        Log.DeadlineExceeded(Dependencies.Logger, Method, timeout.TotalSeconds);

        // First the token: a write that waits for the client's window holds the response, and ends by it.
        Task cancelling = cancellation.CancelAsync();
        using var graceEnds = new CancellationTokenSource();
        Task grace = Task.Delay(Grpc.AspNetCore.Server.GrpcServiceOptions.DeadlineGrace, Dependencies.TimeProvider, graceEnds.Token);
        bool hasSent = Http.Response.HasStarted;
        Task end = EndAsync(DeadlineStatus, Metadata.Empty);
        await Task.WhenAny(end, grace).ConfigureAwait(false);
        if (hasSent)
        {
            // A client that reads nothing leaves the trailers behind its data, though Kestrel calls them sent: what has
            // not left by then is dropped, and the stream with it.
            await grace.ConfigureAwait(false);
        }

        if (hasSent || !end.IsCompleted || !requestAtEnd)
        {
            Reset();
        }

        await graceEnds.CancelAsync().ConfigureAwait(false);
        await end.ConfigureAwait(false);
        try
        {
            await cancelling.ConfigureAwait(false);
        }
        catch (AggregateException e)
        {
            // A callback that the handler registered on its token failed: the handler's bug, not the call's end.
            Log.HandlerFailed(Dependencies.Logger, Method, e);
        }
    }

    private void Reset() => Http.Features.Get<IHttpResetFeature>()?.Reset((int)Http2ErrorCodes.CANCEL);
}

/// <summary>The request can't be read to its end, for a reason that is the client's or the network's.</summary>
internal sealed class ClientGoneException(Exception cause) : OperationCanceledException("The client went away.", cause);
