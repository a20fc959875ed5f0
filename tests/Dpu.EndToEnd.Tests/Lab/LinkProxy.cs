using System.Collections.Concurrent;
using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Text.Json.Nodes;

namespace Dpu.EndToEnd.Tests.Lab;

/// <summary>Stands between a runtime and its host, and can cut what crosses it.</summary>
internal sealed class LinkProxy : IDisposable
{
    private readonly EndPoint _host;
    private readonly Socket _listener;
    private readonly ConcurrentBag<Socket> _sockets = [];
    private readonly Lock _lock = new();
    private volatile bool _closed;
    private int _accepted;
    private Random? _random;
    private int _most;
    private long _left;
    private long _armed;
    private TaskCompletionSource<long>? _cut;

    /// <summary>Listens at <paramref name="path"/> for the host at <paramref name="host"/>.</summary>
    public LinkProxy(string path, string host)
        : this(new UnixDomainSocketEndPoint(path), new UnixDomainSocketEndPoint(host))
    {
    }

    private LinkProxy(EndPoint here, EndPoint host)
    {
        _host = host;
        _listener = New();
        _listener.Bind(here);
        _listener.Listen();
        _ = Task.Run(AcceptAsync);
    }

    /// <summary>Whether new connections are refused.</summary>
    public bool Closed
    {
        get => _closed;
        set => _closed = value;
    }

    /// <summary>How often it has cut by itself.</summary>
    public int Cuts { get; private set; }

    /// <summary>How many connections have come.</summary>
    public int Accepted => Volatile.Read(ref _accepted);

    /// <summary>Starts agent and runtime with a proxy between, and a mount of all that is exported.</summary>
    public static LinkProxy Up(Pair pair, out string target, string cache = ThreeMounts.None, Action<JsonObject>? configure = null)
    {
        string path = Path.Combine(pair.Folder, "proxy.sock");
        LinkProxy? proxy = null;
        target = pair.Up(
            mount => mount["cache"] = cache,
            runtime =>
            {
                configure?.Invoke(runtime);
                if (pair.Kind == LinkKind.Tls)
                {
                    proxy = new LinkProxy(new IPEndPoint(IPAddress.Loopback, 0), IPEndPoint.Parse(pair.Endpoint["tcp://".Length..]));
                    runtime["hosts"]![0]!["endpoint"] = $"tcp://{proxy._listener.LocalEndPoint}";
                    return;
                }

                proxy = new LinkProxy(path, pair.Endpoint["unix://".Length..]);
                runtime["hosts"]![0]!["endpoint"] = $"unix://{path}";
            });
        return proxy!;
    }

    /// <summary>Cuts all connections from now on whenever so many bytes have crossed, wherever in a message that is.</summary>
    /// <param name="seed">Of the random numbers.</param>
    /// <param name="most">How many bytes at most lie between two cuts; 0 ends it.</param>
    public void CutAtRandom(int seed, int most)
    {
        lock (_lock)
        {
            _random = most == 0 ? null : new Random(seed);
            _most = most;
            _left = _random?.Next(1, most) ?? 0;
        }
    }

    /// <summary>Closes the link when so many more bytes have crossed; who asked opens it again with <see cref="Closed"/>.</summary>
    /// <returns>When it was cut, of the clock of Stopwatch.</returns>
    public Task<long> CloseAfter(long bytes)
    {
        lock (_lock)
        {
            _armed = bytes;
            _cut = new TaskCompletionSource<long>(TaskCreationOptions.RunContinuationsAsynchronously);
            return _cut.Task;
        }
    }

    /// <summary>Closes it now where nothing has crossed that would have.</summary>
    public void CloseNow()
    {
        _closed = true;
        TellCut();
        Cut();
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

                Socket far = New();
                try
                {
                    await far.ConnectAsync(_host);
                }
                catch (SocketException)
                {
                    // Expected while no agent is there: the runtime sees the same as without a proxy.
                    near.Dispose();
                    far.Dispose();
                    continue;
                }

                _ = Interlocked.Increment(ref _accepted);
                _sockets.Add(near);
                _sockets.Add(far);
                if (_closed)
                {
                    Cut();
                }

                _ = CopyAsync(near, far);
                _ = CopyAsync(far, near);
            }
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // Expected at the end.
        }
    }

    private Socket New() => _host is IPEndPoint
        ? new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp)
        : new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);

    private void TellCut()
    {
        lock (_lock)
        {
            _cut?.TrySetResult(Stopwatch.GetTimestamp());
            Cuts++;
        }
    }

    private int PassedBeforeCut(int length)
    {
        lock (_lock)
        {
            if (_cut is { Task.IsCompleted: false })
            {
                _armed -= length;
                if (_armed < 0)
                {
                    _closed = true;
                    Cuts++;
                    _cut.TrySetResult(Stopwatch.GetTimestamp());
                    return (int)Math.Max(0, length + _armed);
                }
            }

            _left -= length;
            if (_random is null || _left >= 0)
            {
                return length;
            }

            int passed = (int)(length + _left);
            _left = _random.Next(1, _most);
            Cuts++;
            return Math.Max(0, passed);
        }
    }

    private async Task CopyAsync(Socket from, Socket to)
    {
        byte[] buffer = new byte[64 * 1024];
        try
        {
            while (await from.ReceiveAsync(buffer) is > 0 and int length)
            {
                int passed = PassedBeforeCut(length);
                await to.SendAsync(buffer.AsMemory(0, passed));
                if (passed < length)
                {
                    Cut();
                }
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
