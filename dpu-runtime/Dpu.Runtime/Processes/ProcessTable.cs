using System.Collections.Concurrent;
using System.Runtime.InteropServices;
using Dpu.Keeper;
using Dpu.Link;
using Dpu.Proto.V1;
using Dpu.Relay;
using Dpu.Relay.Descriptors;
using Dpu.Relay.Processes;
using Dpu.Runtime.Hosts;
using Dpu.Runtime.Mounts;
using Dpu.Runtime.Sockets;
using Google.Protobuf;

namespace Dpu.Runtime.Processes;

/// <summary>The processes of hosts that programs here stand for. Thread-safe.</summary>
public sealed partial class ProcessTable : IDisposable
{
    /// <summary>Ended processes that are remembered, for <c>dpuctl ps</c>.</summary>
    public const int MostEnded = 1000;

    // Half of the threads that there are for it (DialThreads).
    private const int MostWaiting = 32;
    private const int NotPermitted = 126;
    private const int OwnFailure = 125;
    private static readonly TimeSpan ReachLimit = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan AnswerLimit = TimeSpan.FromSeconds(90);
    private static readonly TimeSpan LookInterval = TimeSpan.FromSeconds(5);

    private readonly Keeping _keeping;
    private readonly HostLinks _hosts;
    private readonly SocketRelays _relays;
    private readonly MountedFiles _files;
    private readonly Func<MountManager> _mounts;
    private readonly DialThreads _workers = new("stub");
    private readonly ConcurrentDictionary<Guid, StubProcess> _processes = new();
    private readonly ConcurrentDictionary<Guid, StubProcess> _away = new();
    private readonly ConcurrentQueue<ProcessInfo> _ended = new();
    private readonly ConcurrentDictionary<uint, int> _waiting = new();
    private readonly AutoResetEvent _wanted = new(false);
    private readonly SpareExecConnections _spares;
    private readonly RelaySet _passedRelays = new();
    private readonly Thread _redial;
    private BoundStubSocket? _listener;
    private long _started;
    private long _refused;
    private readonly ConcurrentDictionary<string, long> _exits = new(StringComparer.Ordinal);
    private long _startTicks;
    private volatile bool _disposed;

    /// <summary>An empty one, which nobody can reach before <see cref="Listen"/>.</summary>
    public ProcessTable(
        Keeping keeping, HostLinks hosts, RelayHub hub, Dpu.Qtfs.Mount.Sockets.ISocketRelays relays, MountedFiles files, IServiceProvider services, TimeProvider time, ILogger<ProcessTable> logger)
    {
        (_keeping, _hosts, Hub, _relays, _files, Time, Logger) = (keeping, hosts, hub, (SocketRelays)relays, files, time, logger);
        _spares = new SpareExecConnections(_workers.Run, time);
        _mounts = services.GetRequiredService<MountManager>;
        _redial = new Thread(RedialAll, 256 * 1024) { IsBackground = true, Name = "process redial" };
    }

    /// <summary>Processes that were begun.</summary>
    public long Started => Interlocked.Read(ref _started);

    /// <summary>Stubs that were refused, by policy or for another reason.</summary>
    public long Refused => Interlocked.Read(ref _refused);

    /// <summary>Processes that have ended, by how: success, failure, signal.</summary>
    public IReadOnlyDictionary<string, long> Exits => _exits;

    /// <summary>Processes that run.</summary>
    public int Running => _processes.Values.Count(process => process.Status is null);

    /// <summary>Seconds from a stub's connection until its process ran, of all of them.</summary>
    public double StartSeconds => TimeSpan.FromTicks(Interlocked.Read(ref _startTicks)).TotalSeconds;

    /// <summary>All that run, and the last that have ended; the oldest first.</summary>
    public IReadOnlyList<ProcessInfo> All => [.. _ended, .. _processes.Values.Select(ProcessInfo.Of).OrderBy(process => process.Since)];

    internal RelayHub Hub { get; }

    internal TimeProvider Time { get; }

    internal ILogger Logger { get; }

    /// <summary>Takes up what an earlier runtime had.</summary>
    public void Restore()
    {
        int count = ProcessMemory.All(_keeping).Count(Restore);
        if (count > 0)
        {
            Log.ProcessesRestored(Logger, count);
        }

        _redial.Start();
        _hosts.Changed += Wake;
    }

    /// <summary>Has stubs connect there; null for nowhere.</summary>
    public void Listen(string? path)
    {
        if (_listener?.Path == path)
        {
            return;
        }

        _listener?.Dispose();
        _listener = null;
        if (path is not null)
        {
            _listener = BoundStubSocket.TryMake(path, Hub, socket => Accept(new StubConnection(socket)), out string reason);
            if (_listener is null)
            {
                Log.NoStubSocket(Logger, path, reason);
            }
        }
    }

