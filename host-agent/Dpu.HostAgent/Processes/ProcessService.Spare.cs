using System.Collections.Concurrent;
using Dpu.Keeper;
using Dpu.Link;
using Dpu.Proto.V1;
using Dpu.Relay;
using Dpu.Relay.Processes;

namespace Dpu.HostAgent.Processes;

/// <summary>Connections that DPUs have made beforehand, so that a start need not wait for a handshake.</summary>
public sealed partial class ProcessService
{
    /// <summary>Of one peer at a time; each waits on a thread.</summary>
    private const int MaxSpare = 8;

    // Of all peers together, of those that had a process before: half of the threads that there are for it (DialThreads).
    private const int MostWaiting = 32;

    // Longer than a DPU keeps one.
    private static readonly TimeSpan SpareLimit = TimeSpan.FromSeconds(60);

    private readonly ConcurrentDictionary<string, int> _spare = new(StringComparer.Ordinal);
    private readonly DialThreads _waits = new("exec");
    private int _waiting;

    private HelloReply AdmitSpare(LinkPeer peer)
    {
        if (_spare.AddOrUpdate(peer.Name, 1, (_, count) => count + 1) <= MaxSpare)
        {
            return new HelloReply { Status = HelloStatus.Ok, Exec = new ExecResult { TakesCalls = true, Reuses = true } };
        }

        SpareGone(peer.Name);
        return Refuse(HelloStatus.Limit, $"'{peer.Name}' has {MaxSpare} connections already that wait for a process");
    }

    private void SpareGone(string peer) => _ = _spare.AddOrUpdate(peer, 0, (_, count) => count - 1);

    /// <summary>Has a connection wait for the next process, where its process is over; it is the service's from now on.</summary>
    internal void Reuse(ExecConnection connection)
    {
        string peer = connection.Link.Peer.Name;
        if (!connection.Reuses || _waiting >= MostWaiting)
        {
            connection.Dispose();
        }
        else if (_spare.AddOrUpdate(peer, 1, (_, count) => count + 1) > MaxSpare)
        {
            SpareGone(peer);
            connection.Dispose();
        }
        else
        {
            _waits.Run(() => ServeNext(connection));
        }
    }

    private void ServeNext(ExecConnection connection)
    {
        bool isTaken = false;
        try
        {
            isTaken = AwaitNext(connection) is { } name && Serve(connection, name);
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException)
        {
            // Expected: the link went down. The DPU asks again by the process's name.
        }
        catch (Exception e)
        {
            // A bug must not take the other processes with it.
            Log.ServingFailed(logger, e, connection.Link.Peer.Name);
        }
        finally
        {
            if (!isTaken)
            {
                connection.Dispose();
            }
        }
    }

    private Guid? AwaitNext(ExecConnection connection)
    {
        _ = Interlocked.Increment(ref _waiting);
        try
        {
            return AwaitName(connection);
        }
        finally
        {
            _ = Interlocked.Decrement(ref _waiting);
        }
    }

    // The process that it is for, claimed; null where none comes.
    private Guid? AwaitName(ExecConnection connection)
    {
        string peer = connection.Link.Peer.Name;
        byte[] frame = new byte[ProcessFrames.HeaderSize + process.PROCESS_TOKEN_SIZE];
        try
        {
            connection.ReadExactly(frame, SpareLimit);
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
        if (!ProcessFrames.TryReadName(frame))
        {
            // Of the process that was before, or nonsense. A DPU whose connection ends here begins again.
            return null;
        }

        if (!_processes.TryAdd(token, null))
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
