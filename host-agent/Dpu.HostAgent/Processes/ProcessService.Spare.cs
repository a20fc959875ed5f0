using System.Collections.Concurrent;
using Dpu.Keeper;
using Dpu.Link;
using Dpu.Proto.V1;
using Dpu.Relay.Processes;

namespace Dpu.HostAgent.Processes;

/// <summary>Connections that DPUs have made beforehand, so that a start need not wait for a handshake.</summary>
public sealed partial class ProcessService
{
    /// <summary>Of one peer at a time; each waits on a thread.</summary>
    private const int MaxSpare = 4;

    // Longer than a DPU keeps one.
    private static readonly TimeSpan SpareLimit = TimeSpan.FromSeconds(60);

    private readonly ConcurrentDictionary<string, int> _spare = new(StringComparer.Ordinal);

    private HelloReply AdmitSpare(LinkPeer peer)
    {
        if (_spare.AddOrUpdate(peer.Name, 1, (_, count) => count + 1) <= MaxSpare)
        {
            return new HelloReply { Status = HelloStatus.Ok, Exec = new ExecResult { TakesCalls = true } };
        }

        SpareGone(peer.Name);
        return Refuse(HelloStatus.Limit, $"'{peer.Name}' has {MaxSpare} connections already that wait for a process");
    }

    private void SpareGone(string peer) => _ = _spare.AddOrUpdate(peer, 0, (_, count) => count - 1);

    // The process that it is for, claimed; null where none comes.
    private Guid? AwaitName(LinkConnection connection)
    {
        string peer = connection.Peer.Name;
        byte[] frame = new byte[ProcessFrames.HeaderSize + process.PROCESS_TOKEN_SIZE];
        try
        {
            connection.SetTimeouts(SpareLimit, StartLimit);
            connection.Stream.ReadExactly(frame);
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException)
        {
            // Expected: nothing was to be begun in that time, or the link went down.
            return null;
        }
        finally
        {
            SpareGone(peer);
        }

        var token = new Guid(frame.AsSpan(ProcessFrames.HeaderSize));
        if (!ProcessFrames.TryReadName(frame) || !_processes.TryAdd(token, null))
        {
            Answer(connection, ProcessFrameKind.Refused, ProcessFrames.Refusal(Launcher.NotExecutable, "the DPU's first frame names no new process"));
            return null;
        }

        if (_counts.GetValueOrDefault(peer) < MaxPerPeer)
        {
            return token;
        }

        _ = _processes.TryRemove(KeyValuePair.Create(token, (HostProcess?)null));
        Answer(connection, ProcessFrameKind.Refused, ProcessFrames.Refusal(Launcher.NotExecutable, $"'{peer}' has {MaxPerPeer} processes already, which is the most"));
        return null;
    }
}
