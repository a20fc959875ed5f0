using Dpu.Rpc.Tests.Support;
using Grpc.Core;
using Grpc.Health.V1;
using Grpc.HealthCheck;
using Grpc.Net.Client;
using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.DependencyInjection;
using static Grpc.Health.V1.HealthCheckResponse.Types;

namespace Dpu.Rpc.Tests.Server;

[TestClass]
public sealed class HealthTests
{
    private readonly HealthServiceImpl health = new();

    [TestMethod]
    [TestCategory("unit")]
    public async Task Check_KnownAndUnknown_AnswersAndNotFound()
    {
        await using RpcServer server = await StartAsync();
        using GrpcChannel channel = server.Connect();
        var client = new Grpc.Health.V1.Health.HealthClient(channel);
        health.SetStatus("", ServingStatus.Serving);
        health.SetStatus("dpu.v1.Runtime", ServingStatus.NotServing);
        Assert.AreEqual(ServingStatus.Serving, (await client.CheckAsync(new HealthCheckRequest(), InteropClient.Options())).Status);
        var request = new HealthCheckRequest { Service = "dpu.v1.Runtime" };
        Assert.AreEqual(ServingStatus.NotServing, (await client.CheckAsync(request, InteropClient.Options())).Status);
        health.ClearAll();
        await InteropClient.FailsAsync(StatusCode.NotFound, async () => await client.CheckAsync(request, InteropClient.Options()));
    }

    [TestMethod]
    [TestCategory("unit")]
    public async Task Watch_UnknownService_SaysSoThenEveryChange()
    {
        await using RpcServer server = await StartAsync();
        using GrpcChannel channel = server.Connect();
        using AsyncServerStreamingCall<HealthCheckResponse> call =
            new Grpc.Health.V1.Health.HealthClient(channel).Watch(new HealthCheckRequest { Service = "x" }, InteropClient.Options());
        await ExpectAsync(ServingStatus.ServiceUnknown);
        health.SetStatus("x", ServingStatus.Serving);
        await ExpectAsync(ServingStatus.Serving);
        health.SetStatus("y", ServingStatus.NotServing);
        health.SetStatus("x", ServingStatus.Serving);
        health.SetStatus("x", ServingStatus.NotServing);
        await ExpectAsync(ServingStatus.NotServing);
        health.ClearStatus("x");
        await ExpectAsync(ServingStatus.ServiceUnknown);

        call.Dispose();
        Assert.IsTrue(SpinWait.SpinUntil(() => health.WatcherCount == 0, Peer.Limit), "a watcher is left behind");

        async Task ExpectAsync(ServingStatus expected)
        {
            Assert.IsTrue(await call.ResponseStream.MoveNext());
            Assert.AreEqual(expected, call.ResponseStream.Current.Status);
        }
    }

    private Task<RpcServer> StartAsync() =>
        RpcServer.StartAsync(app => app.MapGrpcService<HealthServiceImpl>(), services: services => services.AddSingleton(health));
}
