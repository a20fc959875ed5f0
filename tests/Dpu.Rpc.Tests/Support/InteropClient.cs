using Grpc.Core;
using Grpc.Net.Client;
using Grpc.Testing;

namespace Dpu.Rpc.Tests.Support;

/// <summary>The interop suite's cases with our client (grpc doc/interop-test-descriptions.md).</summary>
internal static class InteropClient
{
    private const string SpecialMessage = "\t\ntest with whitespace\r\nand Unicode BMP \u263A and non-BMP \U0001F608\t\n";

    private static readonly int[] ResponseSizes = [31415, 9, 2653, 58979];
    private static readonly int[] RequestSizes = [27182, 8, 1828, 45904];
    private static readonly byte[] TrailingValue = [0xab, 0xab, 0xab];

    public static async Task RunAsync(string name, GrpcChannel channel)
    {
        var client = new TestService.TestServiceClient(channel);
        Task run = name switch
        {
            "empty_unary" => EmptyUnaryAsync(client),
            "large_unary" => LargeUnaryAsync(client),
            "server_streaming" => ServerStreamingAsync(client),
            "client_streaming" => ClientStreamingAsync(client),
            "ping_pong" => PingPongAsync(client),
            "empty_stream" => EmptyStreamAsync(client),
            "cancel_after_begin" => CancelAfterBeginAsync(client),
            "cancel_after_first_response" => CancelAfterFirstResponseAsync(client),
            "timeout_on_sleeping_server" => TimeoutOnSleepingServerAsync(client),
            "custom_metadata" => CustomMetadataAsync(client),
            "status_code_and_message" => StatusCodeAndMessageAsync(client),
            "special_status_message" => SpecialStatusMessageAsync(client),
            "unimplemented_method" => FailsAsync(StatusCode.Unimplemented, async () => await client.UnimplementedCallAsync(new Empty(), Options())),
            "unimplemented_service" => FailsAsync(
                StatusCode.Unimplemented,
                async () => await new UnimplementedService.UnimplementedServiceClient(channel).UnimplementedCallAsync(new Empty(), Options())),
            _ => throw new ArgumentException($"unknown case '{name}'", nameof(name)),
        };
        await run;
    }

    /// <summary>Every case has a deadline, so that none hangs.</summary>
    public static CallOptions Options(Metadata? headers = null) => new(headers, TimeProvider.System.GetUtcNow().UtcDateTime + Peer.Limit);

    public static async Task<RpcException> FailsAsync(StatusCode code, Func<Task> call)
    {
        RpcException e = await Assert.ThrowsExactlyAsync<RpcException>(call);
        Assert.AreEqual(code, e.StatusCode, e.ToString());
        return e;
    }

    private static async Task EmptyUnaryAsync(TestService.TestServiceClient client) =>
        Assert.AreEqual(new Empty(), await client.EmptyCallAsync(new Empty(), Options()));

    private static async Task LargeUnaryAsync(TestService.TestServiceClient client)
    {
        SimpleResponse response = await client.UnaryCallAsync(LargeRequest(), Options());
        Assert.AreEqual(314159, response.Payload.Body.Length);
    }

    private static async Task ServerStreamingAsync(TestService.TestServiceClient client)
    {
        var request = new StreamingOutputCallRequest { ResponseParameters = { ResponseSizes.Select(size => new ResponseParameters { Size = size }) } };
        using AsyncServerStreamingCall<StreamingOutputCallResponse> call = client.StreamingOutputCall(request, Options());
        var sizes = new List<int>();
        await foreach (StreamingOutputCallResponse response in call.ResponseStream.ReadAllAsync())
        {
            sizes.Add(response.Payload.Body.Length);
        }

        CollectionAssert.AreEqual(ResponseSizes, sizes);
        Assert.AreEqual(StatusCode.OK, call.GetStatus().StatusCode);
    }

    private static async Task ClientStreamingAsync(TestService.TestServiceClient client)
    {
        using AsyncClientStreamingCall<StreamingInputCallRequest, StreamingInputCallResponse> call = client.StreamingInputCall(Options());
        foreach (int size in RequestSizes)
        {
            await call.RequestStream.WriteAsync(new StreamingInputCallRequest { Payload = InteropService.PayloadOf(size) });
        }

        await call.RequestStream.CompleteAsync();
        Assert.AreEqual(74922, (await call).AggregatedPayloadSize);
    }

    private static async Task PingPongAsync(TestService.TestServiceClient client)
    {
        using AsyncDuplexStreamingCall<StreamingOutputCallRequest, StreamingOutputCallResponse> call = client.FullDuplexCall(Options());
        for (int i = 0; i < ResponseSizes.Length; i++)
        {
            await call.RequestStream.WriteAsync(OutputRequest(ResponseSizes[i], RequestSizes[i]));
            Assert.IsTrue(await call.ResponseStream.MoveNext());
            Assert.AreEqual(ResponseSizes[i], call.ResponseStream.Current.Payload.Body.Length);
        }

        await call.RequestStream.CompleteAsync();
        Assert.IsFalse(await call.ResponseStream.MoveNext());
        Assert.AreEqual(StatusCode.OK, call.GetStatus().StatusCode);
    }

