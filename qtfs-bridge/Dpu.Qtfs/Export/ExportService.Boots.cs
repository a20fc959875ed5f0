using Dpu.Link;
using Dpu.Proto.V1;

namespace Dpu.Qtfs.Export;

// DPUs that were rebooted.
public sealed partial class ExportService
{
    // Their programs are dead: what those had locked and open is nobody's any more, and need not wait for the grace time.
    private void EndEarlierBoots(string peer, Machine machine)
    {
        ExportedMount[] dead;
        lock (_lock)
        {
            dead = [.. _sessions.Values.Where(session => session.Peer == peer).SelectMany(session => session.Mounts.Values)
                .Where(mount => MachineBoot.IsAnotherBoot(mount.Machine, machine))];
            Array.ForEach(dead, Remove);
        }

        foreach (ExportedMount mount in dead)
        {
            (long locks, long files) = (mount.LockOwners, mount.OpenHandles);
            mount.End();
            Log.PeerRebooted(_logger, mount.Export.Name, peer, locks, files);
        }
    }
}
