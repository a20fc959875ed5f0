using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Dpu.HostAgent.Processes.Groups;
using Dpu.Hosting.Configuration;
using Dpu.Keeper;
using Dpu.Link;
using Dpu.Linux;
using Dpu.Relay.Processes;
using Microsoft.Win32.SafeHandles;

namespace Dpu.HostAgent.Processes;

/// <summary>
/// A process of this machine that a program on a DPU stands for: from its start until the DPU needs nothing of it any more. It goes on without the
/// link, and without this agent. Callbacks are the channel's thread's; the rest is thread-safe.
/// </summary>
internal sealed partial class HostProcess : IProcessChannelOwner
{
    // Of the memory's flags: it has got SIGTERM, and gets SIGKILL.
    private const int TerminatingFlag = 1;

    // Notes that wait for the link.
    private const int MostNotes = 16;

    private readonly ProcessService _service;
    private readonly ProcessMemory _memory;
    private readonly SafeFileHandle _pidfd;
    private readonly Queue<string> _notes = new();
    private bool _takesNotes;
    private readonly HostTerminal? _terminal;
    private ProcessChannel? _channel;
    private ulong[]? _marks;
    private ulong[]? _stopMarks;
    private bool _toldEnd;
    private int _stoppedBy;
    private int _shownStop;
    private long _downSince;
    private int _terminating;
    private ITimer? _awayTimer;
    private ITimer? _killTimer;
    private volatile bool _over;

    /// <param name="service">Has it.</param>
    /// <param name="token">Its name.</param>
    /// <param name="note">What it is.</param>
    /// <param name="memory">What outlives the agent of it; its own from now on.</param>
    /// <param name="pidfd">The process; its own from now on.</param>
    /// <param name="terminal">Its terminal, its own from now on; null for none.</param>
    public HostProcess(ProcessService service, Guid token, ProcessNote note, ProcessMemory memory, SafeFileHandle pidfd, HostTerminal? terminal)
    {
        (_service, Token, What, _memory, _pidfd, _terminal) = (service, token, note, memory, pidfd, terminal);
        Group = service.Groups.Find(note.Cgroup, note.Scope);
        _downSince = service.Time.GetTimestamp();
    }

    public Guid Token { get; }

    public ProcessNote What { get; }

    /// <summary>What it and all that comes of it is in; null for nothing.</summary>
    public IProcessGroup? Group { get; }

    public int Number => _memory.Number;

    /// <summary>The errno of why that is not the one that the DPU wanted; 0 where it is.</summary>
    public int NumberError => _memory.NumberError;

    public bool HasTerminal => _terminal is not null;

    public bool HasEnded => _memory.Stage == ProcessStage.Ended;

    /// <summary>Carries its streams from now on.</summary>
    public void Begin(ProcessStreams streams, ExecConnection? connection)
    {
        _channel = _service.Hub.Carry(streams, this);
        _channel.Begin();
        if (connection is not null)
        {
            Attach(connection);
        }
        else
        {
            _channel.Post(LinkIsAway);
        }
    }

    /// <summary>Goes on with a connection, which is the process's from now on.</summary>
    public void Attach(ExecConnection connection)
    {
        bool takesNotes = connection.Link.Hello.Exec.TakesNotes;
        _channel!.Connect(connection);
        _channel.Post(() =>
        {
            (_toldEnd, _takesNotes) = (false, takesNotes);
            if (takesNotes && Group is not null)
            {
                _channel.Send(ProcessFrameKind.Note, ProcessFrames.Note(ProcessNoteKind.Group, Group.Name));
            }

            SendNotes();
            Stop(ref _awayTimer);
            _standsIn = connection.Link.Hello.Exec.StandsIn;

            // The first word of a connection: what a cut has swallowed is said again.
            _stopMarks = null;
            if (_stoppedBy != 0)
            {
                Tell(ProcessFrameKind.Stopped, _stoppedBy);
            }
            else
            {
                _channel.Send(ProcessFrameKind.Continued, []);
            }

            LookBehind();
        });
    }

    /// <summary>The keeper says how it is.</summary>
    public void Changed(KeptProcess state) => _channel?.Post(() =>
    {
        if (state.Ended)
        {
            End(state.Status);
        }
        else if (ShownStop(state.StoppedBy) != _stoppedBy)
        {
            // What it wrote to its terminal before it stopped comes before that.
            _stoppedBy = ShownStop(state.StoppedBy);
            _stopMarks = _stoppedBy != 0 ? _channel.Marks(terminals: true) : null;
            if (_stoppedBy == 0)
            {
                _channel.Send(ProcessFrameKind.Continued, []);
            }
        }
    });

    /// <summary>The keeper that would know how it ended is gone.</summary>
    public void Orphaned() => _channel?.Watch(_pidfd);

