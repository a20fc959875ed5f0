using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Dpu.Link;
using Dpu.Linux;
using Dpu.Relay.Processes;

namespace Dpu.Runtime.Processes;

/// <summary>
/// A process of a host, with the stub that stands for it here: from its start until nothing of it is needed any more. It goes on without the link,
/// and without this runtime. Callbacks are the channel's thread's; the rest is thread-safe.
/// </summary>
internal sealed partial class StubProcess : IProcessChannelOwner
{
    // A stub gets no more before the host has had them: its own kernel would queue as many (RLIMIT_SIGPENDING).
    private const int MostSignals = 1024;
    private const int MostUnsent = 512 << 10;
    private const int LostCode = 255;
    private const string DetachedEntry = "detached";

    private readonly ProcessTable _table;
    private readonly ProcessMemory _memory;
    private readonly Queue<ProcessSignal> _signals = new();
    private readonly ProcessChannel _channel;
    private StubConnection? _stub;
    private bool _toldStub;
    private bool _forgotten;
    private bool _terminates;
    private bool _over;
    private bool _stubEnded;
    private int _stoppedBy;
    private readonly StubCalls _calls = new();
    private volatile bool _detached;
    private IStubView? _view;
    private readonly StubTerminal? _terminal;
    private ProcessJob? _job;
    private bool _mayRead;
    private bool _gaveBack;
    private bool _goesOn;
    private bool _stubGoesOn;
    private ulong[]? _endArrivals;
    private ulong[]? _stopArrivals;

    /// <summary>Makes one, which may be asked anything from now on; <see cref="Begin"/> is to be called.</summary>
    public StubProcess(ProcessTable table, Guid token, StubNote note, ProcessMemory memory, ProcessStreams streams, StubTerminal? terminal)
    {
        (_table, Token, Note, _memory, _terminal) = (table, token, note, memory, terminal);
        History = new ProcessHistory(table.Time);
        (Stub, Process, Since) = (memory.Number, memory.Flags, new DateTimeOffset(memory.Since, TimeSpan.Zero));

        // What the stub's group does not have in its foreground is another one's to read.
        streams.Gate(() => _mayRead && _stub is not null && StubTerminal.IsInForeground(Stub));
        _channel = table.Hub.Carry(streams, this);
    }

    public Guid Token { get; }

    public StubNote Note { get; private set; }

    /// <summary>What has happened to it.</summary>
    public ProcessHistory History { get; }

    /// <summary>What it and all that comes of it is in at its host; empty where that is not known.</summary>
    public string Group { get; private set; } = "";

    /// <summary>The stub's number here; 0 where a stand-in has not come yet.</summary>
    public int Stub { get; private set; }

    /// <summary>The errno of why the process's number is not its stub's; 0 where it is.</summary>
    public int NumberError => _memory.NumberError;

    /// <summary>The process's number on the host.</summary>
    public int Process { get; }

    public DateTimeOffset Since { get; }

    /// <summary>As wait(2) has it, once it has ended.</summary>
    public int? Status { get; private set; }

    public DateTimeOffset? Until { get; private set; }

    public bool IsAway { get; private set; }

    public bool HasStub => Volatile.Read(ref _stub) is not null;

    public int StoppedBy => Volatile.Read(ref _stoppedBy);

    public (ulong Sent, ulong Received) Bytes { get; private set; }

    /// <summary>Begins to carry its streams.</summary>
    public void Begin(ExecConnection? connection, StubConnection? stub, string? how = null)
    {
        History.Add(how ?? (connection is null
            ? $"taken up from an earlier runtime, with what happened before that; begun {Since:u} for stub {Stub} (uid {Note.Uid}) as process {Process} of host '{Note.Host}': {Note.Command}"
            : $"begun for stub {Stub} (uid {Note.Uid}) as process {Process} of host '{Note.Host}': {Note.Command}"));
        if (_memory.Stage == ProcessStage.Ended)
        {
            (Status, Until) = (_memory.Status, new DateTimeOffset(_memory.Until, TimeSpan.Zero));
        }

        // Before anything can come: without a stub an end is nobody's to be told.
        (_stub, _view) = (stub, stub?.View ?? _view);
        _channel.Begin();
        if (connection is not null)
        {
            Connect(connection);
        }
        else
        {
            _channel.Post(() => LinkLost(null));
        }

        if (stub is not null)
        {
            _channel.Watch(stub.Socket);
        }
    }

