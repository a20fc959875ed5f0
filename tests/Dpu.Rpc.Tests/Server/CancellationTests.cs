using Dpu.Rpc.Tests.Support;
using Grpc.Core;
using Grpc.Net.Client;
using Grpc.Testing;
using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.DependencyInjection;

namespace Dpu.Rpc.Tests.Server;

/// <summary>How calls end on our server when the client or the clock ends them.</summary>
[TestClass]
public sealed class CancellationTests
{
    private readonly TaskCompletionSource entered = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource left = new(TaskCreationOptions.RunContinuationsAsynchronously);

    [TestMethod]
    [TestCategory("unit")]
    public async Task Client_Cancels_HandlersTokenFires()
    {
        await using RpcServer server = await StartAsync(new ScriptedService { Unary = WaitForTokenAsync });
        using GrpcChannel channel = server.Connect();
        using AsyncUnaryCall<SimpleResponse> call = new TestService.TestServiceClient(channel).UnaryCallAsync(new SimpleRequest(), InteropClient.Options());
        await entered.Task.WaitAsync(Peer.Limit);
        call.Dispose();
        await left.Task.WaitAsync(Peer.Limit);
    }

    [TestMethod]
    [TestCategory("unit")]
    public async Task Client_Disappears_StreamingHandlerEnds()
    {
        var service = new ScriptedService
        {
            Output = async (responses, context) =>
            {
                try
                {
                    while (true)
                    {
                        await responses.WriteAsync(new StreamingOutputCallResponse { Payload = InteropService.PayloadOf(10000) });
                        entered.TrySetResult();
                    }
                }
                finally
                {
                    left.SetResult();
                }
            },
        };
        await using RpcServer server = await StartAsync(service);
        GrpcChannel channel = server.Connect();
        using AsyncServerStreamingCall<StreamingOutputCallResponse> call =
            new TestService.TestServiceClient(channel).StreamingOutputCall(new StreamingOutputCallRequest(), InteropClient.Options());
        await entered.Task.WaitAsync(Peer.Limit);
        channel.Dispose();
        await left.Task.WaitAsync(Peer.Limit);
        Assert.DoesNotContain(entry => entry.Id == 1900, server.Log.Entries);
    }

    [TestMethod]
    [TestCategory("unit")]
    public async Task Deadline_HandlerHeedsToken_AnswersDeadlineExceeded()
    {
        var clock = new ManualClock();
        await using RpcServer server = await StartAsync(new ScriptedService { Unary = WaitForTokenAsync }, clock);
        Task<(HttpResponseMessage Response, byte[] Body)> call = SendWithTimeoutAsync(server, "UnaryCall");
        await entered.Task.WaitAsync(Peer.Limit);
        clock.Advance(TimeSpan.FromSeconds(5));
        await left.Task.WaitAsync(Peer.Limit);
        Assert.AreEqual("4", RawCall.TrailersOnlyStatus((await call).Response));
    }

    [TestMethod]
    [TestCategory("unit")]
    public async Task Deadline_HandlerIgnoresToken_AnswersAllTheSame()
    {
        var clock = new ManualClock();
        var release = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var service = new ScriptedService
        {
            Unary = async (_, context) =>
            {
                entered.SetResult();
                await release.Task;
                Assert.IsTrue(context.CancellationToken.IsCancellationRequested);
                Assert.AreEqual("/grpc.testing.TestService/UnaryCall", context.Method);
                left.SetResult();
                return new SimpleResponse();
            },
        };
        await using RpcServer server = await StartAsync(service, clock);
        Task<(HttpResponseMessage Response, byte[] Body)> call = SendWithTimeoutAsync(server, "UnaryCall");
        await entered.Task.WaitAsync(Peer.Limit);
        clock.Advance(TimeSpan.FromSeconds(5));
        Assert.AreEqual("4", RawCall.TrailersOnlyStatus((await call).Response));
        release.SetResult();
        await left.Task.WaitAsync(Peer.Limit);
    }

    [TestMethod]
    [TestCategory("unit")]
    public async Task Deadline_HandlerBlocksItsThread_AnswersAllTheSame()
    {
        var clock = new ManualClock();
        using var release = new ManualResetEventSlim();
        var service = new ScriptedService
        {
            Unary = (_, _) =>
            {
                entered.SetResult();
                release.Wait(Peer.Limit);
                return Task.FromResult(new SimpleResponse());
            },
        };
        await using RpcServer server = await StartAsync(service, clock);
        Task<(HttpResponseMessage Response, byte[] Body)> call = SendWithTimeoutAsync(server, "UnaryCall");
        await entered.Task.WaitAsync(Peer.Limit);
        clock.Advance(TimeSpan.FromSeconds(5));
        Assert.AreEqual("4", RawCall.TrailersOnlyStatus((await call).Response));
        release.Set();
    }

