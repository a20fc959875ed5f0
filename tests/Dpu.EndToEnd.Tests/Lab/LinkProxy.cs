using System.Collections.Concurrent;
using System.Net.Sockets;

namespace Dpu.EndToEnd.Tests.Lab;

/// <summary>Stands between a runtime and its host on unix sockets, and can cut what crosses it.</summary>
internal sealed class LinkProxy : IDisposable
{
    private readonly string _host;
    private readonly Socket _listener = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
    private readonly ConcurrentBag<Socket> _sockets = [];
    private volatile bool _closed;

    /// <summary>Listens at <paramref name="path"/> for the host at <paramref name="host"/>.</summary>
    public LinkProxy(string path, string host)
    {
        _host = host;
        _listener.Bind(new UnixDomainSocketEndPoint(path));
        _listener.Listen();
        _ = Task.Run(AcceptAsync);
    }

    /// <summary>Whether new connections are refused.</summary>
    public bool Closed
    {
        get => _closed;
        set => _closed = value;
    }

    /// <summary>Breaks every connection.</summary>
    public void Cut()
    {
        while (_sockets.TryTake(out Socket? socket))
        {
            socket.Dispose();
        }
    }

    public void Dispose()
    {
        _listener.Dispose();
        Cut();
    }

    private async Task AcceptAsync()
    {
        try
        {
            while (true)
            {
                Socket near = await _listener.AcceptAsync();
                if (_closed)
                {
                    near.Dispose();
                    continue;
                }

                var far = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
                await far.ConnectAsync(new UnixDomainSocketEndPoint(_host));
                _sockets.Add(near);
                _sockets.Add(far);
                _ = CopyAsync(near, far);
                _ = CopyAsync(far, near);
            }
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // Expected at the end.
        }
    }

    private static async Task CopyAsync(Socket from, Socket to)
    {
        byte[] buffer = new byte[64 * 1024];
        try
        {
            while (await from.ReceiveAsync(buffer) is > 0 and int length)
            {
                await to.SendAsync(buffer.AsMemory(0, length));
            }
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // Expected where it was cut.
        }

        from.Dispose();
        to.Dispose();
    }
}
