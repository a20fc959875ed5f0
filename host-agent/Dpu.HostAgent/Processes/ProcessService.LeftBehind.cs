using System.Diagnostics;
using Dpu.Keeper;
using Dpu.Linux;
using Dpu.Relay;
using Dpu.Relay.Processes;
using Microsoft.Win32.SafeHandles;

namespace Dpu.HostAgent.Processes;

/// <summary>What processes leave running when they end. On threads of its own: a pid file may be on a file system that does not answer.</summary>
public sealed partial class ProcessService
{
    // A daemon forks twice, and the middle one is gone within milliseconds: who is seen for so long stays.
    private const int SteadyLooks = 6;
    private const int MostLooks = 60;
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(5);

    // A daemon may write its pid file after who began it has ended.
    private static readonly TimeSpan FileLimit = TimeSpan.FromSeconds(2);

    private readonly DialThreads _looks = new("left processes");
    private readonly ManualResetEventSlim _never = new();

    /// <summary>Looks for what a process has left, until that is steady, and then has it; null where there is nothing.</summary>
    internal void Look(HostProcess ended, Action<HostProcess?> found) => _looks.Run(() => found(FindLeft(ended)));

    /// <summary>Has the pid files of a process say another number, when they say its own; tells which one did.</summary>
    internal void WritePidFiles(HostProcess process, int number, Action<string?> done) => _looks.Run(() =>
    {
        long since = Stopwatch.GetTimestamp();
        string? written;
        while ((written = process.What.PidFiles.FirstOrDefault(file => PidFile.TryReplace(file, process.What.Uid, process.Number, number))) is null && Stopwatch.GetElapsedTime(since) < FileLimit && !process.HasEnded)
        {
            _ = _never.Wait(Pause);
        }

        done(written);
    });

    private HostProcess? FindLeft(HostProcess ended)
    {
        string token = ended.Token.ToString("N");
        if (_processes.Values.FirstOrDefault(process => process?.What.LeftBy == token) is { } known)
        {
            // An earlier life of this agent has found it.
            return known;
        }

        int last = 0;
        for (int looks = 0, steady = 0; looks < MostLooks && steady < SteadyLooks; looks++)
        {
            int number = LeftProcesses.Topmost(ended.Group!, ended.Number, ended.What.PidFiles, ended.What.Uid, out bool named);
            steady = number == last ? steady + 1 : 0;
            last = number;
            if (named || number == 0)
            {
                break;
            }

            _ = _never.Wait(Pause);
        }

        return last == 0 ? null : TryHave(ended, last);
    }

    private HostProcess? TryHave(HostProcess ended, int number)
    {
        int descriptor = LibC.pidfd_open(number, 0);
        if (descriptor < 0)
        {
            return null;
        }

        var pidfd = new SafeFileHandle(descriptor, ownsHandle: true);
        ProcessMemory memory;
        var token = Guid.NewGuid();
        try
        {
            // One of that number is there now: the descriptor is no stranger's.
            if (!ended.Group!.Processes().Contains(number))
            {
                pidfd.Dispose();
                return null;
            }

            memory = ProcessMemory.Create(keeping, token);
        }
        catch (KeeperException e)
        {
            pidfd.Dispose();
            Log.NoStandIn(logger, ended.Number, number, ended.What.Peer, e.Message);
            return null;
        }

        ProcessNote note = ended.What with { LeftBy = ended.Token.ToString("N") };
        (memory.Number, memory.Since) = (number, time.GetUtcNow().UtcTicks);
        memory.Hold("what", null, note.ToBytes());
        memory.Hold("pidfd", pidfd);
        memory.Stage = ProcessStage.Running;
        var process = new HostProcess(this, token, note, memory, pidfd, null);
        _ = _counts.AddOrUpdate(note.Peer, 1, (_, count) => count + 1);
        _processes[token] = process;
        process.Begin(new ProcessStreams(memory), null);
        process.Orphaned();
        return process;
    }
}