    /// <summary>Goes on with a connection of the link.</summary>
    public void Connect(ExecConnection connection)
    {
        _channel.Connect(connection);
        _channel.Post(() =>
        {
            if (IsAway)
            {
                History.Add("its host is there again");
            }

            (IsAway, _goesOn) = (false, false);
            _calls.IsTaken = connection.Link.Reply.Exec is { TakesCalls: true };
            if (_job is { } job)
            {
                _channel.Send(ProcessFrameKind.Job, job.ToBytes());
            }

            SendSignals();
            if (_terminates && Status is null)
            {
                _channel.Send(ProcessFrameKind.Terminate, []);
            }

            if (_forgotten)
            {
                _channel.Send(ProcessFrameKind.Forget, []);
            }
        });
    }

    /// <summary>Its stub is there again.</summary>
    public void Attach(StubConnection stub, int number) => _channel.Post(
        () =>
        {
            if (Stub == 0)
            {
                (Stub, _memory.Number, _memory.Began) = (number, number, StartOf(number));
            }

            _stub?.Dispose();
            (_stub, _stubEnded, _view) = (stub, false, stub.View);
            (_toldStub, _mayRead) = (false, false);
            History.Add("its stub has connected again");
            _channel.Watch(stub.Socket);
            if (_stoppedBy != 0)
            {
                _ = stub.Tell(StubFrame.Stopped, _stoppedBy);
            }

            AskStandIn();
        },
        stub.Dispose);

    /// <summary>Sends it a signal.</summary>
    public void Send(ProcessSignal asked) => _channel.Post(() => Forward(asked));

    /// <summary>Has the host end it: SIGTERM, and after its policy's grace SIGKILL to all of it.</summary>
    public void Terminate() => _channel.Post(() =>
    {
        // Told on each connection: the frame may be lost with this one, and the host does it once.
        History.Add(IsAway ? "its host is told to end it when it is there again" : "its host is told to end it");
        _terminates = true;
        _channel.Send(ProcessFrameKind.Terminate, []);
    });

    /// <summary>The host knows nothing of it any more.</summary>
    public void Lost() => _channel.Post(() =>
    {
        if (!_forgotten)
        {
            Log.ProcessLost(_table.Logger, Note.Host, Process, Note.Command);
            History.Add("its host knows nothing of it any more");
            End(LostCode << 8);
            _ = _stub?.Tell(StubFrame.Ended, LostCode << 8);
        }

        Finish();
    });

    /// <summary>Its stub's end means nothing: where its view is ended, it goes on.</summary>
    public void Detach()
    {
        _detached = true;
        _memory.Hold(DetachedEntry, null);
    }

    /// <summary>Asks the host's kernel something of the process.</summary>
    /// <param name="call">What.</param>
    /// <param name="answered">Told once, on a thread that must not be kept.</param>
    public void Call(ProcessCall call, Action<ProcessCallAnswer> answered) =>
        _channel.Post(() => _calls.Ask(_channel, call, answered), () => answered(new(0, -errno.ESRCH, [])));

    /// <summary>Looks whether its stub is there still, where it has not come again.</summary>
    public void CheckStub() => _channel.Post(() =>
    {
        if (_stub is null && Status is null && !_over && (Stub == 0 ? _table.Time.GetUtcNow() - Since > s_standInLimit : StartOf(Stub) != _memory.Began))
        {
            StubGone();
        }
    });

    /// <summary>Ends one that has not begun, with its memory.</summary>
    public void Discard() => _channel.End(_memory.Forget);

    /// <summary>Lets go of it here; the keeper goes on having what there is. For the runtime's end.</summary>
    public void Leave() => _channel.End(() =>
    {
        _over = true;
        _stub?.Dispose();
        _terminal?.Dispose();
    });

