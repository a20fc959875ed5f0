using System.Collections.Concurrent;
using Dpu.Linux.Sockets;

namespace Dpu.Qtfs.Export.Sockets;

/// <summary>
/// What is bound to files, in every network namespace of the machine: a socket is reached by its file from all of them, and shown by
/// sock_diag(7) in its own only. Thread-safe.
/// </summary>
/// <param name="time">The clock.</param>
internal sealed class SocketStates(TimeProvider time) : IDisposable
{
    /// <summary>Namespaces come and go with containers; a look at all processes costs milliseconds.</summary>
    private static readonly TimeSpan SearchInterval = TimeSpan.FromSeconds(1);

    private const int MaxNamespaces = 1024;

    private readonly Lock _lock = new();
    private readonly Dictionary<string, UnixDiagnosis> _namespaces = new(StringComparer.Ordinal);

    // As many as threads have asked at a time: what is asked for most is here.
    private readonly ConcurrentBag<UnixDiagnosis> _own = [];
    private long _searched;
    private volatile bool _disposed;

    /// <summary>What is bound to a file.</summary>
    public BoundSocket Find(ulong device, ulong inode)
    {
        BoundSocket found = FindHere(device, inode);
        if (found.Type != 0)
        {
            return found;
        }

        lock (_lock)
        {
            return _disposed ? default : FindElsewhere(device, inode);
        }
    }

    public void Dispose()
    {
        lock (_lock)
        {
            _disposed = true;
            CloseOwn();
            foreach (UnixDiagnosis other in _namespaces.Values)
            {
                other.Dispose();
            }

            _namespaces.Clear();
        }
    }

    private BoundSocket FindHere(ulong device, ulong inode)
    {
        if (_disposed || ((_own.TryTake(out UnixDiagnosis? own) ? own : UnixDiagnosis.TryOpen()) is not { } asked))
        {
            return default;
        }

        BoundSocket found = asked.Find(device, inode);
        _own.Add(asked);
        if (_disposed)
        {
            CloseOwn();
        }

        return found;
    }

    private void CloseOwn()
    {
        while (_own.TryTake(out UnixDiagnosis? own))
        {
            own.Dispose();
        }
    }

    private BoundSocket FindElsewhere(ulong device, ulong inode)
    {
        if (_searched == 0 || time.GetElapsedTime(_searched) >= SearchInterval)
        {
            Search();
            _searched = time.GetTimestamp();
        }

        foreach (UnixDiagnosis other in _namespaces.Values)
        {
            BoundSocket found = other.Find(device, inode);
            if (found.Type != 0)
            {
                return found;
            }
        }

        return default;
    }

    // Those of processes; one that only a file holds (ip netns) and no process lives in has nobody to accept.
    private void Search()
    {
        var present = new Dictionary<string, string>(StringComparer.Ordinal);
        string own = Target("/proc/self/ns/net") ?? "";
        foreach (string process in Directory.EnumerateDirectories("/proc").Where(path => char.IsAsciiDigit(path["/proc/".Length])))
        {
            string path = process + "/ns/net";
            if (Target(path) is { } name && name != own && present.Count < MaxNamespaces)
            {
                present.TryAdd(name, path);
            }
        }

        foreach (string gone in _namespaces.Keys.Where(name => !present.ContainsKey(name)).ToArray())
        {
            _namespaces[gone].Dispose();
            _namespaces.Remove(gone);
        }

        (string Name, string Path)[] added = [.. present.Where(one => !_namespaces.ContainsKey(one.Key)).Select(one => (one.Key, one.Value))];
        foreach ((string name, string path) in added)
        {
            if (UnixDiagnosis.TryOpenIn(path) is { } opened)
            {
                _namespaces[name] = opened;
            }
        }
    }

    private static string? Target(string path)
    {
        try
        {
            return File.ResolveLinkTarget(path, returnFinalTarget: false)?.Name;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // Expected: the process has ended.
            return null;
        }
    }
}
