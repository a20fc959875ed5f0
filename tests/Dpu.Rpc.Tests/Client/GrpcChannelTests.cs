using Dpu.Rpc.Tests.Support;
using Grpc.Core;
using Grpc.Net.Client;
using Grpc.Testing;
using Microsoft.AspNetCore.Builder;

namespace Dpu.Rpc.Tests.Client;

[TestClass]
public sealed class GrpcChannelTests
{
    [TestMethod]
    [TestCategory("unit")]
    [DataRow("ftp://host")]
    [DataRow("unix:///run/x.sock")]
    [DataRow("http://host/path")]
    public void ForAddress_Unusable_IsRefused(string address) => Assert.ThrowsExactly<ArgumentException>(() => GrpcChannel.ForAddress(address));

    [TestMethod]
    [TestCategory("unit")]
    public async Task Call_NobodyListens_IsUnavailable()
    {
        string path = Path.Combine(Path.GetTempPath(), $"dpu-none-{Guid.NewGuid():N}");
        using var channel = GrpcChannel.ForAddress(
            "http://localhost", new GrpcChannelOptions { HttpHandler = UnixSocketHandler.Create(path), DisposeHttpClient = true });
        await InteropClient.FailsAsync(StatusCode.Unavailable, async () => await Client(channel).EmptyCallAsync(new Empty(), InteropClient.Options()));
    }

    [TestMethod]
    [TestCategory("unit")]
    public async Task Call_ConnectHangs_EndsAtDeadline()
    {
        var clock = new ManualClock();
        var connecting = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        SocketsHttpHandler handler = UnixSocketHandler.Create(async token =>
        {
            connecting.TrySetResult();
            await Task.Delay(Timeout.InfiniteTimeSpan, token);
            return Stream.Null;
        });
        using var channel = GrpcChannel.ForAddress(
            "http://localhost", new GrpcChannelOptions { HttpHandler = handler, DisposeHttpClient = true, TimeProvider = clock });
        Task<Empty> call = Client(channel).EmptyCallAsync(new Empty(), deadline: clock.GetUtcNow().UtcDateTime.AddSeconds(3)).ResponseAsync;
        await connecting.Task.WaitAsync(Peer.Limit);
        clock.Advance(TimeSpan.FromSeconds(3));
        await InteropClient.FailsAsync(StatusCode.DeadlineExceeded, () => call);
    }

    [TestMethod]
    [TestCategory("unit")]
    public async Task Call_DeadlinePast_IsNotSent()
    {
        SocketsHttpHandler handler = UnixSocketHandler.Create(_ => throw new AssertFailedException("Nothing is to be sent."));
        using var channel = GrpcChannel.ForAddress("http://localhost", new GrpcChannelOptions { HttpHandler = handler, DisposeHttpClient = true });
        CallOptions past = new CallOptions().WithDeadline(DateTime.UnixEpoch);
        using AsyncUnaryCall<Empty> call = Client(channel).EmptyCallAsync(new Empty(), past);
        await InteropClient.FailsAsync(StatusCode.DeadlineExceeded, () => call.ResponseAsync);
        await InteropClient.FailsAsync(StatusCode.DeadlineExceeded, () => call.ResponseHeadersAsync);
        Assert.AreEqual(StatusCode.DeadlineExceeded, call.GetStatus().StatusCode);
    }

    [TestMethod]
    [TestCategory("unit")]
    public async Task Call_TokenCancelledBefore_IsNotSent()
    {
        SocketsHttpHandler handler = UnixSocketHandler.Create(_ => throw new AssertFailedException("Nothing is to be sent."));
        using var channel = GrpcChannel.ForAddress("http://localhost", new GrpcChannelOptions { HttpHandler = handler, DisposeHttpClient = true });
        await InteropClient.FailsAsync(
            StatusCode.Cancelled, async () => await Client(channel).EmptyCallAsync(new Empty(), cancellationToken: new CancellationToken(true)));
    }

    [TestMethod]
    [TestCategory("unit")]
    public async Task Call_OptionToThrowCanceled_ThrowsCanceled()
    {
        using var channel = GrpcChannel.ForAddress("http://127.0.0.1:1", new GrpcChannelOptions { ThrowOperationCanceledOnCancellation = true });
        await Assert.ThrowsExactlyAsync<OperationCanceledException>(
            async () => await Client(channel).EmptyCallAsync(new Empty(), cancellationToken: new CancellationToken(true)));
    }

    [TestMethod]
    [TestCategory("unit")]
    public async Task Call_RequestTooLong_IsNotSent()
    {
        SocketsHttpHandler handler = UnixSocketHandler.Create(_ => throw new AssertFailedException("Nothing is to be sent."));
        using var channel = GrpcChannel.ForAddress(
            "http://localhost", new GrpcChannelOptions { HttpHandler = handler, DisposeHttpClient = true, MaxSendMessageSize = 100 });
        var request = new SimpleRequest { Payload = InteropService.PayloadOf(200) };
        await InteropClient.FailsAsync(StatusCode.ResourceExhausted, async () => await Client(channel).UnaryCallAsync(request, InteropClient.Options()));
    }

    [TestMethod]
    [TestCategory("unit")]
    public async Task Dispose_CallWaiting_IsCancelledAndNoOtherBegins()
    {
        var connecting = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        SocketsHttpHandler handler = UnixSocketHandler.Create(async token =>
        {
            connecting.TrySetResult();
            await Task.Delay(Timeout.InfiniteTimeSpan, token);
            return Stream.Null;
        });
        var channel = GrpcChannel.ForAddress("http://localhost", new GrpcChannelOptions { HttpHandler = handler, DisposeHttpClient = true });
        TestService.TestServiceClient client = Client(channel);
        Task<Empty> call = client.EmptyCallAsync(new Empty(), InteropClient.Options()).ResponseAsync;
        await connecting.Task.WaitAsync(Peer.Limit);
        await channel.ShutdownAsync();
        await InteropClient.FailsAsync(StatusCode.Cancelled, () => call);
        Assert.ThrowsExactly<ObjectDisposedException>(() => client.EmptyCallAsync(new Empty()));
    }

    [TestMethod]
    [TestCategory("unit")]
    public void GetStatus_CallUnderWay_Throws()
    {
        SocketsHttpHandler handler = UnixSocketHandler.Create(async token =>
        {
            await Task.Delay(Timeout.InfiniteTimeSpan, token);
            return Stream.Null;
        });
        using var channel = GrpcChannel.ForAddress("http://localhost", new GrpcChannelOptions { HttpHandler = handler, DisposeHttpClient = true });
        using AsyncUnaryCall<Empty> call = Client(channel).EmptyCallAsync(new Empty(), InteropClient.Options());
        Assert.ThrowsExactly<InvalidOperationException>(() => call.GetStatus());
        Assert.ThrowsExactly<InvalidOperationException>(() => call.GetTrailers());
    }

    [TestMethod]
    [TestCategory("unit")]
    public async Task Calls_OfEveryEnd_LeaveNothingInTheChannel()
    {
        await using RpcServer server = await RpcServer.StartAsync(app => app.MapGrpcService<InteropService>());
        using GrpcChannel channel = server.ConnectUnix();
        foreach (string name in new[] { "large_unary", "ping_pong", "cancel_after_begin", "cancel_after_first_response", "status_code_and_message", "unimplemented_method" })
        {
            await InteropClient.RunAsync(name, channel);
        }

        Assert.AreEqual(0, channel.ActiveCalls);
    }

    private static TestService.TestServiceClient Client(GrpcChannel channel) => new(channel);
}
