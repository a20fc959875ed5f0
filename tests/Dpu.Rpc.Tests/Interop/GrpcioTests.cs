using Dpu.Rpc.Tests.Support;
using Grpc.Net.Client;
using Microsoft.AspNetCore.Builder;

namespace Dpu.Rpc.Tests.Interop;

/// <summary>Against Debian's python3-grpcio, that is gRPC's C core, both ways.</summary>
[TestClass]
public sealed class GrpcioTests
{
    // Debian's own: another python in PATH has other packages.
    private const string Python = "/usr/bin/python3";

    private static Peer server = null!;
    private static RpcServer ours = null!;

    [ClassInitialize]
    public static async Task StartAsync(TestContext _)
    {
        server = Peer.StartServer(Python, "-B", Path.Combine(PeerFolder.Python, "server.py"));
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
    public async Task OurClient_GrpcioServer_Holds(string name)
    {
        // A connection a case, as the interop suite has it: what a server still sends of a cancelled call is not the next one's.
        using GrpcChannel channel = GrpcChannel.ForAddress(server.Address);
        await InteropClient.RunAsync(name, channel);
    }

    [TestMethod]
    [TestCategory("interop")]
    [DynamicData(nameof(InteropCases.All), typeof(InteropCases))]
    public void GrpcioClient_OurServer_Holds(string name) =>
        Peer.Run(Python, "-B", Path.Combine(PeerFolder.Python, "client.py"), ours.Address.Authority, name);

    [TestMethod]
    [TestCategory("interop")]
    [DataRow("large_unary")]
    [DataRow("ping_pong")]
    [DataRow("custom_metadata")]
    public void GrpcioClient_OurUnixSocket_Holds(string name) =>
        Peer.Run(Python, "-B", Path.Combine(PeerFolder.Python, "client.py"), $"unix:{ours.SocketPath}", name);
}