    /// <inheritdoc/>
    public void FrameCame(ProcessFrameKind kind, ReadOnlySpan<byte> content)
    {
        switch (kind)
        {
            case ProcessFrameKind.Signal when ProcessSignal.TryRead(content, out ProcessSignal asked):
                Send(asked);
                if (asked.Number == signal.SIGCONT)
                {
                    GoesOn();
                }

                break;
            case ProcessFrameKind.Job when _terminal is not null && ProcessJob.TryRead(content, out ProcessJob job):
                _ = _terminal.Tell(job);
                break;
            case ProcessFrameKind.Terminate:
                Terminate("its DPU asks for it");
                break;
            case ProcessFrameKind.Call when ProcessCall.Read(content) is { } call:
                Do(call);
                break;
            case ProcessFrameKind.StandsIn when ProcessStandIn.TryRead(content, out ProcessStandIn standIn):
                StoodFor(standIn);
                break;
            case ProcessFrameKind.Forget when HasEnded:
                _channel!.Send(ProcessFrameKind.Forget, []);
                Forget();
                break;
            default:
                Log.ProcessViolation(_service.Logger, What.Peer, Number, kind.ToString());
                _channel!.Disconnect();
                break;
        }
    }

    /// <inheritdoc/>
    public void LinkLost(string? violation)
    {
        if (violation is not null)
        {
            Log.ProcessViolation(_service.Logger, What.Peer, Number, violation);
        }

        LinkIsAway();
    }

    /// <inheritdoc/>
    public void StreamFailed(int number, int error) => Log.StreamFailed(_service.Logger, Number, number, Marshal.GetPInvokeErrorMessage(error));

    /// <inheritdoc/>
    public void Moved()
    {
        if (_stopMarks is not null && _channel!.IsConnected && _channel.HasSent(_stopMarks))
        {
            _stopMarks = null;
            Tell(ProcessFrameKind.Stopped, _stoppedBy);
        }

        // What it had written before its end comes before that.
        if (_marks is not null && !_toldEnd && _behind == Behind.Seen && _channel!.IsConnected && _channel.HasSent(_marks))
        {
            _toldEnd = true;
            Tell(ProcessFrameKind.Ended, _memory.Status);
        }
    }

    /// <inheritdoc/>
    public void Readable()
    {
        // Watched only where nobody says how it ended.
        if (!HasEnded && (poll.Now(_pidfd, poll.POLLIN) & poll.POLLIN) != 0)
        {
            if (What.LeftBy.Length > 0)
            {
                // Nobody's child: nobody is told how it ended.
                End(0);
                return;
            }

            Log.StatusLost(_service.Logger, Number, What.Command);
            End(ProcessService.UnknownStatus);
        }
    }

    /// <summary>Lets go of all of it here; the keeper goes on having it. For the agent's end.</summary>
    public void Leave()
    {
        StopTimers();
        _channel?.End(() => _terminal?.Dispose());
    }

    /// <summary>Everything of it goes: nobody needs it any more.</summary>
    public void Forget()
    {
        if (_over)
        {
            return;
        }

        _over = true;
        StopTimers();
        ForgetLeft();
        _service.Forget(this);
        _channel!.End(connection =>
        {
            // First: the next process may be on its way.
            if (connection is not null)
            {
                _service.Reuse(connection);
            }

            RemoveGroup();
            _memory.Forget();
            _pidfd.Dispose();
            _terminal?.Dispose();
        });
    }

    /// <summary>As an earlier life of the agent has left it.</summary>
    public void Restored()
    {
        Note("another agent has taken it up");
        if ((_memory.Flags & TerminatingFlag) != 0)
        {
            Terminate("an earlier agent has begun to");
        }

        if (HasEnded)
        {
            _channel!.Post(() => _marks = _channel.Marks());
        }
    }

    private void End(int status)
    {
        if (HasEnded)
        {
            return;
        }

        (_memory.Status, _memory.Until) = (status, _service.Time.GetUtcNow().UtcTicks);
        _memory.Stage = ProcessStage.Ended;
        _marks = _channel!.Marks();
        _service.CountEnd(status);
        LookBehind();
        if (Volatile.Read(ref _terminating) != 0)
        {
            // It has had its grace; what it leaves behind has none to wait for.
            KillGroup();
        }

        Log.ProcessEnded(_service.Logger, Number, What.Command, ProcessStatus.Describe(status));
        if (!_channel.IsConnected)
        {
            LinkIsAway();
        }
    }

    private void Send(ProcessSignal asked)
    {
        if (_terminal is not null && JobSignals.IsOfGroup(asked) && _terminal.Tell(JobSignals.ToGroup(asked.Number)))
        {
            return;
        }

        if (_terminal is null && JobSignals.Stops(asked.Number, Number))
        {
            _shownStop = asked.Number;
            asked = asked with { Number = signal.SIGSTOP, Code = 0 };
        }

        SendAlone(asked);
    }

    // By which signal its parent on the DPU sees it stopped.
    private int ShownStop(int stoppedBy) => stoppedBy == signal.SIGSTOP && _shownStop != 0 ? _shownStop : stoppedBy;

