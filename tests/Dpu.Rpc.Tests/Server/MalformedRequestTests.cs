using System.Net;
using Dpu.Rpc.Tests.Support;
using Google.Protobuf;
using Grpc.Core;
using Grpc.Testing;
using Microsoft.AspNetCore.Builder;

namespace Dpu.Rpc.Tests.Server;

/// <summary>Our server and requests that no good client sends.</summary>
[TestClass]
public sealed class MalformedRequestTests
{
    private const string Unary = "/grpc.testing.TestService/UnaryCall";

    private static RpcServer server = null!;
    private static RawCall raw = null!;

    [ClassInitialize]
    public static async Task StartAsync(TestContext _)
    {
        server = await RpcServer.StartAsync(app =>
        {
            app.MapGrpcService<InteropService>();
            app.MapGet("/page", () => "a page");
        });
        raw = new RawCall(server.Address);
    }

    [ClassCleanup]
    public static async Task StopAsync()
    {
        raw.Dispose();
        await server.DisposeAsync();
    }

    [TestMethod]
    [TestCategory("unit")]
    [DataRow("text/plain")]
    [DataRow("application/grpc-web")]
    [DataRow("application/json")]
    public async Task Request_OtherContentType_Is415(string type)
    {
        (HttpResponseMessage response, _) = await raw.SendAsync(Unary, RawCall.Frame([]), type);
        Assert.AreEqual(HttpStatusCode.UnsupportedMediaType, response.StatusCode);
    }

    [TestMethod]
    [TestCategory("unit")]
    public async Task Request_Get_Is405()
    {
        (HttpResponseMessage response, _) = await raw.SendAsync(Unary, RawCall.Frame([]), change: request => request.Method = HttpMethod.Get);
        Assert.AreEqual(HttpStatusCode.MethodNotAllowed, response.StatusCode);
    }

    [TestMethod]
    [TestCategory("unit")]
    [DataRow("/grpc.testing.TestService/NoSuchMethod")]
    [DataRow("/no.such.Service/Method")]
    public async Task Request_UnknownPath_IsUnimplementedTrailersOnly(string path)
    {
        (HttpResponseMessage response, byte[] body) = await raw.SendAsync(path, RawCall.Frame([]));
        Assert.AreEqual("12", RawCall.TrailersOnlyStatus(response));
        Assert.IsEmpty(body);
    }

    [TestMethod]
    [TestCategory("unit")]
    public async Task Request_OtherPage_IsStillServed()
    {
        (HttpResponseMessage response, _) = await raw.SendAsync("/page", [], "text/plain", request => request.Method = HttpMethod.Get);
        Assert.AreEqual(HttpStatusCode.OK, response.StatusCode);
        (response, _) = await raw.SendAsync("/no/page", [], "text/plain");
        Assert.AreEqual(HttpStatusCode.NotFound, response.StatusCode);
    }

    [TestMethod]
    [TestCategory("unit")]
    [DataRow("none", new byte[0], "12")]
    [DataRow("two", new byte[] { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 }, "12")]
    [DataRow("a message and a byte", new byte[] { 0, 0, 0, 0, 0, 0 }, "12")]
    [DataRow("part of a prefix", new byte[] { 0, 0, 0 }, "13")]
    [DataRow("part of a message", new byte[] { 0, 0, 0, 0, 2, 8 }, "13")]
    [DataRow("flag 2", new byte[] { 2, 0, 0, 0, 0 }, "13")]
    [DataRow("flag 1 without encoding", new byte[] { 1, 0, 0, 0, 0 }, "13")]
    [DataRow("4 GiB - 1 announced", new byte[] { 0, 255, 255, 255, 255 }, "8")]
    [DataRow("no protobuf", new byte[] { 0, 0, 0, 0, 2, 255, 255 }, "13")]
    public async Task Unary_MalformedBody_HasItsStatus(string what, byte[] body, string expected)
    {
        (HttpResponseMessage response, _) = await raw.SendAsync(Unary, body);
        Assert.AreEqual(expected, RawCall.TrailersOnlyStatus(response), what);
        Assert.DoesNotContain(entry => entry.Level >= Microsoft.Extensions.Logging.LogLevel.Error, server.Log.Entries);
    }

    [TestMethod]
    [TestCategory("unit")]
    [DataRow("grpc-timeout", "1", "13")]
    [DataRow("grpc-timeout", "123456789S", "13")]
    [DataRow("grpc-timeout", "0S", "4")]
    [DataRow("x-bytes-bin", "!", "13")]
    [DataRow("grpc-encoding", "snappy", "12")]
    [DataRow("grpc-encoding", "identity", null)]
    public async Task Unary_Header_HasItsStatus(string name, string value, string? expected)
    {
        (HttpResponseMessage response, _) = await raw.SendAsync(
            Unary, RawCall.Frame([]), change: request => request.Headers.TryAddWithoutValidation(name, value));
        string status = response.TrailingHeaders.TryGetValues("grpc-status", out IEnumerable<string>? trailing) ? trailing.Single() : RawCall.TrailersOnlyStatus(response);
        Assert.AreEqual(expected ?? "0", status);
        Assert.AreEqual(name == "grpc-encoding" && expected is not null, response.Headers.Contains("grpc-accept-encoding"));
    }

    [TestMethod]
    [TestCategory("unit")]
    public async Task Unary_CompressedFlagWithIdentity_IsInternal()
    {
        (HttpResponseMessage response, _) = await raw.SendAsync(
            Unary, RawCall.Frame([], flag: 1), change: request => request.Headers.TryAddWithoutValidation("grpc-encoding", "identity"));
        Assert.AreEqual("13", RawCall.TrailersOnlyStatus(response));
    }

    [TestMethod]
    [TestCategory("unit")]
    public async Task Unary_GoodRequest_HasStatusInTrailersEvenForOk()
    {
        byte[] request = new SimpleRequest { ResponseSize = 3 }.ToByteArray();
        (HttpResponseMessage response, byte[] body) = await raw.SendAsync(Unary, RawCall.Frame(request), "application/grpc+proto");
        CollectionAssert.AreEqual(RawCall.Frame(new SimpleResponse { Payload = InteropService.PayloadOf(3) }.ToByteArray()), body);
        Assert.IsFalse(response.Headers.Contains("grpc-status"));
        Assert.AreEqual("0", response.TrailingHeaders.GetValues("grpc-status").Single());
        Assert.IsFalse(response.TrailingHeaders.Contains("grpc-message"));
    }

    [TestMethod]
    [TestCategory("unit")]
    public async Task Unary_MessageBeyondLimit_IsResourceExhaustedAndOthersGoOn()
    {
        using Grpc.Net.Client.GrpcChannel channel = server.Connect();
        var client = new TestService.TestServiceClient(channel);
        var request = new SimpleRequest { Payload = InteropService.PayloadOf(5 << 20) };
        await InteropClient.FailsAsync(StatusCode.ResourceExhausted, async () => await client.UnaryCallAsync(request, InteropClient.Options()));
        Assert.AreEqual(new Empty(), await client.EmptyCallAsync(new Empty(), InteropClient.Options()));
    }
}
