using Dpu.Linux;
using Microsoft.Extensions.Logging;
using Microsoft.Win32.SafeHandles;

namespace Dpu.Qtfs.Mount;

// The mount's threads, and its end with the last of them.
public sealed partial class RemoteMount
{
    private void RunLane(MountLane lane, SafeFileHandle device)
    {
        try
        {
            lane.Run(device);
        }
        finally
        {
            device.Dispose();
            LaneEnded(lane);
        }
    }

    // On the last lane's thread.
    private void End(MountLane lane)
    {
        // The last lane first: the others' connections may have been cut.
        _ = lane.SendDestroy() || _lanes.Any(other => other != lane && other.SendDestroy());
        Guard.Stop();
        _guardThread.Join();
        Relief.Stop();
        Cache?.Stop();
        Pending.Stop();
        Grants?.Stop();
        _grantsThread?.Join();
        Polls.Stop();
        State.End();
        DisposeParts();
        Log.Unmounted(_logger, Options.Target);
        _ended.SetResult();
    }

    private void DisposeParts()
    {
        while (Overflow.TryTake() is { } waiting)
        {
            waiting.Dispose();
        }

        foreach (MountLane lane in _lanes)
        {
            lane.Dispose();
        }

        Guard.Dispose();
        Sockets?.Dispose();
        Cache?.Dispose();
        Pending.Dispose();
        Polls.Dispose();
        _processes?.Dispose();
        Merge?.Processes.Dispose();
        Rings?.Dispose();
        Array.ForEach(_laneDevices, device => device.Dispose());
        _guardDevice?.Dispose();
        _device?.Dispose();
        State.Dispose();
    }

    /// <summary>Starts a thread of the mount; where it fails, the mount is broken.</summary>
    internal Thread StartThread(string name, Action body)
    {
        var thread = new Thread(() =>
        {
            try
            {
                ProcessProtection.ProtectCurrentThread();
                body();
            }
            catch (Exception e)
            {
                // A bug. A mount that nobody serves would hang its callers: better to break it, loudly.
                Log.LaneCrashed(_logger, Options.Target, e);
                _device.Abort();
            }
        })
        {
            IsBackground = true,
            Name = $"qtfs-{name}",
        };
        thread.Start();
        return thread;
    }
}