    private static async Task EmptyStreamAsync(TestService.TestServiceClient client)
    {
        using AsyncDuplexStreamingCall<StreamingOutputCallRequest, StreamingOutputCallResponse> call = client.FullDuplexCall(Options());
        await call.RequestStream.CompleteAsync();
        Assert.IsFalse(await call.ResponseStream.MoveNext());
        Assert.AreEqual(StatusCode.OK, call.GetStatus().StatusCode);
    }

    private static async Task CancelAfterBeginAsync(TestService.TestServiceClient client)
    {
        using var cancel = new CancellationTokenSource();
        using AsyncClientStreamingCall<StreamingInputCallRequest, StreamingInputCallResponse> call =
            client.StreamingInputCall(Options().WithCancellationToken(cancel.Token));
        await cancel.CancelAsync();
        await FailsAsync(StatusCode.Cancelled, async () => await call);
        Assert.AreEqual(StatusCode.Cancelled, call.GetStatus().StatusCode);
    }

    private static async Task CancelAfterFirstResponseAsync(TestService.TestServiceClient client)
    {
        using var cancel = new CancellationTokenSource();
        using AsyncDuplexStreamingCall<StreamingOutputCallRequest, StreamingOutputCallResponse> call =
            client.FullDuplexCall(Options().WithCancellationToken(cancel.Token));
        await call.RequestStream.WriteAsync(OutputRequest(31415, 27182));
        Assert.IsTrue(await call.ResponseStream.MoveNext());
        await cancel.CancelAsync();
        await FailsAsync(StatusCode.Cancelled, () => call.ResponseStream.MoveNext());
    }

    private static async Task TimeoutOnSleepingServerAsync(TestService.TestServiceClient client)
    {
        // Connected first, so that the deadline is met within the call and not before it.
        await client.EmptyCallAsync(new Empty(), Options());
        CallOptions soon = Options().WithDeadline(TimeProvider.System.GetUtcNow().UtcDateTime.AddMilliseconds(1));
        using AsyncDuplexStreamingCall<StreamingOutputCallRequest, StreamingOutputCallResponse> call = client.FullDuplexCall(soon);
        try
        {
            await call.RequestStream.WriteAsync(new StreamingOutputCallRequest { Payload = InteropService.PayloadOf(27182) });
        }
        catch (RpcException e)
        {
            // The deadline may come before the write.
            Assert.AreEqual(StatusCode.DeadlineExceeded, e.StatusCode);
        }

        await FailsAsync(StatusCode.DeadlineExceeded, () => call.ResponseStream.MoveNext());
    }

    private static async Task CustomMetadataAsync(TestService.TestServiceClient client)
    {
        Metadata sent = [new(InteropService.InitialKey, "test_initial_metadata_value"), new(InteropService.TrailingKey, TrailingValue)];
        using AsyncUnaryCall<SimpleResponse> unary = client.UnaryCallAsync(LargeRequest(), Options(sent));
        await unary;
        AssertEchoed(await unary.ResponseHeadersAsync, unary.GetTrailers());

        using AsyncDuplexStreamingCall<StreamingOutputCallRequest, StreamingOutputCallResponse> duplex = client.FullDuplexCall(Options(sent));
        await duplex.RequestStream.WriteAsync(OutputRequest(314159, 271828));
        await duplex.RequestStream.CompleteAsync();
        Assert.IsTrue(await duplex.ResponseStream.MoveNext());
        Assert.IsFalse(await duplex.ResponseStream.MoveNext());
        AssertEchoed(await duplex.ResponseHeadersAsync, duplex.GetTrailers());
    }

    private static async Task StatusCodeAndMessageAsync(TestService.TestServiceClient client)
    {
        var status = new EchoStatus { Code = 2, Message = "test status message" };
        RpcException e = await FailsAsync(
            StatusCode.Unknown, async () => await client.UnaryCallAsync(new SimpleRequest { ResponseStatus = status }, Options()));
        Assert.AreEqual("test status message", e.Status.Detail);

        using AsyncDuplexStreamingCall<StreamingOutputCallRequest, StreamingOutputCallResponse> call = client.FullDuplexCall(Options());
        await call.RequestStream.WriteAsync(new StreamingOutputCallRequest { ResponseStatus = status });
        await call.RequestStream.CompleteAsync();
        e = await FailsAsync(StatusCode.Unknown, () => call.ResponseStream.MoveNext());
        Assert.AreEqual("test status message", e.Status.Detail);
    }

    private static async Task SpecialStatusMessageAsync(TestService.TestServiceClient client)
    {
        var request = new SimpleRequest { ResponseStatus = new EchoStatus { Code = 2, Message = SpecialMessage } };
        RpcException e = await FailsAsync(StatusCode.Unknown, async () => await client.UnaryCallAsync(request, Options()));
        Assert.AreEqual(SpecialMessage, e.Status.Detail);
    }

    private static void AssertEchoed(Metadata headers, Metadata trailers)
    {
        Assert.AreEqual("test_initial_metadata_value", headers.GetValue(InteropService.InitialKey));
        CollectionAssert.AreEqual(TrailingValue, trailers.GetValueBytes(InteropService.TrailingKey));
    }

    private static SimpleRequest LargeRequest() => new() { ResponseSize = 314159, Payload = InteropService.PayloadOf(271828) };

    private static StreamingOutputCallRequest OutputRequest(int responseSize, int requestSize) => new()
    {
        ResponseParameters = { new ResponseParameters { Size = responseSize } },
        Payload = InteropService.PayloadOf(requestSize),
    };
}
