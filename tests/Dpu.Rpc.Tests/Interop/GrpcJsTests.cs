using Dpu.Rpc.Tests.Support;
using Grpc.Net.Client;
using Microsoft.AspNetCore.Builder;

namespace Dpu.Rpc.Tests.Interop;

/// <summary>Against npm's @grpc/grpc-js, both ways.</summary>
[TestClass]
public sealed class GrpcJsTests
{
    private static Peer server = null!;
    private static GrpcChannel channel = null!;
    private static RpcServer ours = null!;

    [ClassInitialize]
    public static async Task StartAsync(TestContext _)
    {
        server = Peer.StartServer("node", Path.Combine(PeerFolder.Node, "server.js"));
        channel = GrpcChannel.ForAddress(server.Address);
        ours = await RpcServer.StartAsync(app => app.MapGrpcService<InteropService>());
    }

    [ClassCleanup]
    public static async Task StopAsync()
    {
        channel?.Dispose();
        server?.Dispose();
        if (ours is not null)
        {
            await ours.DisposeAsync();
        }
    }

    [TestMethod]
    [TestCategory("interop")]
    [DynamicData(nameof(InteropCases.All), typeof(InteropCases))]
    public Task OurClient_GrpcJsServer_Holds(string name) => InteropClient.RunAsync(name, channel);

    [TestMethod]
    [TestCategory("interop")]
    [DynamicData(nameof(InteropCases.All), typeof(InteropCases))]
    public void GrpcJsClient_OurServer_Holds(string name) => Peer.Run("node", Path.Combine(PeerFolder.Node, "client.js"), ours.Address.Authority, name);

    [TestMethod]
    [TestCategory("interop")]
    [DataRow("large_unary")]
    [DataRow("ping_pong")]
    [DataRow("custom_metadata")]
    public void GrpcJsClient_OurUnixSocket_Holds(string name) =>
        Peer.Run("node", Path.Combine(PeerFolder.Node, "client.js"), $"unix:{ours.SocketPath}", name);
}