    [TestMethod]
    [TestCategory("unit")]
    public async Task Deadline_ResponsesSent_StatusFollowsInTrailers()
    {
        var clock = new ManualClock();
        var service = new ScriptedService
        {
            Output = async (responses, context) =>
            {
                await responses.WriteAsync(new StreamingOutputCallResponse());
                entered.SetResult();
                await Task.Delay(Timeout.InfiniteTimeSpan, context.CancellationToken);
            },
        };
        await using RpcServer server = await StartAsync(service, clock);
        Task<(HttpResponseMessage Response, byte[] Body)> call = SendWithTimeoutAsync(server, "StreamingOutputCall");
        await entered.Task.WaitAsync(Peer.Limit);
        clock.Advance(TimeSpan.FromSeconds(5));
        (HttpResponseMessage response, byte[] body) = await call;
        Assert.HasCount(5, body);
        Assert.AreEqual("4", response.TrailingHeaders.GetValues("grpc-status").Single());

        // The call goes when the grace has passed, in which the client may take what was sent.
        Assert.IsTrue(SpinWait.SpinUntil(() => clock.Armed > 0, Peer.Limit));
        clock.Advance(TimeSpan.FromSeconds(1));
    }

    [TestMethod]
    [TestCategory("unit")]
    public async Task Deadline_ClientReadsNothing_StreamIsReset()
    {
        var clock = new ManualClock();
        var service = new ScriptedService
        {
            Output = async (responses, context) =>
            {
                try
                {
                    while (true)
                    {
                        // More than the client's window holds: from the first write on, trailers cannot leave.
                        Task write = responses.WriteAsync(new StreamingOutputCallResponse { Payload = InteropService.PayloadOf(1_000_000) });
                        entered.TrySetResult();
                        await write;
                    }
                }
                finally
                {
                    left.SetResult();
                }
            },
        };
        await using RpcServer server = await StartAsync(service, clock);

        // The client's clock stands: only the server ends the call.
        using GrpcChannel channel = server.Connect(new GrpcChannelOptions { TimeProvider = new ManualClock() });
        DateTime deadline = new ManualClock().GetUtcNow().UtcDateTime.AddSeconds(5);
        using AsyncServerStreamingCall<StreamingOutputCallResponse> call =
            new TestService.TestServiceClient(channel).StreamingOutputCall(new StreamingOutputCallRequest(), deadline: deadline);
        await entered.Task.WaitAsync(Peer.Limit);
        clock.Advance(TimeSpan.FromSeconds(5));
        await left.Task.WaitAsync(Peer.Limit);

        // The grace in which the client may still take what was sent.
        Assert.IsTrue(SpinWait.SpinUntil(() => clock.Armed > 0, Peer.Limit));
        clock.Advance(TimeSpan.FromSeconds(1));
        RpcException e = await Assert.ThrowsExactlyAsync<RpcException>(async () =>
        {
            while (await call.ResponseStream.MoveNext())
            {
            }
        });
        Assert.AreEqual(StatusCode.Cancelled, e.StatusCode);
    }

    [TestMethod]
    [TestCategory("unit")]
    public async Task Server_EndsEarly_ClientsWritesEnd()
    {
        var service = new ScriptedService
        {
            Input = async (requests, _) =>
            {
                await requests.MoveNext();
                throw new RpcException(new Status(StatusCode.OutOfRange, "enough"));
            },
        };
        await using RpcServer server = await StartAsync(service);
        using GrpcChannel channel = server.Connect();
        using AsyncClientStreamingCall<StreamingInputCallRequest, StreamingInputCallResponse> call =
            new TestService.TestServiceClient(channel).StreamingInputCall(InteropClient.Options());
        RpcException e = await InteropClient.FailsAsync(StatusCode.OutOfRange, async () =>
        {
            while (true)
            {
                await call.RequestStream.WriteAsync(new StreamingInputCallRequest { Payload = InteropService.PayloadOf(10_000) });
            }
        });
        Assert.AreEqual("enough", e.Status.Detail);
        await InteropClient.FailsAsync(StatusCode.OutOfRange, async () => await call);
    }

    private static async Task<(HttpResponseMessage Response, byte[] Body)> SendWithTimeoutAsync(RpcServer server, string method)
    {
        using var raw = new RawCall(server.Address);
        return await raw.SendAsync(
            $"/grpc.testing.TestService/{method}", RawCall.Frame([]), change: request => request.Headers.TryAddWithoutValidation("grpc-timeout", "5S"));
    }

    private static Task<RpcServer> StartAsync(ScriptedService service, TimeProvider? clock = null) => RpcServer.StartAsync(
        app => app.MapGrpcService<ScriptedService>(),
        services: services =>
        {
            services.AddSingleton(service);
            services.AddSingleton(clock ?? TimeProvider.System);
        });

    private async Task<SimpleResponse> WaitForTokenAsync(SimpleRequest request, ServerCallContext context)
    {
        entered.SetResult();
        try
        {
            await Task.Delay(Timeout.InfiniteTimeSpan, context.CancellationToken);
        }
        finally
        {
            left.SetResult();
        }

        return new SimpleResponse();
    }
}