    /// <inheritdoc/>
    public void FrameCame(ProcessFrameKind kind, ReadOnlySpan<byte> content)
    {
        switch (kind)
        {
            case ProcessFrameKind.Ended:
                End(BinaryPrimitives.ReadInt32LittleEndian(content));
                break;
            case ProcessFrameKind.Stopped:
                Stopped(BinaryPrimitives.ReadInt32LittleEndian(content));
                break;
            case ProcessFrameKind.Continued:
                Continued();
                break;
            case ProcessFrameKind.Called when _calls.Answer(content):
                break;
            case ProcessFrameKind.LeftBehind when ProcessStandIn.TryRead(content, out ProcessStandIn left):
                LeftBehind(left);
                break;
            case ProcessFrameKind.Note:
                Noted(content);
                break;
            case ProcessFrameKind.Forget when _forgotten:
                Finish();
                break;
            default:
                Log.Violation(_table.Logger, Note.Host, Process, kind.ToString());
                _channel.Disconnect();
                break;
        }
    }

    /// <inheritdoc/>
    public void LinkLost(string? violation)
    {
        if (violation is not null)
        {
            Log.Violation(_table.Logger, Note.Host, Process, violation);
        }

        _calls.Lose(errno.EHOSTUNREACH);
        if (!_over)
        {
            if (!IsAway && Status is null)
            {
                History.Add(violation is null ? "its host is away" : $"its host is asked again: {violation}");
            }

            IsAway = true;
            _table.Redial(this);
        }
    }

    /// <inheritdoc/>
    public void StreamFailed(int number, int error) => Log.StreamFailed(_table.Logger, Process, Note.Host, number, Marshal.GetPInvokeErrorMessage(error));

    /// <inheritdoc/>
    public void Moved()
    {
        Bytes = _channel.Bytes;
        SendSignals();

        // What it wrote to its terminal before comes before the shell's own words.
        if (_stopArrivals is not null && _channel.HasDelivered(_stopArrivals))
        {
            _stopArrivals = null;
            _ = _stub?.Tell(StubFrame.Stopped, _stoppedBy);
        }

        if (Status is not { } status || _over)
        {
            return;
        }

        // What it wrote before its end is with who reads it before that one is told.
        _endArrivals ??= _channel.Arrivals();
        if (!_toldStub && _stub is not null && _channel.HasDelivered(_endArrivals))
        {
            _toldStub = true;
            _ = _stub.Tell(StubFrame.Ended, status);
        }

        // Others may hold its output open still.
        if (!_forgotten && _stub is null && _channel.AreStreamsOver && !MayAttach)
        {
            _forgotten = true;
            _channel.Send(ProcessFrameKind.Forget, []);
        }
    }

    /// <inheritdoc/>
    public void Readable()
    {
        while (_stub is { } stub)
        {
            StubFrame kind = stub.Next(out byte[] content, out bool ended);
            if (kind == StubFrame.Signal && content.Length == ProcessSignal.Size && ProcessSignal.TryRead(content, out ProcessSignal asked))
            {
                if (asked.Number == signal.SIGCONT)
                {
                    // A stop that was to be told crosses with it.
                    (_stubGoesOn, _stopArrivals) = (true, null);
                    _ = stub.TellContinued();
                }

                Forward(asked);
            }
            else if (kind == StubFrame.Stood && ProcessStandIn.TryRead(content, out ProcessStandIn stood))
            {
                Stood(stood);
            }
            else if (kind == StubFrame.Job && content.Length == ProcessJob.Size && ProcessJob.TryRead(content, out ProcessJob job))
            {
                (_job, _mayRead) = (job, job.IsForeground);
                _channel.Send(ProcessFrameKind.Job, content);
            }
            else if (ended || kind != StubFrame.None)
            {
                stub.Dispose();
                _stub = null;
                _stubEnded = true;
                AskStandIn();
                if (Status is null)
                {
                    StubGone();
                }

                Moved();
            }
            else
            {
                return;
            }
        }
    }

