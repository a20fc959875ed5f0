using Dpu.Keeper;
using Dpu.Relay.Processes;

namespace Dpu.Runtime.Processes;

/// <summary>Processes that others have left running, and for which stand-ins stand.</summary>
public sealed partial class ProcessTable
{
    /// <summary>Has an entry for what a process has left, or finds that of an earlier runtime; null where there can be none.</summary>
    internal void StandIn(StubProcess ended, ProcessStandIn left, Action<StubProcess?> done) => _workers.Run(() =>
    {
        if (_processes.TryGetValue(left.Token, out StubProcess? known))
        {
            // A host has no other one's processes stood for.
            done(known.Note.IsStandIn && known.Note.Host == ended.Note.Host && known.Process == left.Number ? known : null);
            return;
        }

        try
        {
            var memory = ProcessMemory.Create(_keeping, left.Token);
            StubNote note = ended.Note with { IsStandIn = true, Own = 0 };
            memory.Hold("what", null, note.ToBytes());
            (memory.Flags, memory.Since, memory.Stage) = (left.Number, Time.GetUtcNow().UtcTicks, ProcessStage.Running);
            var process = new StubProcess(this, left.Token, note, memory, new ProcessStreams(memory), null);
            process.InheritView(ended);
            _processes[left.Token] = process;
            process.Begin(null, null);
            done(process);
        }
        catch (Exception e) when (e is KeeperException or ObjectDisposedException)
        {
            // Expected: no memory is left, or the runtime is stopping.
            Log.NoStandIn(Logger, left.Number, ended.Note.Host, ended.Process, ended.Note.Command);
            done(null);
        }
    });

    internal void Abandoned(StubProcess process)
    {
        _ = _away.TryRemove(process.Token, out _);
        _ = _processes.TryRemove(process.Token, out _);
    }
}
