using System.Buffers.Binary;
using System.Collections.Concurrent;
using System.Runtime.InteropServices;
using System.Text;
using Dpu.HostAgent.Processes.Groups;
using Dpu.HostAgent.Sockets;
using Dpu.Hosting.Configuration;
using Dpu.Hosting.Machine;
using Dpu.Keeper;
using Dpu.Link;
using Dpu.Linux;
using Dpu.Proto.V1;
using Dpu.Qtfs.Export;
using Dpu.Relay;
using Dpu.Relay.Descriptors;
using Dpu.Relay.Processes;
using Microsoft.Win32.SafeHandles;

namespace Dpu.HostAgent.Processes;

/// <summary>The link's service <c>exec</c>: processes of this machine that programs on DPUs stand for. Thread-safe.</summary>
/// <param name="policy">What may run.</param>
/// <param name="keeping">Runs them, and holds what outlives this agent.</param>
/// <param name="hub">Moves their bytes.</param>
/// <param name="exports">The files that they are given.</param>
/// <param name="sockets">Other descriptors that they are given.</param>
/// <param name="groups">What each of them is put into.</param>
/// <param name="time">The clock.</param>
/// <param name="logger">The log.</param>
public sealed partial class ProcessService(
    ProgramPolicy policy, [FromKeyedServices(ProcessService.KeptAs)] Keeping keeping, RelayHub hub, ExportService exports, SocketTargets sockets, ProcessGroups groups, TimeProvider time, ILogger<ProcessService> logger) : ILinkService, IDisposable
{
    /// <summary>Which of the agent's keepings is the processes'.</summary>
    public const string KeptAs = "processes";

    /// <summary>Processes of one peer at a time.</summary>
    public const int MaxPerPeer = 4096;

    /// <summary>What is told where nobody knows how a process ended: exit code 255.</summary>
    internal const int UnknownStatus = 255 << 8;

    private static readonly TimeSpan StartLimit = TimeSpan.FromSeconds(30);

    private readonly ConcurrentDictionary<Guid, HostProcess?> _processes = new();
    private readonly ConcurrentDictionary<string, int> _counts = new(StringComparer.Ordinal);
    private readonly ConcurrentDictionary<string, long> _ends = new(StringComparer.Ordinal);
    private long _started;
    private long _refused;
    private long _failed;

    /// <summary>How long a DPU may take to come for how a process ended.</summary>
    public static TimeSpan StatusKept { get; } = TimeSpan.FromHours(24);

    /// <inheritdoc/>
    public string Name => "exec";

    /// <summary>Processes that were begun.</summary>
    public long Started => Interlocked.Read(ref _started);

    /// <summary>Those that policy refused.</summary>
    public long Refused => Interlocked.Read(ref _refused);

    /// <summary>Those that could not be run.</summary>
    public long Failed => Interlocked.Read(ref _failed);

    /// <summary>Those that run.</summary>
    public int Running => _processes.Values.Count(process => process is { HasEnded: false });

    /// <summary>Ended processes, by how.</summary>
    public IReadOnlyDictionary<string, long> Ends => _ends;

    internal ProcessGroups Groups => groups;

    internal RelayHub Hub => hub;

    internal TimeProvider Time => time;

    internal ILogger Logger => logger;

    /// <summary>What is permitted now.</summary>
    internal ProgramPolicy Policy => policy;

    /// <summary>Takes up the processes of an earlier life of the agent; before DPUs may connect.</summary>
    public void Restore()
    {
        keeping.ProcessChanged += (name, state) =>
        {
            if (TokenOf(name) is { } token && _processes.GetValueOrDefault(token) is { } process)
            {
                process.Changed(state);
            }
        };
        keeping.Returned += () =>
        {
            foreach (HostProcess? process in _processes.Values)
            {
                process?.Orphaned();
            }
        };
        int count = ProcessMemory.All(keeping).Count(Restore);
        ProcessCgroup.Sweep(time.GetUtcNow());
        if (count > 0)
        {
            Log.ProcessesRestored(logger, count);
        }
    }

    /// <inheritdoc/>
    public HelloReply Admit(LinkPeer peer, Hello hello)
    {
        ArgumentNullException.ThrowIfNull(peer);
        ArgumentNullException.ThrowIfNull(hello);
        if (hello.ParametersCase == Hello.ParametersOneofCase.Exec && hello.Exec.Spare && hello.Exec.Token.IsEmpty)
        {
            return AdmitSpare(peer);
        }

        if (AsksForList(hello))
        {
            return new HelloReply { Status = HelloStatus.Ok, Exec = new ExecResult() };
        }

        if (hello.ParametersCase != Hello.ParametersOneofCase.Exec || hello.Exec.Token.Length != process.PROCESS_TOKEN_SIZE)
        {
            return Refuse(HelloStatus.Malformed, "a hello for service exec must name a process by 16 bytes");
        }

        var token = new Guid(hello.Exec.Token.Span);
        if (_processes.TryGetValue(token, out HostProcess? known))
        {
            return known is null ? Refuse(HelloStatus.Unavailable, "the process is being begun")
                : known.What.Peer != peer.Name ? Refuse(HelloStatus.NotPermitted, "the process is another peer's")
                : new HelloReply { Status = HelloStatus.Ok, Exec = new ExecResult { Known = true, Process = known.Number, NumberError = known.NumberError, TakesCalls = true, Reuses = true } };
        }

        if (hello.Exec.Attach)
        {
            return Refuse(HelloStatus.SessionInvalid, "the host knows no such process: it was forgotten, or was lost with the host's keeper");
        }

        if (_counts.GetValueOrDefault(peer.Name) >= MaxPerPeer)
        {
            return Refuse(HelloStatus.Limit, $"'{peer.Name}' has {MaxPerPeer} processes already, which is the most");
        }

        return _processes.TryAdd(token, null) ? new HelloReply { Status = HelloStatus.Ok, Exec = new ExecResult { TakesCalls = true, Reuses = true } } : Refuse(HelloStatus.Unavailable, "the process is being begun");
    }

    /// <inheritdoc/>
    public void Abandon(LinkPeer peer, Hello hello)
    {
        ArgumentNullException.ThrowIfNull(peer);
        ArgumentNullException.ThrowIfNull(hello);
        if (hello.Exec.Spare)
        {
            SpareGone(peer.Name);
            return;
        }

        if (AsksForList(hello))
        {
            return;
        }

        _ = _processes.TryRemove(KeyValuePair.Create(new Guid(hello.Exec.Token.Span), (HostProcess?)null));
    }

    /// <inheritdoc/>
    public void Serve(LinkConnection connection, CancellationToken stopping)
    {
        ArgumentNullException.ThrowIfNull(connection);
        if (AsksForList(connection.Hello))
        {
            List(connection);
            return;
        }

        var exec = new ExecConnection(connection);
        if (connection.Hello.Exec.Spare)
        {
            if (AwaitName(exec) is { } name)
            {
                _ = Serve(exec, name);
            }

            return;
        }

        var token = new Guid(connection.Hello.Exec.Token.Span);
        if (connection.Reply.Exec.Known)
        {
            if (_processes.GetValueOrDefault(token) is { } process)
            {
                connection.Keep();
                process.Attach(exec);
            }

            return;
        }

        _ = Serve(exec, token);
    }

    // Whether the connection is the process's from now on.
    private bool Serve(ExecConnection connection, Guid token)
    {
        try
        {
            return Read(connection) is { } spec && Start(token, connection, spec);
        }
        finally
        {
            // Where it does not run.
            _ = _processes.TryRemove(KeyValuePair.Create(token, (HostProcess?)null));
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _looks.Dispose();
        _waits.Dispose();
        foreach (HostProcess? process in _processes.Values)
        {
            process?.Leave();
        }
    }

    internal void Forget(HostProcess process)
    {
        if (_processes.TryRemove(process.Token, out _))
        {
            _ = _counts.AddOrUpdate(process.What.Peer, 0, (_, count) => count - 1);
        }
    }

    internal void CountEnd(int status) => _ends.AddOrUpdate(
        ProcessStatus.KindOf(status), 1, (_, count) => count + 1);

    private static HelloReply Refuse(HelloStatus status, string message) => new() { Status = status, Message = message };

    private static Guid? TokenOf(string name)
    {
        string[] parts = name.Split('/');
        return parts is ["exec", { Length: 32 } token, "process"] && Guid.TryParseExact(token, "N", out Guid found) ? found : null;
    }

    private static ProcessSpec? Read(ExecConnection connection)
    {
        byte[] header = new byte[ProcessFrames.HeaderSize];
        connection.ReadExactly(header, StartLimit);
        if (!ProcessFrames.TryReadStart(header, out int size))
        {
            Answer(connection, ProcessFrameKind.Refused, ProcessFrames.Refusal(Launcher.NotExecutable, "the DPU's first frame is none that begins a process"));
            return null;
        }

        byte[] content = new byte[size];
        connection.ReadExactly(content, StartLimit);
        if (ProcessSpec.TryRead(content, out ProcessSpec? spec, out string problem))
        {
            return spec;
        }

        Answer(connection, ProcessFrameKind.Refused, ProcessFrames.Refusal(Launcher.NotExecutable, $"what the process is to be cannot be read: {problem}"));
        return null;
    }

    private static void Answer(ExecConnection connection, ProcessFrameKind kind, byte[] content, int error = 0) => connection.Write(ProcessFrames.Of(kind, content, error), StartLimit);

    private bool Start(Guid token, ExecConnection connection, ProcessSpec asked)
    {
        string peer = connection.Link.Peer.Name;
        if (policy.Find(peer, asked, out uint uid, out uint gid, out string missing) is not { } rule)
        {
            Interlocked.Increment(ref _refused);
            Log.ProcessRefused(logger, peer, Printable.Clean(asked.Program, 256), asked.Identity?.Uid, missing);
            Answer(connection, ProcessFrameKind.Refused, ProcessFrames.Refusal(Launcher.NotExecutable, missing));
            return false;
        }

        ProcessSpec spec = Permitted.Of(asked, rule, uid, gid);
        ProgramConfiguration definition = rule.Definition;
        var note = new ProcessNote(peer, definition.Path, asked.Command(1024), uid, "", "", definition.OnLinkDown, definition.LinkDownFor, definition.Grace, "", PidFile.NamedBy(asked, definition.PidFiles));
        Placement? place = Placement.Of(definition.Cpus, definition.Nodes, MachineTopology.Here, out string? nowhere);
        if (nowhere is not null)
        {
            return Fail(connection, note, $"the rule of the host's \"programs\" for {definition.Path} has no place for it: {nowhere}", Launcher.NotExecutable);
        }

        ProcessMemory memory;
        try
        {
            memory = ProcessMemory.Create(keeping, token);
        }
        catch (KeeperException e)
        {
            return Fail(connection, note, e.Message, Launcher.NotExecutable);
        }

        using GroupInMaking making = groups.Prepare(token, place);
        IProcessGroup? group = making.Own;
        note = note with { Cgroup = group?.Folder ?? "" };
        memory.Hold("what", null, note.ToBytes());
        var streams = new ProcessStreams(memory);
        var given = new ProcessDescriptors();
        IReadOnlyList<int> missed = [];
        try
        {
            string? problem = asked.Terminal is not null && TerminalsOf(peer) >= HostTerminal.MaxPerPeer ? $"'{peer}' has {HostTerminal.MaxPerPeer} terminals already, which is the most" : null;
            problem ??= given.Make(asked, spec, streams, PassingOf(connection.Link, asked), out missed);
            given.Terminal?.Keep(memory);
            int code = Launcher.NotExecutable;
            SafeFileHandle? pidfd = null;
            problem ??= Launcher.Run(keeping, memory, note.ToBytes(), spec, given.All, asked.Session?.Pid ?? 0, making.Birthplace, (process, isIn) =>
            {
                Permitted.Confine(spec, process);
                (spec.Processors, spec.Nodes) = (making.Processors, making.Nodes);
                group = groups.Make(making, process, isIn, note.Command, out IReadOnlyList<SafeFileHandle> doors);
                foreach (SafeFileHandle door in doors)
                {
                    spec.Cgroups.Add(given.Add(door));
                }

                ProcessNote known = note with { Cgroup = group?.Folder ?? "", Scope = group?.Unit ?? "" };
                if (known != note)
                {
                    note = known;
                    memory.Hold("what", null, note.ToBytes());
                }
            }, out pidfd, out code);
            if (problem is not null)
            {
                pidfd?.Dispose();
                streams.Dispose();
                given.Terminal?.Dispose();
                memory.Forget();
                Remove(group);
                return Fail(connection, note, problem, code);
            }

            memory.Hold("pidfd", pidfd);
            memory.Since = time.GetUtcNow().UtcTicks;
            var process = new HostProcess(this, token, note, memory, pidfd!, given.Terminal);
            Interlocked.Increment(ref _started);
            _ = _counts.AddOrUpdate(peer, 1, (_, count) => count + 1);
            Log.ProcessStarted(logger, peer, definition.Path, memory.Number, uid, note.Command);
            bool isIts = Run(process, streams, connection, missed);
            process.Note($"begun as user {uid} by the rule for {definition.Path}{(place is null ? "" : $", with {place} alone")}");
            return isIts;
        }
        finally
        {
            given.Dispose();
        }
    }

    private void Remove(IProcessGroup? group)
    {
        if (group is not null)
        {
            groups.Remove(group);
        }
    }

    // From here on it runs, whatever becomes of the connection. Whether that is the process's.
    private bool Run(HostProcess process, ProcessStreams streams, ExecConnection connection, IReadOnlyList<int> missed)
    {
        bool answered = false;
        try
        {
            Answer(connection, ProcessFrameKind.Started, MemoryMarshal.AsBytes<int>([process.Number, .. missed]).ToArray(), process.NumberError);
            answered = true;
        }
        catch (IOException)
        {
            // Expected: the link broke. The DPU asks again, and finds it.
        }

        if (answered)
        {
            connection.Link.Keep();
        }

        process.Begin(streams, answered ? connection : null);
        _processes[process.Token] = process;

        // It may have ended before anybody could be told.
        if (keeping.Get($"{ProcessMemory.NameOf(process.Token)}/process") is { } kept)
        {
            using (kept)
            {
                if (kept.Entry.Process is { } state)
                {
                    process.Changed(state);
                }
            }
        }
        else
        {
            process.Orphaned();
        }

        return answered;
    }

    private int TerminalsOf(string peer) => _processes.Values.Count(process => process is { HasTerminal: true } && process.What.Peer == peer);

    private bool Fail(ExecConnection connection, ProcessNote note, string problem, int code)
    {
        Interlocked.Increment(ref _failed);
        Log.ProcessNotRun(logger, note.Peer, note.Path, problem);
        Answer(connection, ProcessFrameKind.Refused, ProcessFrames.Refusal(code, problem));
        return false;
    }

    private HostPassing? PassingOf(LinkConnection connection, ProcessSpec asked)
    {
        if (asked.Passed.Length == 0 || exports.FilesOfSession(connection.Peer, connection.Hello) is not { } files)
        {
            return null;
        }

        var parameters = new RelayParameters { Uid = asked.Identity?.Uid ?? uint.MaxValue, Gid = asked.Identity?.Gid ?? uint.MaxValue };
        parameters.Groups.AddRange(asked.Groups ?? []);
        return sockets.PassingOf(connection, files, parameters, asked.Program);
    }

    private bool Restore(Guid token)
    {
        if (ProcessMemory.Find(keeping, token) is not { } memory)
        {
            return false;
        }

        using Kept? what = memory.Get("what");
        using Kept? running = memory.Get("process");
        using Kept? held = running is null ? memory.Get("pidfd") : null;
        SafeFileHandle? pidfd = (running ?? held)?.Descriptor is { } descriptor ? new SafeFileHandle(Descriptor.Release(descriptor), ownsHandle: true) : null;
        ProcessNote? note = what is null ? null : ProcessNote.Read(what.Entry.Note.Span);
        if (note is null || pidfd is null || memory.Stage is not (ProcessStage.Told or ProcessStage.Running or ProcessStage.Ended))
        {
            // It was never told what to become, and has ended with the agent; or nothing is known of it.
            pidfd?.Dispose();
            memory.Forget();
            Remove(note is null ? null : groups.Find(note.Cgroup, note.Scope));
            return false;
        }

        memory.Hold("what", null, note.ToBytes());
        memory.Hold("pidfd", pidfd);
        var process = new HostProcess(this, token, note, memory, pidfd, HostTerminal.Find(memory));
        var streams = new ProcessStreams(memory);
        if (streams.Restore() is null)
        {
            Log.StreamsLost(logger, memory.Number, note.Command);
            process.Terminate("its streams are lost");
        }

        _processes[token] = process;
        _ = _counts.AddOrUpdate(note.Peer, 1, (_, count) => count + 1);
        process.Begin(streams, null);
        process.Restored();
        if (running?.Entry.Process is { } state)
        {
            process.Changed(state);
        }
        else if (running is null)
        {
            process.Orphaned();
        }

        return true;
    }
}
