using Dpu.Keeper;
using Dpu.Proto.V1;
using Dpu.Qtfs.Mount;
using Dpu.Runtime.Hosts;
using Google.Protobuf.WellKnownTypes;

namespace Dpu.Runtime.Mounts;

// What a runtime leaves to the next one.
public sealed partial class MountManager
{
    // Detached by an earlier runtime, or by umount(8), and used still: served until their last users go.
    private readonly List<RemoteMount> _detached = [];

    /// <summary>Whether a runtime that is stopped leaves its mounts with the keeper, if there is one.</summary>
    public bool KeepOnStop { get; set; }

    /// <summary>The keeper as the control interface shows it.</summary>
    public Dpu.Proto.V1.Keeper Keeper
    {
        get
        {
            KeeperStatus? status = _keeping.Status();
            var message = new Dpu.Proto.V1.Keeper { Socket = _keeping.Socket ?? "", Connected = status is not null, KeepOnStop = KeepOnStop };
            if (status is not null)
            {
                message.Started = Duration.FromTimeSpan(status.Started);
                (message.Entries, message.MaxEntries) = ((ulong)status.Entries, (ulong)status.MostEntries);
                (message.MemoryBytes, message.MaxMemoryBytes) = ((ulong)status.Memory, (ulong)status.MostMemory);
            }

            return message;
        }
    }

    /// <summary>Goes on with the mounts that an earlier runtime has left; before anything else is mounted, with the links configured.</summary>
    public void TakeOver()
    {
        IReadOnlyList<KeptMount> found = RemoteMount.FindKept(_keeping, (key, reason) => Lost($"mount {key}", reason));
        foreach (KeptMount kept in found.OrderBy(kept => kept.Started))
        {
            try
            {
                TakeOver(kept);
            }
            catch (IOException e)
            {
                Lost(kept.Options.Target, e.Message);
            }
        }
    }

    private void TakeOver(KeptMount kept)
    {
        RemoteMount mount = RemoteMount.TakeOver(kept, _keeping, new HostConnector(_hosts, kept.Options.Host, _time, _sockets), _logger, _slow);
        if (!mount.IsInPlace)
        {
            lock (_lock)
            {
                _detached.Add(mount);
            }

            return;
        }

        MountEntry entry;
        lock (_lock)
        {
            entry = new MountEntry(++_lastId, kept.Options, kept.Configured) { Mount = mount, MountTime = kept.Started };
            _entries.Add(entry);
            Tell(Severity.Info, Log.MountTakenOverId, "MountTakenOver", $"{kept.Options.Target} was taken over from an earlier runtime, with {mount.Counters.Recovered} requests that it had not ended", entry);
        }

        _ = mount.Ended.ContinueWith(_ => OnEnded(entry), CancellationToken.None, TaskContinuationOptions.None, TaskScheduler.Default);
    }

    private void Lost(string target, string reason)
    {
        Log.MountLost(_logger, target, reason);
        _events.Publish(new Event { Severity = Severity.Warning, Id = Log.MountLostId, Code = "MountLost", Message = $"{target}: an earlier runtime's mount cannot be taken over: {reason}" });
    }

    // Under the lock. What lies in a mount that ends has to end with it.
    private MountEntry[] Left()
    {
        MountEntry[] kept = [.. _entries.Where(entry => entry.Mount is { IsKept: true })];
        return [.. kept.Where(entry => !_entries.Except(kept).Any(outer => Nesting.IsBelow(entry.Options.Target, outer.Options.Target)))];
    }
}
