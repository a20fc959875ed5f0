using System.Net;
using System.Net.Sockets;
using Dpu.Link.Sockets;
using Dpu.Linux;

namespace Dpu.Link.Dialer;

/// <summary>Connects a blocking socket to an endpoint within a limit.</summary>
internal static class Connector
{
    /// <exception cref="LinkException">Nobody listens there, or it took too long.</exception>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    internal static Socket Connect(LinkEndpoint endpoint, LinkDialerOptions options, CancellationToken cancellation)
    {
        var began = options.Time.GetTimestamp();
        var last = 0;
        foreach (var address in Addresses(endpoint, options, cancellation))
        {
            cancellation.ThrowIfCancellationRequested();
            var left = options.ConnectLimit - options.Time.GetElapsedTime(began);
            if (left <= TimeSpan.Zero)
            {
                last = errno.ETIMEDOUT;
                break;
            }

            last = TryConnect(endpoint, address, left, options, cancellation, out var socket);
            if (last == 0)
            {
                return socket!;
            }
        }

        cancellation.ThrowIfCancellationRequested();
        throw new LinkException(last == errno.ETIMEDOUT ? LinkError.Timeout : LinkError.Unreachable,
            $"Connecting to {endpoint} failed: {(last == errno.ETIMEDOUT ? $"no answer within {options.ConnectLimit.TotalSeconds} s" : NativeSocket.Describe(last))} - {Advice(endpoint, last)}.");
    }

    private static int TryConnect(LinkEndpoint endpoint, byte[] address, TimeSpan limit, LinkDialerOptions options, CancellationToken cancellation, out Socket? socket)
    {
        socket = null;
        var error = NativeSocket.Open(SocketAddresses.Family(address), out var handle);
        if (error != 0)
        {
            return error;
        }

        // shutdown(2) ends a connect in progress.
        using (cancellation.UnsafeRegister(static h => NativeSocket.ShutDown((SafeSocketHandle)h!), handle))
        {
            error = NativeSocket.Connect(handle!, address, limit);
        }

        if (error != 0)
        {
            handle!.Dispose();
            return error;
        }

        try
        {
            if (endpoint.Transport == LinkTransport.Tcp)
            {
                KeepAlive.Apply(handle!, options.DeadPeerAfter);
            }

            socket = new Socket(handle!);
            return 0;
        }
        catch (SocketException e)
        {
            // Expected: the peer reset the connection at once.
            handle!.Dispose();
            return e.NativeErrorCode;
        }
    }

    private static IEnumerable<byte[]> Addresses(LinkEndpoint endpoint, LinkDialerOptions options, CancellationToken cancellation)
    {
        if (endpoint.Transport != LinkTransport.Tcp)
        {
            return [SocketAddresses.Of(endpoint)];
        }

        if (IPAddress.TryParse(endpoint.Host, out var literal))
        {
            return [SocketAddresses.Of(new IPEndPoint(literal, (int)endpoint.Port))];
        }

        using var limit = new CancellationTokenSource(options.ConnectLimit, options.Time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(limit.Token, cancellation);
        try
        {
            // Not a socket of ours: waiting for a resolver here leaves the link's own socket blocking.
            var found = Dns.GetHostAddressesAsync(endpoint.Host, either.Token).WaitAsync(either.Token).GetAwaiter().GetResult();
            return [.. found.Select(a => SocketAddresses.Of(new IPEndPoint(a, (int)endpoint.Port)))];
        }
        catch (SocketException e)
        {
            throw new LinkException(LinkError.Unreachable, $"Looking up {endpoint.Host} failed: {e.Message} - check the name and the resolver.", inner: e);
        }
        catch (OperationCanceledException e) when (!cancellation.IsCancellationRequested)
        {
            throw new LinkException(LinkError.Timeout, $"Looking up {endpoint.Host} took longer than {options.ConnectLimit.TotalSeconds} s - check the resolver.", inner: e);
        }
    }

    private static string Advice(LinkEndpoint endpoint, int error) => error switch
    {
        errno.ECONNREFUSED or errno.ENOENT or errno.ECONNRESET => "is dpu-host-agent running there and listening on this endpoint?",
        errno.EACCES => "this user may not use the socket",
        errno.EAFNOSUPPORT or errno.ENODEV when endpoint.Transport == LinkTransport.Vsock => "this machine has no vsock device or module",
        errno.ETIMEDOUT => "is the machine up, and does a firewall drop it?",
        errno.ENETUNREACH or errno.EHOSTUNREACH => "no route leads there",
        _ => "see the endpoint in the configuration",
    };
}
