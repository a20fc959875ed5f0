using System.Net.Sockets;

namespace Dpu.Hosting.Control;

/// <summary>Handlers for clients of a control interface: HTTP/2 over whatever stream a function opens.</summary>
public static class ControlClient
{
    /// <summary>How long a connection may be silent before it is asked whether it lives.</summary>
    public static readonly TimeSpan KeepAliveDelay = TimeSpan.FromSeconds(5);

    /// <summary>How long it may take to answer.</summary>
    public static readonly TimeSpan KeepAliveTimeout = TimeSpan.FromSeconds(5);

    /// <summary>
    /// A handler over streams that <paramref name="connect"/> opens; it owns them. A peer that dies without a word is
    /// noticed within <see cref="KeepAliveDelay"/> and <see cref="KeepAliveTimeout"/>, calls under way or not.
    /// Where the function does TLS itself and returns an <see cref="System.Net.Security.SslStream"/>, calls go to an
    /// <c>https</c> address (the server compares the scheme); otherwise, streams of the link included, to an <c>http</c> one.
    /// </summary>
    public static SocketsHttpHandler CreateHandler(Func<CancellationToken, ValueTask<Stream>> connect)
    {
        ArgumentNullException.ThrowIfNull(connect);
        return new SocketsHttpHandler
        {
            ConnectCallback = (_, cancellation) => connect(cancellation),
            KeepAlivePingDelay = KeepAliveDelay,
            KeepAlivePingTimeout = KeepAliveTimeout,
            KeepAlivePingPolicy = HttpKeepAlivePingPolicy.Always,
            PooledConnectionIdleTimeout = Timeout.InfiniteTimeSpan,
            PooledConnectionLifetime = Timeout.InfiniteTimeSpan,
            ConnectTimeout = TimeSpan.FromSeconds(15),
            UseProxy = false,
            UseCookies = false,
            AllowAutoRedirect = false,
        };
    }

    /// <summary>A handler over a unix socket.</summary>
    public static SocketsHttpHandler CreateUnixHandler(string path)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        return CreateHandler(async cancellation =>
        {
            var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
            try
            {
                await socket.ConnectAsync(new UnixDomainSocketEndPoint(path), cancellation).ConfigureAwait(false);
                return new NetworkStream(socket, ownsSocket: true);
            }
            catch
            {
                socket.Dispose();
                throw;
            }
        });
    }
}
