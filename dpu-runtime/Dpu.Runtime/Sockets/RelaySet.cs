using System.Runtime.InteropServices;
using Dpu.Link;
using Dpu.Relay;

namespace Dpu.Runtime.Sockets;

/// <summary>The connections of one socket, which end together when its mount does. Thread-safe.</summary>
internal sealed class RelaySet
{
    private readonly Lock _lock = new();
    private readonly HashSet<IDisposable> _relays = [];
    private bool _broken;

    /// <summary>Begins one, and returns what breaks it off; its ends are the hub's from now on.</summary>
    /// <exception cref="ObjectDisposedException">The hub has ended.</exception>
    public IDisposable Start(
        RelayHub hub, SafeHandle local, LinkConnection connection, RelayInfo info, Action? ended, RelayContinuity? continuity, Dpu.Linux.ucred? speaker = null, Dpu.Relay.Descriptors.IDescriptorPassing? passing = null, Action<SpareConnection>? spare = null)
    {
        IDisposable? relay = null;
        bool over = false;
        relay = hub.Start(local, connection, info, speaker, _ =>
        {
            lock (_lock)
            {
                over = true;
                if (relay is not null)
                {
                    _relays.Remove(relay);
                }
            }

            ended?.Invoke();
        }, continuity, passing, spare);
        bool broken;
        lock (_lock)
        {
            broken = _broken;
            if (!over)
            {
                _relays.Add(relay);
            }
        }

        if (broken)
        {
            relay.Dispose();
        }

        return relay;
    }

    /// <summary>Breaks all off, those that come too.</summary>
    public void BreakOff()
    {
        IDisposable[] all;
        lock (_lock)
        {
            _broken = true;
            all = [.. _relays];
        }

        Array.ForEach(all, relay => relay.Dispose());
    }
}
