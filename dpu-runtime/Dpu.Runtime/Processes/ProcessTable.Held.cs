using System.Collections.Concurrent;
using Dpu.Keeper;
using Dpu.Link;
using Dpu.Proto.V1;
using Dpu.Relay.Processes;
using Dpu.Runtime.Hosts;

namespace Dpu.Runtime.Processes;

/// <summary>
/// Processes that hosts have for this DPU and of which nothing here knows: it was rebooted, or its keeper died with its runtime. They go on, and are taken up so that
/// they are seen and can be ended. Asked for once whenever a link comes up.
/// </summary>
public sealed partial class ProcessTable
{
    // As many as a host has of a peer.
    private const int MostHeld = 4096;
    private static readonly TimeSpan HeldLimit = TimeSpan.FromSeconds(30);

    // What is being begun is known to the host before it is in the table.
    private readonly ConcurrentDictionary<Guid, byte> _beginning = new();
    private readonly ConcurrentDictionary<string, long> _listed = new(StringComparer.Ordinal);

    // On the thread that redials.
    private void AskHeld()
    {
        foreach (HostLink link in _hosts.All)
        {
            long epoch = link.Epoch;
            if (link.IsUp && _listed.GetValueOrDefault(link.HostName, -1) != epoch)
            {
                _listed[link.HostName] = epoch;
                _workers.Run(() => AskHeld(link));
            }
        }
    }

    private void AskHeld(HostLink link)
    {
        try
        {
            using LinkConnection connection = link.DialExec(new ExecParameters { List = true });
            connection.SetTimeouts(HeldLimit, HeldLimit);
            byte[] header = new byte[ProcessFrames.HeaderSize];
            for (int count = 0; count <= MostHeld && !_disposed; count++)
            {
                connection.Stream.ReadExactly(header);
                if (!ProcessFrames.TryReadHeld(header, out int size, out bool isEnd) || isEnd)
                {
                    return;
                }

                byte[] content = new byte[size];
                connection.Stream.ReadExactly(content);
                if (!HeldProcess.TryRead(content, out HeldProcess? held))
                {
                    return;
                }

                TakeUp(link, held);
            }
        }
        catch (LinkException e) when (!e.IsTransient)
        {
            // Expected: a host of an earlier version knows no such question.
            return;
        }
        catch (Exception e) when (e is LinkException or IOException or ObjectDisposedException or OperationCanceledException or KeeperException)
        {
            // Expected while the link comes and goes, or where no memory is left: it is asked again, at the next look at the latest.
            _ = _listed.TryRemove(link.HostName, out _);
        }
    }

    private void TakeUp(HostLink link, HeldProcess held)
    {
        // In this order: what has been begun is in the table before it is taken out of the other.
        if (_beginning.ContainsKey(held.Token) || _processes.ContainsKey(held.Token) || _processes.Values.Count(process => process.Note.Host == link.HostName) >= MostHeld)
        {
            return;
        }

        var memory = ProcessMemory.Create(_keeping, held.Token);
        var streams = new ProcessStreams(memory);
        StubProcess? process = null;
        bool isTaken = false;
        try
        {
            if (!held.Streams.All(streams.TryAddLost))
            {
                throw new IOException("no descriptors are left");
            }

            var note = new StubNote(link.HostName, held.Command, held.Uid, "", 0, held.IsLeft);
            memory.Hold("what", null, note.ToBytes());
            (memory.Flags, memory.Since) = (held.Number, DateTimeOffset.FromUnixTimeMilliseconds(held.Since).UtcTicks);
            memory.Stage = ProcessStage.Running;
            process = new StubProcess(this, held.Token, note, memory, streams, null);

            // Without a stub it is not to be ended for having none.
            process.Detach();
            if (_processes.TryAdd(held.Token, process))
            {
                isTaken = true;
                Log.TakenUp(Logger, held.Number, link.HostName, held.Command);
                process.Begin(null, null, $"taken up from host '{link.HostName}', where it runs as process {held.Number} (uid {held.Uid} there) since {process.Since:u}: nothing here knew of it, as after a reboot of this DPU. It has no stub; what it writes is dropped: {held.Command}");
            }
        }
        finally
        {
            if (!isTaken && process is not null)
            {
                process.Discard();
            }
            else if (!isTaken)
            {
                streams.Dispose();
                memory.Forget();
            }
        }
    }
}