    // What the keeper tells of a stop from now on is another one, even where it has seen nothing between both.
    private void GoesOn()
    {
        (_stoppedBy, _shownStop, _stopMarks) = (0, 0, null);
        _channel!.Send(ProcessFrameKind.Continued, []);
    }

    private unsafe void SendAlone(ProcessSignal asked)
    {
        var info = new siginfo_t { si_signo = asked.Number, si_code = signal.SI_QUEUE, si_pid = Environment.ProcessId, si_uid = asked.Uid, si_value = asked.Value };

        // SAFETY: one on this stack. Who sent it with a value (sigqueue(3)) has it delivered so.
        int sent = LibC.Result(LibC.pidfd_send_signal((int)_pidfd.DangerousGetHandle(), asked.Number, asked.Code == signal.SI_QUEUE ? &info : null));
        if (sent is < 0 and not -errno.ESRCH)
        {
            Log.SignalFailed(_service.Logger, asked.Number, Number, Marshal.GetPInvokeErrorMessage(-sent));
        }
    }

    private void Do(ProcessCall call)
    {
        bool isThere = !HasEnded && (poll.Now(_pidfd, poll.POLLIN) & poll.POLLIN) == 0;
        ProcessCallAnswer answer = isThere ? HostCalls.Do(Number, call, _service.Policy.Of(What.Peer, What.Path)) : new(call.Id, -errno.ESRCH, []);
        if (answer.Result < 0)
        {
            Log.CallFailed(_service.Logger, call.Kind.ToString(), Number, What.Peer, Marshal.GetPInvokeErrorMessage((int)-answer.Result));
        }
        else
        {
            Log.CallDone(_service.Logger, call.Kind.ToString(), Number, What.Peer);
        }

        _channel!.Send(ProcessFrameKind.Called, answer.ToBytes());
    }

    private void Tell(ProcessFrameKind kind, int number)
    {
        Span<byte> content = stackalloc byte[sizeof(int)];
        BinaryPrimitives.WriteInt32LittleEndian(content, number);
        _channel!.Send(kind, content);
    }

    private void LinkIsAway()
    {
        _downSince = _service.Time.GetTimestamp();
        TimeSpan patience = HasEnded ? ProcessService.StatusKept : What.OnLinkDown == LinkDownAction.Terminate ? What.LinkDownFor : TimeSpan.Zero;
        Stop(ref _awayTimer);
        if (patience > TimeSpan.Zero && !_over)
        {
            _awayTimer = _service.Time.CreateTimer(_ => StayedAway(), null, patience, Timeout.InfiniteTimeSpan);
        }
    }

    private void StayedAway() => _channel?.Post(() =>
    {
        if (_channel.IsConnected)
        {
            return;
        }

        if (HasEnded)
        {
            Log.StatusDropped(_service.Logger, Number, What.Command, What.Peer);
            Forget();
        }
        else
        {
            Terminate($"its DPU has been away for {_service.Time.GetElapsedTime(_downSince).TotalSeconds:0} s");
        }
    });

    /// <summary>SIGTERM now; SIGKILL to all that came of it when it has ended, or after the grace.</summary>
    public void Terminate(string why)
    {
        if (Interlocked.Exchange(ref _terminating, 1) != 0)
        {
            return;
        }

        if (HasEnded)
        {
            KillGroup();
            return;
        }

        _memory.Flags |= TerminatingFlag;
        Note($"it gets SIGTERM, and all that came of it SIGKILL after {What.Grace.TotalSeconds:0.###} s at most, as {why}");
        Log.Terminating(_service.Logger, Number, What.Command, why);
        Send(new ProcessSignal(signal.SIGTERM, 0, 0, 0, 0));
        Stop(ref _killTimer);
        _killTimer = _service.Time.CreateTimer(
            _ =>
            {
                Send(new ProcessSignal(signal.SIGKILL, 0, 0, 0, 0));
                KillGroup();
            },
            null, What.Grace, Timeout.InfiniteTimeSpan);
    }

    /// <summary>Tells the DPU what has happened, now or when it is there again.</summary>
    public void Note(string text) => _channel?.Post(() =>
    {
        if (_notes.Count < MostNotes)
        {
            _notes.Enqueue(text);
        }

        SendNotes();
    });

    private void SendNotes()
    {
        while (_takesNotes && _channel!.IsConnected && _notes.TryDequeue(out string? note))
        {
            _channel.Send(ProcessFrameKind.Note, ProcessFrames.Note(ProcessNoteKind.Event, note));
        }
    }

    private void KillGroup()
    {
        if (Group is { } group)
        {
            _service.Groups.Kill(group, Number);
        }
    }

    private void RemoveGroup()
    {
        if (Group is { } group)
        {
            _service.Groups.Remove(group);
        }
    }

    private void StopTimers()
    {
        Stop(ref _awayTimer);
        Stop(ref _killTimer);
        Stop(ref _answerTimer);
    }

    private static void Stop(ref ITimer? timer) => Interlocked.Exchange(ref timer, null)?.Dispose();
}
