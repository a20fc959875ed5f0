namespace Dpu.Link.Listener;

/// <summary>Counts connections against limits. Thread-safe, without I/O.</summary>
internal sealed class ConnectionLimits(int maxHandshakes, int maxHandshakesPerOrigin, int maxConnections)
{
    private readonly Lock _lock = new();
    private readonly Dictionary<string, int> _handshakesByOrigin = new(StringComparer.Ordinal);
    private readonly Dictionary<string, int> _connectionsByPeer = new(StringComparer.Ordinal);
    private int _handshakes;
    private int _connections;

    /// <summary>Connections being set up now.</summary>
    internal int Handshakes
    {
        get
        {
            lock (_lock)
            {
                return _handshakes;
            }
        }
    }

    /// <summary>Connections in service now.</summary>
    internal int Connections
    {
        get
        {
            lock (_lock)
            {
                return _connections;
            }
        }
    }

    internal bool TryBeginHandshake(string origin)
    {
        lock (_lock)
        {
            if (_handshakes >= maxHandshakes || !TryAdd(_handshakesByOrigin, origin, maxHandshakesPerOrigin))
            {
                return false;
            }

            _handshakes++;
            return true;
        }
    }

    internal void EndHandshake(string origin)
    {
        lock (_lock)
        {
            _handshakes--;
            Remove(_handshakesByOrigin, origin);
        }
    }

    internal bool TryConnect(string peer, int limit)
    {
        lock (_lock)
        {
            if (_connections >= maxConnections || !TryAdd(_connectionsByPeer, peer, limit))
            {
                return false;
            }

            _connections++;
            return true;
        }
    }

    internal void Disconnect(string peer)
    {
        lock (_lock)
        {
            _connections--;
            Remove(_connectionsByPeer, peer);
        }
    }

    private static bool TryAdd(Dictionary<string, int> counts, string key, int limit)
    {
        var count = counts.GetValueOrDefault(key);
        if (count >= limit)
        {
            return false;
        }

        counts[key] = count + 1;
        return true;
    }

    // Entries go at zero: a stranger's addresses must not fill the memory.
    private static void Remove(Dictionary<string, int> counts, string key)
    {
        var count = counts[key] - 1;
        if (count == 0)
        {
            counts.Remove(key);
        }
        else
        {
            counts[key] = count;
        }
    }
}