    /// <summary>Has stubs of a view connect there too.</summary>
    /// <param name="path">Where.</param>
    /// <param name="view">It.</param>
    /// <param name="reason">Why they cannot.</param>
    /// <returns>What ends it; null where they cannot.</returns>
    internal IDisposable? ListenAlso(string path, IStubView view, out string reason) =>
        BoundStubSocket.TryMake(path, Hub, socket => Accept(new StubConnection(socket, view)), out reason);

    /// <summary>What runs, with its stub.</summary>
    internal IEnumerable<StubProcess> Live => _processes.Values.Where(process => process.Status is null);

    /// <summary>The end of some stubs means nothing from now on: what they stand for goes on without them.</summary>
    internal void Detach(Func<int, bool> isMeant)
    {
        foreach (StubProcess process in Live.Where(process => isMeant(process.Stub)))
        {
            process.Detach();
        }
    }

    /// <summary>Sends a signal to a process; false where there is none of that name.</summary>
    /// <param name="id">Its name.</param>
    /// <param name="number">The signal; 0 to end it as its policy says.</param>
    public bool Kill(Guid id, int number)
    {
        if (_processes.GetValueOrDefault(id) is not { Status: null } process)
        {
            return false;
        }

        if (number == 0)
        {
            process.Terminate();
        }
        else
        {
            process.Send(new ProcessSignal(number, 0, Environment.ProcessId, 0, 0));
        }

        return true;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _disposed = true;
        _hosts.Changed -= Wake;
        _listener?.Dispose();
        _workers.Dispose();
        _spares.Dispose();
        _wanted.Set();
        foreach (StubProcess process in _processes.Values)
        {
            process.Leave();
        }
    }

    /// <summary>A process is over, and its connection may serve the next one.</summary>
    internal void Return(string host, ExecConnection connection) => _spares.Return(host, connection);

    internal void Redial(StubProcess process)
    {
        _away[process.Token] = process;
        _ = _wanted.Set();
    }

    internal void Finished(StubProcess process)
    {
        _ = _away.TryRemove(process.Token, out _);
        if (_processes.TryRemove(process.Token, out _))
        {
            _ = _exits.AddOrUpdate(ProcessStatus.KindOf(process.Status ?? 0), 1, (_, count) => count + 1);
            _ended.Enqueue(ProcessInfo.Of(process));
            while (_ended.Count > MostEnded)
            {
                _ = _ended.TryDequeue(out _);
            }
        }
    }

    private void Wake(HostLink link)
    {
        _spares.Changed(link.HostName);
        _ = _wanted.Set();
    }

    private void RedialAll()
    {
        while (!_disposed)
        {
            _ = _wanted.WaitOne(LookInterval);
            _spares.Prune();
            AskHeld();
            foreach (StubProcess process in _processes.Values)
            {
                process.CheckStub();
            }

            foreach (StubProcess process in _away.Values)
            {
                if (!_disposed && _hosts.Find(process.Note.Host) is { IsUp: true } link && _away.TryRemove(process.Token, out _))
                {
                    Redial(process, link);
                }
            }
        }
    }

    private void Redial(StubProcess process, HostLink link)
    {
        try
        {
            process.Connect(new ExecConnection(link.DialExec(new ExecParameters { Token = ByteString.CopyFrom(process.Token.ToByteArray()), Attach = true, StandsIn = true, TakesNotes = true, Reuses = true })));
        }
        catch (LinkException e) when (e.Status == HelloStatus.SessionInvalid)
        {
            process.Lost();
        }
        catch (Exception e) when (e is LinkException or IOException or ObjectDisposedException or OperationCanceledException)
        {
            // Expected while the link comes and goes.
            _away[process.Token] = process;
        }
    }

    // A connection that says nothing holds a thread until it is given up: no user but root may hold all of them.
    private void Accept(StubConnection stub)
    {
        if (PeerCredentials.Read(stub.Socket) is not { } program)
        {
            stub.Dispose();
            return;
        }

        if (_waiting.AddOrUpdate(program.Uid, 1, (_, count) => count + 1) > MostWaiting && program.Uid != 0)
        {
            _ = Refuse(stub, program, "?", "?", OwnFailure, $"{MostWaiting} programs of this user are being begun already; try again");
            Waited(program.Uid);
            stub.Dispose();
            return;
        }

        _workers.Run(() =>
        {
            Serve(stub, program);
            Waited(program.Uid);
        });
    }

    private void Waited(uint uid) => _waiting.AddOrUpdate(uid, 0, (_, count) => count - 1);