    /// <summary>When a process began, in the kernel's ticks since boot; -1 where there is none of that number.</summary>
    public static long StartOf(int process)
    {
        try
        {
            // proc(5): the name, in parentheses, may hold anything; the 22nd field is the 20th behind it.
            string status = File.ReadAllText(string.Create(System.Globalization.CultureInfo.InvariantCulture, $"/proc/{process}/stat"));
            string[] fields = status[(status.LastIndexOf(')') + 2)..].Split(' ');
            return fields.Length > 19 && fields[0] is not ("Z" or "X") && long.TryParse(fields[19], out long began) ? began : -1;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentOutOfRangeException)
        {
            // Expected: it has ended.
            return -1;
        }
    }

    // Of an earlier runtime, and on its way to this one.
    private bool MayAttach => !_stubEnded && (Stub == 0 ? _table.Time.GetUtcNow() - Since <= s_standInLimit : StartOf(Stub) == _memory.Began);

    private void Forward(ProcessSignal asked)
    {
        bool fits = _signals.Count < MostSignals;
        History.Add($"signal {asked.Number}{(asked.Pid > 0 ? $" of process {asked.Pid}, uid {asked.Uid}," : "")} {(fits ? "goes to it" : "is lost: too many wait")}{(IsAway ? " when its host is there again" : "")}");
        if (fits)
        {
            _signals.Enqueue(asked);
        }

        SendSignals();
    }

    // No more than the link takes: whoever may signal a stub could fill this runtime's memory.
    private void SendSignals()
    {
        while (_channel.IsConnected && _channel.Unsent < MostUnsent && _signals.TryDequeue(out ProcessSignal waited))
        {
            _channel.Send(ProcessFrameKind.Signal, waited.ToBytes());
            _goesOn |= waited.Number == signal.SIGCONT;
        }
    }

    // What kills a stub cannot be caught: so it is with its process.
    private void StubGone()
    {
        // Once: whoever has it later has it as that one wants.
        if (!_gaveBack)
        {
            _gaveBack = true;
            _terminal?.Restore();
        }

        using Dpu.Keeper.Kept? noted = _detached ? null : _memory.Get(DetachedEntry);
        if (_detached || noted is not null)
        {
            _detached = true;
            return;
        }

        // The end of a view's first process takes all others along: that is not the end of what they stand for. An earlier runtime knew the view.
        if (_view?.HasEnded ?? Note.View is { HasEnded: true })
        {
            Detach();
            Log.ViewGone(_table.Logger, Stub, Process, Note.Host, Note.Command);
            History.Add("its view has ended, and its stub with that; it goes on");
            return;
        }

        Log.StubGone(_table.Logger, Stub, Process, Note.Host, Note.Command);
        History.Add("its stub has gone, so it is killed");
        Forward(new ProcessSignal(signal.SIGKILL, 0, 0, 0, 0));
    }

    private void End(int status)
    {
        if (Status is null)
        {
            (_memory.Status, _memory.Until) = (status, _table.Time.GetUtcNow().UtcTicks);
            _memory.Stage = ProcessStage.Ended;
            (Status, Until) = (status, _table.Time.GetUtcNow());
            History.Add($"ended, {ProcessStatus.Describe(status)}");
            Log.ProcessEnded(_table.Logger, Process, Note.Host, Note.Command, ProcessStatus.Describe(status));
        }
    }

    private void Noted(ReadOnlySpan<byte> content)
    {
        (ProcessNoteKind kind, string text) = ProcessFrames.ReadNote(content);
        if (kind == ProcessNoteKind.Group)
        {
            if (Group != text)
            {
                History.Add($"in {text} of its host");
            }

            Group = text;
        }
        else if (kind == ProcessNoteKind.Event)
        {
            History.Add($"its host says: {text}");
        }
    }

    private void Finish()
    {
        if (!_over)
        {
            _over = true;
            _calls.Lose(errno.ESRCH);
            _table.Finished(this);
            _channel.End(connection =>
            {
                if (connection is not null)
                {
                    _table.Return(Note.Host, connection);
                }

                _stub?.Dispose();
                _terminal?.Dispose();
                _memory.Forget();
            });
        }
    }
}
