using System.Buffers.Binary;
using System.Net;
using System.Net.Http.Headers;

namespace Dpu.Rpc.Tests.Support;

/// <summary>Requests made by hand, for what our client would never send.</summary>
internal sealed class RawCall : IDisposable
{
    private readonly HttpMessageInvoker invoker = new(new SocketsHttpHandler { UseProxy = false });
    private readonly Uri address;

    public RawCall(Uri address) => this.address = address;

    /// <summary>A message with its prefix.</summary>
    public static byte[] Frame(byte[] message, byte flag = 0)
    {
        byte[] bytes = [flag, 0, 0, 0, 0, .. message];
        BinaryPrimitives.WriteUInt32BigEndian(bytes.AsSpan(1), (uint)message.Length);
        return bytes;
    }

    /// <summary>Sends a request and reads the response to its end.</summary>
    public async Task<(HttpResponseMessage Response, byte[] Body)> SendAsync(
        string path, byte[] body, string contentType = "application/grpc", Action<HttpRequestMessage>? change = null)
    {
        using var limit = new CancellationTokenSource(Peer.Limit);
        var request = new HttpRequestMessage(HttpMethod.Post, new Uri(address, path))
        {
            Version = HttpVersion.Version20,
            VersionPolicy = HttpVersionPolicy.RequestVersionExact,
            Content = new ByteArrayContent(body),
        };
        request.Content.Headers.ContentType = MediaTypeHeaderValue.Parse(contentType);
        request.Headers.TryAddWithoutValidation("te", "trailers");
        change?.Invoke(request);
        HttpResponseMessage response = await invoker.SendAsync(request, limit.Token);
        return (response, await response.Content.ReadAsByteArrayAsync(limit.Token));
    }

    /// <summary>The grpc-status of a Trailers-Only response; fails where the response is not one.</summary>
    public static string TrailersOnlyStatus(HttpResponseMessage response)
    {
        Assert.AreEqual(HttpStatusCode.OK, response.StatusCode);
        Assert.AreEqual("application/grpc", response.Content.Headers.ContentType?.ToString());
        Assert.IsEmpty(response.TrailingHeaders);
        return response.Headers.GetValues("grpc-status").Single();
    }

    public void Dispose() => invoker.Dispose();
}