    private void Serve(StubConnection stub, PeerCredentials program)
    {
        bool kept = false;
        try
        {
            StubFrame kind = stub.Await(out byte[] content);
            if (kind == StubFrame.Attach && content.Length == process.PROCESS_TOKEN_SIZE)
            {
                kept = Attach(stub, new Guid(content), program);
            }
            else if (kind == StubFrame.Start)
            {
                kept = ProcessSpec.TryRead(content, out ProcessSpec? spec, out string problem)
                    ? Begin(stub, spec, program)
                    : Refuse(stub, program, "?", "?", OwnFailure, $"the stub does not say what is to run: {problem}; is it of another version than the runtime?");
            }
        }
        catch (Exception e) when (e is IOException or KeeperException or ObjectDisposedException)
        {
            // Expected: no memory or descriptors are left, or the runtime is stopping.
            _ = stub.TellRefused(OwnFailure, $"the runtime cannot: {e.Message}");
        }
        finally
        {
            if (!kept)
            {
                stub.Dispose();
            }
        }
    }

    private bool Attach(StubConnection stub, Guid token, PeerCredentials program)
    {
        if (_processes.GetValueOrDefault(token) is not { } process || (process.Note.Uid != program.Uid && program.Uid != 0))
        {
            _ = stub.TellRefused(OwnFailure, "this runtime knows nothing of the process: was it ended while its dpu-keeper was not running?");
            return false;
        }

        _ = stub.TellAttached();
        process.Attach(stub, program.Pid);
        return true;
    }

    private bool Refuse(StubConnection stub, PeerCredentials program, string what, string host, int code, string reason)
    {
        Interlocked.Increment(ref _refused);
        Log.ProcessRefused(Logger, program.Pid, program.Uid, what, host, reason);
        _ = stub.TellRefused(code, reason);
        return false;
    }

    private bool Begin(StubConnection stub, ProcessSpec spec, PeerCredentials program)
    {
        long since = Time.GetTimestamp();
        string what = Printable.Clean(spec.Program, 256);
        spec.Host = spec.Host.Length > 0 ? spec.Host : stub.View?.HostOf(spec.Program) ?? "";
        HostLink? link = spec.Host.Length > 0 ? _hosts.Find(spec.Host) : _hosts.All is [{ } only] ? only : null;
        if (link is null)
        {
            return Refuse(stub, program, what, Printable.Clean(spec.Host, 64), OwnFailure, spec.Host.Length > 0
                ? $"the runtime's configuration names no host '{Printable.Clean(spec.Host, 64)}'"
                : "the runtime's configuration names several hosts, or none: say which (rexec --host NAME)");
        }

        // Who asks is what the kernel says, not what the stub does.
        (spec.Identity, spec.Groups, spec.Host) = ((program.Uid, program.Gid), program.Groups, "");
        var token = Guid.NewGuid();
        _beginning[token] = 0;
        try
        {
            return Begin(stub, spec, program, link, token, what, since);
        }
        finally
        {
            _ = _beginning.TryRemove(token, out _);
        }
    }

    private bool Begin(StubConnection stub, ProcessSpec spec, PeerCredentials program, HostLink link, Guid token, string what, long since)
    {
        var memory = ProcessMemory.Create(_keeping, token);
        var note = new StubNote(link.HostName, spec.Command(1000), program.Uid, spec.Directory, spec.Session?.Pid ?? program.Pid, View: stub.View?.Note);
        memory.Hold("what", null, note.ToBytes());
        (memory.Number, memory.Began, memory.Since) = (program.Pid, StubProcess.StartOf(program.Pid), Time.GetUtcNow().UtcTicks);
        var streams = new ProcessStreams(memory);
        ExecConnection? connection = null;
        StubTerminal? terminal = null;
        try
        {
            RuntimePassing passing = _relays.PassingOf(link.HostName, () => _mounts().Find(link.HostName, _ => true)?.Id ?? 0, program, what, _passedRelays);
            var descriptors = new StubDescriptors(_files, passing, link.HostName, Logger);
            terminal = descriptors.Decide(stub.Descriptors, spec, streams);
            terminal?.Keep(memory);
            memory.Stage = ProcessStage.Told;
            (connection, int process, int error, int[] missed, (int Code, string Text)? refusal) = Ask(link, token, spec);
            if (connection is null)
            {
                streams.Dispose();
                terminal?.Dispose();
                memory.Forget();
                return Refuse(stub, program, what, link.HostName, refusal!.Value.Code, refusal.Value.Text);
            }

            (memory.Flags, memory.NumberError, memory.Stage) = (process, process == note.Own ? 0 : error, ProcessStage.Running);
            Interlocked.Increment(ref _started);
            _ = Interlocked.Add(ref _startTicks, Time.GetElapsedTime(since).Ticks);
            Log.ProcessStarted(Logger, link.HostName, process, program.Pid, program.Uid, note.Command);
            var begun = new StubProcess(this, token, note, memory, streams, terminal);
            _processes[token] = begun;

            // Where it is gone already, the process is killed as its stub was.
            _ = stub.TellStarted(token, process, descriptors.Staying.Concat(missed));
            begun.Begin(connection, stub);
            _spares.Refill(link);
            return true;
        }
        catch
        {
            connection?.Dispose();
            if (memory.Stage != ProcessStage.Running)
            {
                streams.Dispose();
                terminal?.Dispose();
                memory.Forget();
            }

            throw;
        }
    }

