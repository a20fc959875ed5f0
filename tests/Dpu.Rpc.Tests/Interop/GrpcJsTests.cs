using Dpu.Rpc.Tests.Support;
using Grpc.Net.Client;
using Microsoft.AspNetCore.Builder;

namespace Dpu.Rpc.Tests.Interop;

/// <summary>Against npm's @grpc/grpc-js, both ways.</summary>
[TestClass]
public sealed class GrpcJsTests
{
    private static Peer server = null!;
    private static RpcServer ours = null!;

    [ClassInitialize]
    public static async Task StartAsync(TestContext _)
    {
        server = Peer.StartServer("node", Path.Combine(PeerFolder.Node, "server.js"));
        ours = await RpcServer.StartAsync(app => app.MapGrpcService<InteropService>());
    }

    [ClassCleanup]
    public static async Task StopAsync()
    {
        server?.Dispose();
        if (ours is not null)
        {
            await ours.DisposeAsync();
        }
    }

    [TestMethod]
    [TestCategory("interop")]
    [DynamicData(nameof(InteropCases.All), typeof(InteropCases))]
    public async Task OurClient_GrpcJsServer_Holds(string name)
    {
        // A connection a case, as the interop suite has it: what a server still sends of a cancelled call is not the next one's.
        using GrpcChannel channel = GrpcChannel.ForAddress(server.Address);
        await InteropClient.RunAsync(name, channel);
    }

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
