using Dpu.Rpc.Tests.Support;
using Grpc.Core;
using Grpc.Net.Client;
using Grpc.Testing;

namespace Dpu.Rpc.Tests.Client;

/// <summary>Our client against a raw HTTP/2 server (node's http2) that answers as no good gRPC server would.</summary>
[TestClass]
public sealed class Http2NegativeTests
{
    [TestMethod]
    [TestCategory("interop")]
    public async Task goaway_LaterCall_GoesToANewConnection()
    {
        using Peer server = Serve("goaway");
        using var channel = GrpcChannel.ForAddress(server.Address);
        await CallAsync(channel);
        Assert.StartsWith("STREAM 1 ", server.ReadLine("STREAM"));
        server.ReadLine("CLOSE");
        await CallAsync(channel);
        Assert.StartsWith("STREAM 2 ", server.ReadLine("STREAM"));
    }

    [TestMethod]
    [TestCategory("interop")]
    [DataRow("rst_at_once", 7, StatusCode.Unavailable)]
    [DataRow("rst_at_once", 8, StatusCode.Cancelled)]
    [DataRow("rst_after_header", 2, StatusCode.Internal)]
    [DataRow("rst_after_header", 7, StatusCode.Unavailable)]
    [DataRow("rst_after_header", 8, StatusCode.Cancelled)]
    [DataRow("rst_after_header", 11, StatusCode.ResourceExhausted)]
    [DataRow("rst_after_header", 12, StatusCode.PermissionDenied)]
    [DataRow("rst_during_data", 2, StatusCode.Internal)]
    [DataRow("rst_during_data", 8, StatusCode.Cancelled)]
    [DataRow("rst_after_data", 2, StatusCode.Internal)]
    [DataRow("rst_after_data", 8, StatusCode.Cancelled)]
    public Task rst_Call_FailsWithTheMappedStatus(string name, int code, StatusCode expected) => FailsAsync(expected, name, code.ToString());

    [TestMethod]
    [TestCategory("interop")]
    [DataRow("ok")]
    [DataRow("ping")]
    [DataRow("data_frame_padding")]
    [DataRow("split")]
    public async Task unusual_Framing_IsRead(string name)
    {
        using Peer server = Serve(name);
        using var channel = GrpcChannel.ForAddress(server.Address);
        await CallAsync(channel);
    }

    [TestMethod]
    [TestCategory("interop")]
    [DataRow(true)]
    [DataRow(false)]
    public async Task max_streams_TenCalls_NeverMoreThanOneAtOnce(bool settingsKnown)
    {
        using Peer server = Serve("max_streams");
        using var channel = GrpcChannel.ForAddress(server.Address);
        if (settingsKnown)
        {
            await CallAsync(channel);
            server.ReadLine("STREAM 1 1");
        }

        await Task.WhenAll(Enumerable.Range(0, 10).Select(_ => CallAsync(channel)));
        for (int i = 0; i < 10; i++)
        {
            Assert.StartsWith("STREAM 1 1 ", server.ReadLine("STREAM"));
        }
    }

    [TestMethod]
    [TestCategory("interop")]
    [DataRow("no_status", StatusCode.Unknown)]
    [DataRow("html", StatusCode.Unknown)]
    [DataRow("no_message", StatusCode.Unimplemented)]
    [DataRow("two_messages", StatusCode.Unimplemented)]
    [DataRow("oversize", StatusCode.ResourceExhausted)]
    [DataRow("bad_flag", StatusCode.Internal)]
    [DataRow("compressed_flag", StatusCode.Internal)]
    [DataRow("unknown_encoding", StatusCode.Internal)]
    [DataRow("truncated", StatusCode.Internal)]
    [DataRow("garbage", StatusCode.Internal)]
    [DataRow("unknown_status", StatusCode.Unknown)]
    [DataRow("bad_binary", StatusCode.Internal)]
    public Task malformed_Response_FailsWithItsStatus(string name, StatusCode expected) => FailsAsync(expected, name);

    [TestMethod]
    [TestCategory("interop")]
    [DataRow(400, StatusCode.Internal)]
    [DataRow(401, StatusCode.Unauthenticated)]
    [DataRow(403, StatusCode.PermissionDenied)]
    [DataRow(404, StatusCode.Unimplemented)]
    [DataRow(429, StatusCode.Unavailable)]
    [DataRow(503, StatusCode.Unavailable)]
    [DataRow(302, StatusCode.Unknown)]
    public Task http_Status_IsMapped(int status, StatusCode expected) => FailsAsync(expected, "http_status", status.ToString());

