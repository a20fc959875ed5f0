using System.IO.Pipelines;
using Dpu.Rpc.Wire;
using Grpc.Core;

namespace Grpc.Net.Client;

/// <summary>The exchange with the server: request, headers, messages, trailers.</summary>
internal sealed partial class ClientCall<TRequest, TResponse>
{
    private bool received;
    private Task<MessageReader?> opened = Task.FromResult<MessageReader?>(null);

    /// <summary>Sends the request. Failures appear where the response is read.</summary>
    /// <param name="host">An authority other than the channel's, or null.</param>
    /// <param name="createContent">Makes the body; it may throw RpcException.</param>
    /// <exception cref="ObjectDisposedException">The channel is disposed.</exception>
    public void Start(string? host, Func<HttpContent> createContent)
    {
        channel.Enter(this);
        TimeSpan? timeout = null;
        if (options.Deadline is DateTime limit && limit != DateTime.MaxValue)
        {
            if (limit.Kind == DateTimeKind.Local)
            {
                limit = limit.ToUniversalTime();
            }

            timeout = limit - channel.TimeProvider.GetUtcNow().UtcDateTime;
            if (timeout <= TimeSpan.Zero)
            {
                OnDeadline();
                return;
            }
        }

        callerCancellation = CancelOn(options.CancellationToken);
        if (timeout is TimeSpan left)
        {
            deadline = new DeadlineTimer(channel.TimeProvider, left, OnDeadline);
        }

        // Either may have fired before its field was set; then End has not seen it.
        if (end.Task.IsCompleted)
        {
            deadline?.Dispose();
            callerCancellation.Unregister();
            return;
        }

        opened = OpenAsync(host, createContent, timeout);
    }

    /// <summary>The next response, or null at the end of a call that ended with OK.</summary>
    /// <exception cref="RpcException">The call ended with another status.</exception>
    public async Task<TResponse?> ReadNextAsync()
    {
        if (await opened.ConfigureAwait(false) is MessageReader reader && !end.Task.IsCompleted)
        {
            try
            {
                TResponse? message = await reader.ReadAsync(Method.ResponseMarshaller.ContextualDeserializer, Ended).ConfigureAwait(false);
                if (message is not null)
                {
                    received = true;
                    return message;
                }

                EndByTrailers(reader);
            }
            catch (Exception e)
            {
                // Expected: the transport's failures, and what the peer sent wrong. The call ends by them.
                EndByFailure(e);
            }
        }

        Status status = GetStatus();
        return status.StatusCode == StatusCode.OK ? null : throw ToException(status);
    }

    /// <summary>The only response.</summary>
    /// <exception cref="RpcException">The call ended with another status than OK, or not with exactly one message.</exception>
    public async Task<TResponse> ReadSingleAsync()
    {
        TResponse? single = await ReadNextAsync().ConfigureAwait(false);
        if (single is null)
        {
            // Not reached: Judge makes OK without a message UNIMPLEMENTED.
            throw ToException(GetStatus());
        }

        try
        {
            MessageReader reader = (await opened.ConfigureAwait(false))!;
            bool atEnd = await reader.ReadEndAsync(Ended).ConfigureAwait(false);
            if (atEnd)
            {
                EndByTrailers(reader);
            }
            else
            {
                End(new Status(StatusCode.Unimplemented, "The server sent more than the one response."));
            }
        }
        catch (Exception e)
        {
            // Expected as in ReadNextAsync.
            EndByFailure(e);
        }

        Status status = GetStatus();
        return status.StatusCode == StatusCode.OK ? single : throw ToException(status);
    }

    private async Task<MessageReader?> OpenAsync(string? host, Func<HttpContent> createContent, TimeSpan? timeout)
    {
        try
        {
            HttpRequestMessage request = ClientRequest.Create(channel.Address, Method, host, timeout, options.Headers);
            request.Content = createContent();
            HttpResponseMessage message = await channel.HttpInvoker.SendAsync(request, Ended).ConfigureAwait(false);
            if (!Keep(message))
            {
                return null;
            }

            if (ClientResponse.IsEnded(message, out Status status))
            {
                headers.TrySetResult([]);
                End(Judge(status), ClientResponse.ReadMetadata(message.Headers));
                return null;
            }

            string? encoding = ClientResponse.Encoding(message);
            if (!GrpcProtocol.IsEncodingSupported(encoding))
            {
                throw GrpcProtocol.Error(StatusCode.Internal, $"The server answered in the encoding '{encoding}', which was not offered.");
            }

            headers.TrySetResult(ClientResponse.ReadMetadata(message.Headers));
            Stream body = await message.Content.ReadAsStreamAsync(Ended).ConfigureAwait(false);
            return new MessageReader(PipeReader.Create(body), channel.MaxReceiveMessageSize, encoding is not null);
        }
        catch (Exception e)
        {
            // Expected: no connection, a reset, cancellation, a request that can't be encoded.
            EndByFailure(e);
            return null;
        }
    }

    /// <summary>Keeps the response for the call's end; false where that has come already.</summary>
    private bool Keep(HttpResponseMessage message)
    {
        lock (gate)
        {
            if (!isEnded)
            {
                response = message;
                return true;
            }
        }

        message.Dispose();
        return false;
    }

    private void EndByTrailers(MessageReader reader)
    {
        reader.Complete();
        HttpResponseMessage message = response!;
        End(Judge(ClientResponse.ReadTrailingStatus(message)), ClientResponse.ReadMetadata(message.TrailingHeaders));
    }

    private void EndByFailure(Exception e) => End(Judge(ClientErrors.ToStatus(e)));

    /// <summary>What the server's word means here.</summary>
    private Status Judge(Status status)
    {
        // A server that cancels because the time is up may be faster than our own timer: it is the deadline all the same.
        if (status.StatusCode == StatusCode.Cancelled && deadline is { IsExpired: true })
        {
            return new Status(StatusCode.DeadlineExceeded, status.Detail, status.DebugException);
        }

        // doc/statuscodes.md: a response cardinality violation is UNIMPLEMENTED.
        return status.StatusCode == StatusCode.OK && !received && Method.Type is (MethodType.Unary or MethodType.ClientStreaming)
            ? new Status(StatusCode.Unimplemented, "The server ended the call with OK, but without the one response.")
            : status;
    }
}
