using Dpu.Link;
using Dpu.Proto.V1;
using Dpu.Relay.Processes;
using Dpu.Runtime.Hosts;

namespace Dpu.Runtime.Processes;

/// <summary>
/// Connections to hosts that are made before a process needs one, or that one has had: a start would wait for a handshake as long as for all the rest. There
/// are some for each host that has begun a process lately, and none for others. They end with their link. Thread-safe.
/// </summary>
/// <param name="run">Has something done on a thread that may wait.</param>
/// <param name="time">The clock.</param>
internal sealed class SpareExecConnections(Action<Action> run, TimeProvider time) : IDisposable
{
    // Two starts in a row, and the next ones while these are replaced. Each holds a thread of the host.
    private const int Most = 2;

    // Of those that processes have had: the host keeps twice as many.
    private const int MostUsed = 4;

    // The host waits for 60 s.
    private static readonly TimeSpan s_kept = TimeSpan.FromSeconds(40);

    private readonly Lock _lock = new();
    private readonly List<Spare> _waiting = [];
    private readonly Dictionary<string, int> _dialled = new(StringComparer.Ordinal);
    private readonly HashSet<string> _refused = new(StringComparer.Ordinal);
    private readonly HashSet<string> _reuse = new(StringComparer.Ordinal);
    private bool _disposed;

    /// <summary>One that works as far as can be seen, the caller's; null where there is none.</summary>
    public ExecConnection? Take(HostLink link)
    {
        Spare? taken = null;
        List<Spare> old = [];
        lock (_lock)
        {
            for (int i = _waiting.Count - 1; i >= 0 && taken is null; i--)
            {
                if (_waiting[i].Host == link.HostName)
                {
                    Spare spare = _waiting[i];
                    _waiting.RemoveAt(i);
                    if (IsUsable(spare) && link.IsCurrent(spare.Connection.Link))
                    {
                        taken = spare;
                    }
                    else
                    {
                        old.Add(spare);
                    }
                }
            }
        }

        old.ForEach(spare => spare.Connection.Dispose());
        return taken?.Connection;
    }

    /// <summary>Has others made in the place of those that were taken. Not before the start that took one: it would wait for a processor.</summary>
    public void Refill(HostLink link)
    {
        int wanted;
        lock (_lock)
        {
            int there = _waiting.Count(spare => spare.Host == link.HostName) + _dialled.GetValueOrDefault(link.HostName);

            // One that is in use comes back.
            wanted = _disposed || _refused.Contains(link.HostName) || (there > 0 && _reuse.Contains(link.HostName)) ? 0 : Math.Max(0, Most - there);
            _dialled[link.HostName] = _dialled.GetValueOrDefault(link.HostName) + wanted;
        }

        for (int i = 0; i < wanted; i++)
        {
            run(() => Make(link));
        }
    }

    /// <summary>Takes one back whose process is over; it is nobody else's from now on.</summary>
    public void Return(string host, ExecConnection connection)
    {
        bool isKept;
        lock (_lock)
        {
            isKept = !_disposed && connection.Reuses && _waiting.Count(spare => spare.Host == host) < MostUsed;
            if (isKept)
            {
                _waiting.Add(new Spare(host, connection, time.GetTimestamp()));
            }
        }

        if (!isKept)
        {
            connection.Dispose();
        }
    }

    /// <summary>Ends those that nobody has needed.</summary>
    public void Prune()
    {
        Spare[] old;
        lock (_lock)
        {
            old = [.. _waiting.Where(spare => !IsUsable(spare))];
            _ = _waiting.RemoveAll(old.Contains);
        }

        Array.ForEach(old, spare => spare.Connection.Dispose());
    }

    /// <summary>A host may know of them now, which it did not before.</summary>
    public void Changed(string host)
    {
        lock (_lock)
        {
            _ = _refused.Remove(host);
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Spare[] all;
        lock (_lock)
        {
            _disposed = true;
            all = [.. _waiting];
            _waiting.Clear();
        }

        Array.ForEach(all, spare => spare.Connection.Dispose());
    }

    private void Make(HostLink link)
    {
        ExecConnection? made = null;
        bool refused = false;
        try
        {
            made = new ExecConnection(link.DialExec(new ExecParameters { Spare = true, StandsIn = true, TakesNotes = true, Reuses = true }));
        }
        catch (LinkException e)
        {
            // Expected: the link is down; or the host is of an earlier version, or has enough.
            refused = !e.IsTransient;
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException or OperationCanceledException)
        {
            // Expected while the link comes and goes, or the runtime stops.
        }

        lock (_lock)
        {
            _dialled[link.HostName]--;
            if (refused)
            {
                _ = _refused.Add(link.HostName);
            }

            if (made is not null && !_disposed)
            {
                _ = made.Reuses ? _reuse.Add(link.HostName) : _reuse.Remove(link.HostName);
                _waiting.Add(new Spare(link.HostName, made, time.GetTimestamp()));
                made = null;
            }
        }

        made?.Dispose();
    }

    private bool IsUsable(Spare spare) => time.GetElapsedTime(spare.Since) < s_kept && spare.Connection.IsOpen;

    private sealed record Spare(string Host, ExecConnection Connection, long Since);
}
