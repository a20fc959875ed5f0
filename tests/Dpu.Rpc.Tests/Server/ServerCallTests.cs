using Dpu.Rpc.Tests.Support;
using Grpc.AspNetCore.Server;
using Grpc.Core;
using Grpc.Net.Client;
using Grpc.Testing;
using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace Dpu.Rpc.Tests.Server;

/// <summary>What our server does with what a handler does.</summary>
[TestClass]
public sealed class ServerCallTests
{
    private static readonly SimpleRequest Request = new();

    [TestMethod]
    [TestCategory("unit")]
    public Task Handler_Throws_IsUnknownWithoutDetailAndLogged() => WithAsync(
        new ScriptedService { Unary = (_, _) => throw new InvalidDataException("a secret") },
        async (client, server) =>
        {
            RpcException e = await InteropClient.FailsAsync(StatusCode.Unknown, async () => await client.UnaryCallAsync(Request, InteropClient.Options()));
            Assert.DoesNotContain("secret", e.Status.Detail);
            Assert.ContainsSingle(entry => entry is { Id: 1900, Level: LogLevel.Error } && entry.Text.Contains("a secret", StringComparison.Ordinal), server.Log.Entries);
        });

    [TestMethod]
    [TestCategory("unit")]
    public Task Handler_ThrowsRpcException_SendsStatusAndBothTrailers() => WithAsync(
        new ScriptedService
        {
            Unary = (_, context) =>
            {
                context.ResponseTrailers.Add("from-context", "1");
                throw new RpcException(new Status(StatusCode.NotFound, "gone \u263A"), [new("from-exception-bin", new byte[] { 7 })]);
            },
        },
        async (client, server) =>
        {
            RpcException e = await InteropClient.FailsAsync(StatusCode.NotFound, async () => await client.UnaryCallAsync(Request, InteropClient.Options()));
            Assert.AreEqual("gone \u263A", e.Status.Detail);
            Assert.AreEqual("1", e.Trailers.GetValue("from-context"));
            CollectionAssert.AreEqual(new byte[] { 7 }, e.Trailers.GetValueBytes("from-exception-bin"));
            Assert.DoesNotContain(entry => entry.Level >= LogLevel.Warning, server.Log.Entries);
        });

    [TestMethod]
    [TestCategory("unit")]
    public Task Handler_SetsStatus_SendsItWithoutResponse() => WithAsync(
        new ScriptedService
        {
            Unary = (_, context) =>
            {
                context.Status = new Status(StatusCode.Aborted, "again");
                return Task.FromResult(new SimpleResponse());
            },
        },
        async (client, _) =>
        {
            RpcException e = await InteropClient.FailsAsync(StatusCode.Aborted, async () => await client.UnaryCallAsync(Request, InteropClient.Options()));
            Assert.AreEqual("again", e.Status.Detail);
        });

    [TestMethod]
    [TestCategory("unit")]
    public Task Handler_ReturnsNull_IsUnknown() => WithAsync(
        new ScriptedService { Unary = (_, _) => Task.FromResult<SimpleResponse>(null!) },
        async (client, _) =>
            await InteropClient.FailsAsync(StatusCode.Unknown, async () => await client.UnaryCallAsync(Request, InteropClient.Options())));

    [TestMethod]
    [TestCategory("unit")]
    public Task Handler_FailsAfterResponses_ClientGetsThemAndTheStatus() => WithAsync(
        new ScriptedService
        {
            Output = async (responses, _) =>
            {
                await responses.WriteAsync(new StreamingOutputCallResponse { Payload = InteropService.PayloadOf(5) });
                throw new RpcException(new Status(StatusCode.DataLoss, "half"));
            },
        },
        async (client, _) =>
        {
            using AsyncServerStreamingCall<StreamingOutputCallResponse> call =
                client.StreamingOutputCall(new StreamingOutputCallRequest(), InteropClient.Options());
            Assert.IsTrue(await call.ResponseStream.MoveNext());
            await InteropClient.FailsAsync(StatusCode.DataLoss, () => call.ResponseStream.MoveNext());
        });

    [TestMethod]
    [TestCategory("unit")]
    public Task Headers_SentBeforeResponse_ArriveAtOnce()
    {
        var proceed = new TaskCompletionSource();
        return WithAsync(
            new ScriptedService
            {
                Output = async (responses, context) =>
                {
                    await context.WriteResponseHeadersAsync([new("early", "yes")]);
                    await proceed.Task;
                    await Assert.ThrowsExactlyAsync<InvalidOperationException>(() => context.WriteResponseHeadersAsync([]));
                },
            },
            async (client, _) =>
            {
                using AsyncServerStreamingCall<StreamingOutputCallResponse> call =
                    client.StreamingOutputCall(new StreamingOutputCallRequest(), InteropClient.Options());
                Metadata headers = await call.ResponseHeadersAsync.WaitAsync(Peer.Limit);
                Assert.AreEqual("yes", headers.GetValue("early"));
                proceed.SetResult();
                Assert.IsFalse(await call.ResponseStream.MoveNext());
            });
    }

