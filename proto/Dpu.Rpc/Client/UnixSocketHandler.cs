using System.Net.Sockets;

namespace Grpc.Net.Client;

/// <summary>Makes handlers whose connections go elsewhere than their URI says.</summary>
public static class UnixSocketHandler
{
    /// <summary>Connections to a unix socket. Use it with an address such as <c>http://localhost</c>, which then names the authority only.</summary>
    /// <param name="path">The socket's path.</param>
    public static SocketsHttpHandler Create(string path)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        var endPoint = new UnixDomainSocketEndPoint(path);
        return Create(async cancellationToken =>
        {
            var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
            try
            {
                await socket.ConnectAsync(endPoint, cancellationToken).ConfigureAwait(false);
                return new NetworkStream(socket, ownsSocket: true);
            }
            catch
            {
                // Expected where nobody listens: the caller gets the SocketException.
                socket.Dispose();
                throw;
            }
        });
    }

    /// <summary>Connections over whatever the function gives: a stream of the link, one end of a pair in a test.</summary>
    /// <param name="connect">Makes a connected stream; called for each connection.</param>
    public static SocketsHttpHandler Create(Func<CancellationToken, ValueTask<Stream>> connect)
    {
        ArgumentNullException.ThrowIfNull(connect);
        SocketsHttpHandler handler = GrpcHttpHandler.Create();
        handler.ConnectCallback = (_, cancellationToken) => connect(cancellationToken);
        return handler;
    }
}

/// <summary>The handler of a channel that was given none.</summary>
internal static class GrpcHttpHandler
{
    // Long enough for a slow link, short enough that a call without a deadline learns of a dead address.
    private static readonly TimeSpan ConnectTimeout = TimeSpan.FromSeconds(20);

    public static SocketsHttpHandler Create() => new()
    {
        // A call beyond the streams the server allows (often 100) waits for one, as in the other gRPC clients. On a further
        // connection it would be sent before that one's settings are known, and be refused by a server that allows few.
        EnableMultipleHttp2Connections = false,
        ConnectTimeout = ConnectTimeout,
        PooledConnectionIdleTimeout = Timeout.InfiniteTimeSpan,

        // gRPC has neither cookies nor redirects, and a proxy that HTTP_PROXY names is not meant for it.
        AllowAutoRedirect = false,
        UseCookies = false,
        UseProxy = false,

        // The trace context of this process is nobody else's business.
        ActivityHeadersPropagator = null,
    };
}
