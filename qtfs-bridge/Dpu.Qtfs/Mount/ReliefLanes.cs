using Dpu.Fuse;
using Dpu.Link;
using Dpu.Linux;

namespace Dpu.Qtfs.Mount;

/// <summary>
/// Lanes that are made while all others wait for the host (a slow disk, a hung network file system below the export), so
/// that requests which could be answered are. Each ends when it has had nothing to do for a while. Thread-safe.
/// </summary>
internal sealed class ReliefLanes
{
    /// <summary>The most of a mount, where its host allows as many: so many slow requests hold up nobody else.</summary>
    public const int Most = 96;

    private const int MostConnecting = 8;

    /// <summary>Short: each lane that waits for requests is woken by each of them.</summary>
    private static readonly TimeSpan IdleLimit = TimeSpan.FromSeconds(2);

    /// <summary>After a refusal (the host's limit of connections), which would only come again.</summary>
    private static readonly TimeSpan RetryInterval = TimeSpan.FromSeconds(1);

    private readonly RemoteMount _mount;
    private readonly object _lock = new();
    private readonly MountLane?[] _lanes = new MountLane?[Most];
    private MountLane[] _serving = [];
    private int _connecting;
    private int _running;
    private long _refusedAt = long.MinValue / 2;
    private bool _stopped;

    public ReliefLanes(RemoteMount mount) => _mount = mount;

    /// <summary>How many the host allows beside the configured ones; set before the first request.</summary>
    public int Allowed { get; set; }

    /// <summary>Those that there are.</summary>
    public MountLane[] Serving => Volatile.Read(ref _serving);

    /// <summary>Makes lanes for requests that wait in the overflow queue; returns at once.</summary>
    public void Help(int waiting)
    {
        lock (_lock)
        {
            bool refused = Environment.TickCount64 - _refusedAt < (long)RetryInterval.TotalMilliseconds;
            while (!_stopped && !refused && _mount.Connector.IsUp && _connecting < Math.Min(waiting, MostConnecting))
            {
                int slot = Array.IndexOf(_lanes, null);
                if (slot < 0 || slot >= Allowed)
                {
                    return;
                }

                Start(slot, connect: true);
            }
        }
    }

    /// <summary>Makes the lanes again of an earlier runtime that had not ended their requests; before any thread runs.</summary>
    /// <param name="numbers">The lanes' numbers.</param>
    /// <returns>They.</returns>
    public IEnumerable<MountLane> Recover(IEnumerable<int> numbers)
    {
        List<MountLane> lanes = [];
        foreach (int slot in numbers.Select(number => number - _mount.Options.Lanes).Where(slot => slot is >= 0 and < Most))
        {
            var lane = new MountLane(_mount, (uint)(_mount.Options.Lanes + slot));
            if (lane.Unfinished == 0)
            {
                lane.Dispose();
                continue;
            }

            _lanes[slot] = lane;
            lanes.Add(lane);
        }

        return lanes;
    }

    /// <summary>Starts what <see cref="Recover"/> has made. They connect when they can: their requests wait for it.</summary>
    public void StartRecovered()
    {
        lock (_lock)
        {
            for (int slot = 0; slot < Most; slot++)
            {
                if (_lanes[slot] is not null)
                {
                    Start(slot, connect: false);
                }
            }
        }
    }

    // Under the lock. The gate has a place for each of them, behind the configured lanes'.
    private void Start(int slot, bool connect)
    {
        MountLane lane = _lanes[slot] ??= new MountLane(_mount, (uint)(_mount.Options.Lanes + slot));
        _connecting++;
        _running++;
        Publish();
        _mount.StartThread($"relief{slot}", () => Run(slot, lane, connect));
    }

    /// <summary>Ends them; returns when they have.</summary>
    public void Stop()
    {
        lock (_lock)
        {
            _stopped = true;
            Array.ForEach(_serving, lane => lane.Cut());
            while (_running > 0)
            {
                Monitor.Wait(_lock);
            }
        }
    }

    private void Run(int slot, MountLane lane, bool connect)
    {
        bool connected = false;
        try
        {
            // First the connection: a request that is taken is this lane's, however long the host refuses it.
            if (connect)
            {
                _ = lane.Connect();
            }

            lock (_lock)
            {
                connected = true;
                _connecting--;
            }

            lane.RunRelief(_mount.GuardDevice, IdleLimit);
        }
        catch (Exception e) when (e is LinkException or IOException or FuseChannelException or ObjectDisposedException or OperationCanceledException)
        {
            // Expected where the host refuses more, where descriptors are used up, or where the mount ends.
            _mount.LaneBroke(e.Message);
        }
        finally
        {
            lock (_lock)
            {
                _lanes[slot] = null;
                Publish();
                if (!connected)
                {
                    _connecting--;
                    _refusedAt = Environment.TickCount64;
                }

                lane.Dispose();
                _running--;
                Monitor.PulseAll(_lock);
            }
        }
    }

    private void Publish() => Volatile.Write(ref _serving, [.. _lanes.OfType<MountLane>()]);
}