    [TestMethod]
    [TestCategory("unit")]
    public Task Response_BeyondSendLimit_IsResourceExhausted() => WithAsync(
        new ScriptedService { Unary = (_, _) => Task.FromResult(new SimpleResponse { Payload = InteropService.PayloadOf(2000) }) },
        async (client, _) =>
            await InteropClient.FailsAsync(StatusCode.ResourceExhausted, async () => await client.UnaryCallAsync(Request, InteropClient.Options())),
        options => options.MaxSendMessageSize = 1000);

    [TestMethod]
    [TestCategory("unit")]
    public Task Response_BeyondReceiveLimit_IsResourceExhausted() => WithAsync(
        new ScriptedService { Unary = (_, _) => Task.FromResult(new SimpleResponse { Payload = InteropService.PayloadOf(2000) }) },
        async (_, server) =>
        {
            using GrpcChannel channel = server.Connect(new GrpcChannelOptions { MaxReceiveMessageSize = 1000 });
            var client = new TestService.TestServiceClient(channel);
            await InteropClient.FailsAsync(StatusCode.ResourceExhausted, async () => await client.UnaryCallAsync(Request, InteropClient.Options()));
        });

    [TestMethod]
    [TestCategory("unit")]
    public Task Authorize_Refuses_HandlerIsNotCalled()
    {
        int calls = 0;
        return WithAsync(
            new ScriptedService
            {
                Unary = (_, _) =>
                {
                    calls++;
                    return Task.FromResult(new SimpleResponse());
                },
            },
            async (client, _) =>
            {
                RpcException e = await InteropClient.FailsAsync(
                    StatusCode.PermissionDenied, async () => await client.UnaryCallAsync(Request, InteropClient.Options()));
                Assert.AreEqual("not you", e.Status.Detail);
                Assert.AreEqual(0, calls);
                Metadata key = [new("key", "open")];
                await client.UnaryCallAsync(Request, InteropClient.Options(key));
                Assert.AreEqual(1, calls);
            },
            options => options.Authorize = context =>
            {
                Assert.IsNotNull(context.GetHttpContext().Connection);
                Assert.IsFalse(context.AuthContext.IsPeerAuthenticated);
                return ValueTask.FromResult(
                    context.RequestHeaders.GetValue("key") == "open" ? Status.DefaultSuccess : new Status(StatusCode.PermissionDenied, "not you"));
            });
    }

    [TestMethod]
    [TestCategory("unit")]
    public Task Context_TellsTheCall() => WithAsync(
        new ScriptedService
        {
            Unary = (_, context) =>
            {
                Assert.AreEqual("/grpc.testing.TestService/UnaryCall", context.Method);
                Assert.StartsWith("ipv4:127.0.0.1:", context.Peer);
                Assert.StartsWith("grpc-dotnet-dpu/", context.RequestHeaders.GetValue("user-agent")!);
                Assert.AreEqual(DateTime.MaxValue, context.Deadline);
                Assert.AreEqual("other.example", context.Host);
                return Task.FromResult(new SimpleResponse());
            },
        },
        async (client, server) =>
        {
            await client.WithHost("other.example").UnaryCallAsync(Request);
            Assert.DoesNotContain(entry => entry.Level >= LogLevel.Warning, server.Log.Entries);
        });

    [TestMethod]
    [TestCategory("unit")]
    public async Task MapGrpcService_ServiceNotRegistered_IsMadeAndDisposedForEachCall()
    {
        DisposableService.Disposed = 0;
        await using RpcServer server = await RpcServer.StartAsync(app => app.MapGrpcService<DisposableService>());
        using GrpcChannel channel = server.Connect();
        var client = new TestService.TestServiceClient(channel);
        await client.EmptyCallAsync(new Empty(), InteropClient.Options());
        await client.EmptyCallAsync(new Empty(), InteropClient.Options());
        Assert.AreEqual(2, DisposableService.Disposed);
    }

    [TestMethod]
    [TestCategory("unit")]
    public async Task MapGrpcService_Definition_IsServed()
    {
        await using RpcServer server = await RpcServer.StartAsync(app => app.MapGrpcService(TestService.BindService(new InteropService())));
        using GrpcChannel channel = server.Connect();
        await InteropClient.RunAsync("ping_pong", channel);
        await InteropClient.RunAsync("unimplemented_service", channel);
    }

    [TestMethod]
    [TestCategory("unit")]
    public void MapGrpcService_WithoutAddGrpc_SaysSo()
    {
        WebApplication application = WebApplication.CreateSlimBuilder().Build();
        InvalidOperationException e = Assert.ThrowsExactly<InvalidOperationException>(() => application.MapGrpcService<InteropService>());
        Assert.Contains("AddGrpc", e.Message);
    }

    private static async Task WithAsync(
        ScriptedService service, Func<TestService.TestServiceClient, RpcServer, Task> test, Action<GrpcServiceOptions>? configure = null)
    {
        await using RpcServer server = await RpcServer.StartAsync(
            app => app.MapGrpcService<ScriptedService>(), configure, services => services.AddSingleton(service));
        using GrpcChannel channel = server.Connect();
        await test(new TestService.TestServiceClient(channel), server);
    }

    private sealed class DisposableService : TestService.TestServiceBase, IAsyncDisposable
    {
        public static int Disposed { get; set; }

        public override Task<Empty> EmptyCall(Empty request, ServerCallContext context) => Task.FromResult(new Empty());

        public ValueTask DisposeAsync()
        {
            Disposed++;
            return ValueTask.CompletedTask;
        }
    }
}
