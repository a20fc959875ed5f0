using Dpu.Hosting.Configuration;
using Dpu.Keeper;
using Dpu.Link;
using Dpu.Runtime.Events;

namespace Dpu.Runtime.Hosts;

/// <summary>The links to all configured hosts. Thread-safe.</summary>
/// <param name="dialers">Opens connections.</param>
/// <param name="keeping">Remembers the sessions, which outlive the runtime.</param>
/// <param name="events">Is told when a host comes or goes.</param>
/// <param name="time">The clock.</param>
/// <param name="logger">The log.</param>
public sealed class HostLinks(DialerSource dialers, Keeping keeping, EventHub events, TimeProvider time, ILogger<HostLinks> logger) : IAsyncDisposable
{
    private readonly Lock _lock = new();
    private readonly object _configured = new();
    private readonly SortedDictionary<string, HostLink> _links = new(StringComparer.Ordinal);

    /// <summary>A host came up or went down.</summary>
    public event Action<HostLink>? Changed;

    /// <summary>All links, by name.</summary>
    public IReadOnlyList<HostLink> All
    {
        get
        {
            lock (_lock)
            {
                return [.. _links.Values];
            }
        }
    }

    /// <summary>The link to a host, or null where the configuration has none of that name.</summary>
    public HostLink? Find(string name)
    {
        lock (_lock)
        {
            return _links.GetValueOrDefault(name);
        }
    }

    /// <summary>Makes the links those of the configuration: new hosts are dialled, changed ones anew, others dropped.</summary>
    /// <returns>What changed, in words.</returns>
    public IReadOnlyList<string> Configure(IReadOnlyList<HostConfiguration> hosts)
    {
        List<HostLink> dropped = [];
        List<string> applied = [];
        lock (_lock)
        {
            foreach (HostLink link in _links.Values.ToArray())
            {
                HostConfiguration? wanted = hosts.FirstOrDefault(host => host.Name == link.HostName);
                if (wanted != link.Configuration)
                {
                    _links.Remove(link.HostName);
                    dropped.Add(link);
                    applied.Add(wanted is null ? $"host '{link.HostName}' removed" : $"host '{link.HostName}' changed");
                }
            }

            foreach (HostConfiguration host in hosts.Where(host => !_links.ContainsKey(host.Name)))
            {
                var link = new HostLink(host, dialers.For(host), SessionOf(host.Name), events, time, logger);
                link.Changed += changed => Changed?.Invoke(changed);
                _links.Add(host.Name, link);
                if (!applied.Any(line => line == $"host '{host.Name}' changed"))
                {
                    applied.Add($"host '{host.Name}' added");
                }
            }
        }

        lock (_configured)
        {
            Monitor.PulseAll(_configured);
        }

        // Their mounts see the link end; nobody needs to wait for it.
        _ = Task.WhenAll(dropped.Select(link => link.DisposeAsync().AsTask()));
        return applied;
    }

    // The host knows the mounts by it, also those that an earlier runtime has made.
    private LinkSession SessionOf(string host)
    {
        string name = "session/" + host;
        using Kept? kept = keeping.Get(name);
        LinkSession session = (kept is null ? null : LinkSession.Read(kept.Entry.Note.Span)) ?? LinkSession.Begin(time.GetUtcNow());
        keeping.Hold(name, null, session.ToNote());
        return session;
    }

    /// <summary>Waits for the next <see cref="Configure"/>, at most <paramref name="limit"/>.</summary>
    public void WaitConfigured(TimeSpan limit)
    {
        lock (_configured)
        {
            Monitor.Wait(_configured, limit);
        }
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        foreach (HostLink link in All)
        {
            await link.DisposeAsync().ConfigureAwait(false);
        }
    }
}
