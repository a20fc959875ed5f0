using Dpu.Fuse;

namespace Dpu.Qtfs.Export;

// What operators see of the service.
public sealed partial class ExportService
{
    /// <summary>The sessions of one peer, or of all where <paramref name="peer"/> is null.</summary>
    public IReadOnlyList<ExportSessionSnapshot> Sessions(string? peer = null)
    {
        lock (_lock)
        {
            return
            [
                .. _sessions.Values
                    .Where(session => peer is null || session.Peer == peer)
                    .OrderBy(session => session.Started)
                    .Select(session => new ExportSessionSnapshot(
                        session.Id,
                        session.Peer,
                        session.Started,
                        session.Mounts.Values.Sum(mount => mount.LaneCount),
                        session.Mounts.Count,
                        session.Mounts.Values.Sum(mount => mount.OpenNodes),
                        session.Mounts.Values.Sum(mount => mount.OpenHandles),
                        session.Mounts.Values.Sum(mount => mount.Requests),
                        session.Mounts.Values.Sum(mount => mount.Refused)))
            ];
        }
    }

    /// <summary>What each mount has done: those of one peer, or of all where <paramref name="peer"/> is null.</summary>
    public IReadOnlyList<ExportMountStatistics> Statistics(string? peer = null)
    {
        lock (_lock)
        {
            return
            [
                .. _sessions.Values
                    .Where(session => peer is null || session.Peer == peer)
                    .OrderBy(session => session.Started)
                    .SelectMany(session => session.Mounts.Values)
                    .Select(mount => new ExportMountStatistics(
                        mount.Session.Id,
                        mount.Id,
                        mount.Session.Peer,
                        mount.Export.Name,
                        mount.Export.Path,
                        mount.ReadOnly,
                        mount.Started,
                        mount.LaneCount,
                        mount.OpenNodes,
                        mount.OpenHandles,
                        mount.Refused,
                        mount.Operations.Snapshot(),
                        mount.OpcodesInFlight))
            ];
        }
    }

    /// <summary>What each peer has done with each export since the service began. Never less than asked before.</summary>
    public IReadOnlyList<ExportTotals> Totals()
    {
        lock (_lock)
        {
            var totals = new Dictionary<(string Peer, string Export), FuseStatistics>();
            foreach (ExportedMount mount in _sessions.Values.SelectMany(session => session.Mounts.Values))
            {
                (string, string) key = (mount.Session.Peer, mount.Export.Name);
                if (!totals.TryGetValue(key, out FuseStatistics? sum))
                {
                    totals.Add(key, sum = new FuseStatistics());
                }

                sum.Add(mount.Operations);
            }

            foreach (((string, string) key, FuseStatistics past) in _past)
            {
                if (!totals.TryAdd(key, past))
                {
                    totals[key].Add(past);
                }
            }

            return [.. totals.Select(total => new ExportTotals(total.Key.Peer, total.Key.Export, total.Value.Snapshot()))];
        }
    }
}