    private (ExecConnection? Connection, int Process, int Error, int[] Missed, (int Code, string Text)? Refusal) Ask(HostLink link, Guid token, ProcessSpec spec)
    {
        byte[] start = ProcessFrames.Of(ProcessFrameKind.Start, spec.ToBytes());
        long until = Environment.TickCount64 + (long)ReachLimit.TotalMilliseconds;

        // Where it breaks the host may have begun the process: from then on that is asked by its token.
        ExecConnection? spare = _spares.Take(link);
        while (true)
        {
            ExecConnection? connection = spare;
            try
            {
                bool isSpare = connection is not null;
                spare = null;
                connection ??= new ExecConnection(link.DialExec(new ExecParameters { Token = ByteString.CopyFrom(token.ToByteArray()), StandsIn = true, TakesNotes = true, Reuses = true }));
                if (isSpare)
                {
                    connection.Write([.. ProcessFrames.Of(ProcessFrameKind.Name, token.ToByteArray()), .. start], AnswerLimit);
                }
                else if (connection.Link.Reply.Exec is { Known: true } known)
                {
                    // It was begun by what we said before the link broke.
                    return (connection, known.Process, known.NumberError, [], null);
                }
                else
                {
                    connection.Write(start, AnswerLimit);
                }

                byte[] header = new byte[ProcessFrames.HeaderSize];
                connection.ReadExactly(header, AnswerLimit);
                if (!ProcessFrames.TryReadAnswer(header, out ProcessFrameKind kind, out int size, out int error))
                {
                    connection.Dispose();
                    return (null, 0, 0, [], (OwnFailure, $"host '{link.HostName}' does not keep to the protocol of processes"));
                }

                byte[] content = new byte[size];
                connection.ReadExactly(content, AnswerLimit);
                if (kind == ProcessFrameKind.Refused)
                {
                    connection.Dispose();
                    return (null, 0, 0, [], ProcessFrames.ReadRefusal(content));
                }

                int[] numbers = MemoryMarshal.Cast<byte, int>(content).ToArray();
                return (connection, numbers[0], error, numbers[1..], null);
            }
            catch (LinkException e) when (!e.IsTransient)
            {
                connection?.Dispose();
                return (null, 0, 0, [], (NotPermitted, e.Message));
            }
            catch (Exception e) when (e is LinkException or IOException or ObjectDisposedException)
            {
                // The link broke, perhaps after the host has begun it: it is asked by the same name, so that it runs once.
                connection?.Dispose();
                long left = until - Environment.TickCount64;
                if (left <= 0 || !link.WaitUp(TimeSpan.FromMilliseconds(left)))
                {
                    return (null, 0, 0, [], (OwnFailure, $"host '{link.HostName}' cannot be reached: {e.Message}"));
                }
            }
        }
    }

    private bool Restore(Guid token)
    {
        if (ProcessMemory.Find(_keeping, token) is not { } memory)
        {
            return false;
        }

        using Kept? what = memory.Get("what");
        if (what is null || StubNote.Read(what.Entry.Note.Span) is not { } note || memory.Stage is not (ProcessStage.Told or ProcessStage.Running or ProcessStage.Ended))
        {
            memory.Forget();
            return false;
        }

        memory.Hold("what", null, note.ToBytes());
        var streams = new ProcessStreams(memory);
        IReadOnlyList<int>? unsure = streams.Restore();
        var process = new StubProcess(this, token, note, memory, streams, StubTerminal.Find(memory));
        if (unsure is null)
        {
            Log.StreamsLost(Logger, process.Process, note.Host, note.Command);
        }
        else if (unsure.Count > 0)
        {
            Log.MayBeDoubled(Logger, process.Process, note.Host, string.Join(", ", unsure));
        }

        _processes[token] = process;
        process.Begin(null, null);
        return true;
    }
}
