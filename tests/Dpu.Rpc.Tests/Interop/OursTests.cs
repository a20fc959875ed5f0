using Dpu.Rpc.Tests.Support;
using Grpc.Net.Client;
using Microsoft.AspNetCore.Builder;

namespace Dpu.Rpc.Tests.Interop;

/// <summary>Our client and our server, over TCP and over a unix socket: what fails here is no peer's fault.</summary>
[TestClass]
public sealed class OursTests
{
    private static RpcServer ours = null!;
    private static GrpcChannel tcp = null!;
    private static GrpcChannel unix = null!;

    [ClassInitialize]
    public static async Task StartAsync(TestContext _)
    {
        ours = await RpcServer.StartAsync(app => app.MapGrpcService<InteropService>());
        tcp = ours.Connect();
        unix = ours.ConnectUnix();
    }

    [ClassCleanup]
    public static async Task StopAsync()
    {
        tcp.Dispose();
        unix.Dispose();
        await ours.DisposeAsync();
    }

    [TestMethod]
    [TestCategory("unit")]
    [DynamicData(nameof(InteropCases.All), typeof(InteropCases))]
    public Task OurClient_OurServer_Holds(string name) => InteropClient.RunAsync(name, tcp);

    [TestMethod]
    [TestCategory("unit")]
    [DynamicData(nameof(InteropCases.All), typeof(InteropCases))]
    public Task OurClient_OurUnixSocket_Holds(string name) => InteropClient.RunAsync(name, unix);
}