    [TestMethod]
    [TestCategory("interop")]
    public async Task trailers_only_StatusMessageAndMetadata_AreRead()
    {
        using Peer server = Serve("trailers_only");
        using var channel = GrpcChannel.ForAddress(server.Address);
        RpcException e = await InteropClient.FailsAsync(StatusCode.FailedPrecondition, () => CallAsync(channel));
        Assert.AreEqual("fix it! 100%", e.Status.Detail);
        Assert.HasCount(2, e.Trailers);
        CollectionAssert.AreEqual(new byte[] { 1, 2 }, e.Trailers[0].ValueBytes);
        CollectionAssert.AreEqual(new byte[] { 3 }, e.Trailers[1].ValueBytes);
    }

    [TestMethod]
    [TestCategory("interop")]
    public async Task early_end_StreamOfRequests_EndsWithTheServersStatus()
    {
        using Peer server = Serve("early_end");
        using var channel = GrpcChannel.ForAddress(server.Address);
        using AsyncDuplexStreamingCall<StreamingOutputCallRequest, StreamingOutputCallResponse> call =
            new TestService.TestServiceClient(channel).FullDuplexCall(InteropClient.Options());
        RpcException e = await InteropClient.FailsAsync(StatusCode.ResourceExhausted, () => call.ResponseStream.MoveNext());
        Assert.AreEqual("enough", e.Status.Detail);
        await InteropClient.FailsAsync(StatusCode.ResourceExhausted, () => call.RequestStream.WriteAsync(new StreamingOutputCallRequest()));
    }

    [TestMethod]
    [TestCategory("interop")]
    public async Task deadline_SilentServer_EndsTheCallAndResetsWithCancel()
    {
        using Peer server = Serve("silent");
        var clock = new ManualClock();
        using var channel = GrpcChannel.ForAddress(server.Address, new GrpcChannelOptions { TimeProvider = clock });
        DateTime deadline = clock.GetUtcNow().UtcDateTime.AddSeconds(7);
        Task<SimpleResponse> call = new TestService.TestServiceClient(channel).UnaryCallAsync(new SimpleRequest(), deadline: deadline).ResponseAsync;
        Assert.AreEqual("STREAM 1 1 7000000u", server.ReadLine("STREAM"));
        Assert.IsFalse(call.IsCompleted);
        clock.Advance(TimeSpan.FromSeconds(7));
        await InteropClient.FailsAsync(StatusCode.DeadlineExceeded, () => call);
        Assert.AreEqual("CLOSE 1 8", server.ReadLine("CLOSE"));
        Assert.AreEqual(0, clock.Armed);
    }

    [TestMethod]
    [TestCategory("interop")]
    public async Task dispose_CallUnderWay_ResetsWithCancel()
    {
        using Peer server = Serve("silent");
        using var channel = GrpcChannel.ForAddress(server.Address);
        AsyncUnaryCall<SimpleResponse> call = new TestService.TestServiceClient(channel).UnaryCallAsync(new SimpleRequest(), InteropClient.Options());
        server.ReadLine("STREAM");
        call.Dispose();
        await InteropClient.FailsAsync(StatusCode.Cancelled, () => call.ResponseAsync);
        await InteropClient.FailsAsync(StatusCode.Cancelled, () => call.ResponseHeadersAsync);
        Assert.AreEqual("CLOSE 1 8", server.ReadLine("CLOSE"));
    }

    [TestMethod]
    [TestCategory("interop")]
    public async Task connection_Lost_IsUnavailable()
    {
        Peer server = Serve("silent");
        using var channel = GrpcChannel.ForAddress(server.Address);
        Task call = CallAsync(channel);
        server.ReadLine("STREAM");
        server.Dispose();
        await InteropClient.FailsAsync(StatusCode.Unavailable, () => call);
        await InteropClient.FailsAsync(StatusCode.Unavailable, () => CallAsync(channel));
    }

    [TestMethod]
    [TestCategory("interop")]
    [DataRow("node")]
    [DataRow("python")]
    public void peer_UnknownCase_Fails(string peer)
    {
        // The peers' verdict is an exit status: a broken script must not look like a success.
        Action run = peer == "node"
            ? () => Peer.Run("node", Path.Combine(PeerFolder.Node, "client.js"), "127.0.0.1:1", "no_such_case")
            : () => Peer.Run("/usr/bin/python3", "-B", Path.Combine(PeerFolder.Python, "client.py"), "127.0.0.1:1", "no_such_case");
        Assert.ThrowsExactly<AssertFailedException>(run);
    }

    private static async Task FailsAsync(StatusCode expected, params string[] arguments)
    {
        using Peer server = Serve(arguments);
        using var channel = GrpcChannel.ForAddress(server.Address);
        await InteropClient.FailsAsync(expected, () => CallAsync(channel));
    }

    private static Peer Serve(params string[] arguments) => Peer.StartServer("node", [Path.Combine(PeerFolder.Node, "http2-server.js"), .. arguments]);

    private static async Task CallAsync(GrpcChannel channel) =>
        await new TestService.TestServiceClient(channel).UnaryCallAsync(new SimpleRequest(), InteropClient.Options());
}
