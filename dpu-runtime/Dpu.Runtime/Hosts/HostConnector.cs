using Dpu.Link;
using Dpu.Proto.V1;
using Dpu.Qtfs.Mount;
using Dpu.Qtfs.Mount.Sockets;

namespace Dpu.Runtime.Hosts;

/// <summary>
/// A host by its name, for mounts, which may outlive a link: a reload that changes the host's endpoint makes another. A
/// host that the configuration names no more is down. Thread-safe.
/// </summary>
/// <param name="hosts">The links of the moment.</param>
/// <param name="name">The host's name.</param>
/// <param name="time">The clock.</param>
/// <param name="sockets">What carries connections of sockets; null for nothing.</param>
public sealed class HostConnector(HostLinks hosts, string name, TimeProvider time, ISocketRelays? sockets = null) : IHostConnector
{
    private long _missingSince;

    /// <inheritdoc/>
    public string HostName => name;

    /// <inheritdoc/>
    public ISocketRelays? Sockets => sockets;

    /// <inheritdoc/>
    public bool IsUp => Link is { IsUp: true };

    /// <inheritdoc/>
    public long Epoch => Link?.Epoch ?? 0;

    /// <inheritdoc/>
    public TimeSpan DownFor => Link is { } link ? link.DownFor : time.GetElapsedTime(Interlocked.Read(ref _missingSince));

    private HostLink? Link
    {
        get
        {
            HostLink? link = hosts.Find(name);
            if (link is not null)
            {
                Interlocked.Exchange(ref _missingSince, 0);
            }
            else
            {
                Interlocked.CompareExchange(ref _missingSince, time.GetTimestamp(), 0);
            }

            return link;
        }
    }

    /// <inheritdoc/>
    public bool WaitUp(TimeSpan limit)
    {
        if (Link is { } link)
        {
            return link.WaitUp(limit);
        }

        hosts.WaitConfigured(limit);
        return false;
    }

    /// <inheritdoc/>
    public LinkConnection DialLane(FsParameters parameters, CancellationToken stopping) => Link is { } link
        ? link.DialLane(parameters, stopping)
        : throw new LinkException(LinkError.Unreachable, $"the configuration names no host '{name}' any more");
}
