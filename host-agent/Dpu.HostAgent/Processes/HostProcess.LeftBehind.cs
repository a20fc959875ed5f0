using Dpu.Relay.Processes;

namespace Dpu.HostAgent.Processes;

/// <summary>
/// What it leaves running when it ends, as daemons do: its end is told when the DPU has somebody who stands for that, so that who waits for the end
/// finds a process to signal, and its number in its pid file. All on the channel's thread, where nothing else is said.
/// </summary>
internal sealed partial class HostProcess
{
    // What a DPU needs to fork a process; and how long a pid file may take to be written.
    private static readonly TimeSpan s_answerLimit = TimeSpan.FromSeconds(10);

    private Behind _behind;
    private bool _standsIn;
    private HostProcess? _left;
    private ITimer? _answerTimer;

    // How far it is known what it has left; kept in memory from Seen on.
    private enum Behind
    {
        No = 0,
        Looking = 1,
        Told = 2,
        Written = 3,
        Seen = 4,
    }

    /// <summary>The process has ended, or its DPU is there again.</summary>
    private void LookBehind()
    {
        if (!HasEnded || _behind == Behind.Seen || !_channel!.IsConnected)
        {
            return;
        }

        if ((_memory.Flags & (int)Behind.Seen) != 0 || !_standsIn || Volatile.Read(ref _terminating) != 0 || Group is null || !LeftProcesses.Any(Group, Number))
        {
            Seen();
        }
        else if (_behind == Behind.No)
        {
            _behind = Behind.Looking;
            _service.Look(this, left => _channel.Post(() => Found(left), () => left?.Drop()));
        }
        else if (_behind == Behind.Told)
        {
            TellLeft();
        }
    }

    private void Found(HostProcess? left)
    {
        _left = left;
        _behind = left is null ? _behind : Behind.Told;
        if (left is null)
        {
            Seen();
            return;
        }

        TellLeft();
    }

    private void TellLeft()
    {
        _channel!.Send(ProcessFrameKind.LeftBehind, new ProcessStandIn(_left!.Token, _left.Number).ToBytes());
        Stop(ref _answerTimer);
        _answerTimer = _service.Time.CreateTimer(_ => _channel.Post(NotAnswered), null, s_answerLimit, Timeout.InfiniteTimeSpan);
    }

    private void NotAnswered()
    {
        if (_behind is Behind.Told or Behind.Written && _channel!.IsConnected)
        {
            Log.NoStandIn(_service.Logger, Number, _left!.Number, What.Peer, "it does not answer, or the pid file cannot be written");
            Seen();
        }
    }

    private void StoodFor(ProcessStandIn standIn)
    {
        if (_behind != Behind.Told || _left is not { } left || standIn.Token != left.Token)
        {
            return;
        }

        if (standIn.Number == 0)
        {
            Log.NoStandIn(_service.Logger, Number, left.Number, What.Peer, "its stub is gone, or cannot fork");
            _left = null;
            left.Drop();
            Seen();
            return;
        }

        Log.Daemonised(_service.Logger, left.Number, Number, What.Peer, standIn.Number);
        if (standIn.Number == left.Number || What.PidFiles.Count == 0)
        {
            Seen();
            return;
        }

        _behind = Behind.Written;
        _service.WritePidFiles(left, standIn.Number, written => _channel!.Post(() =>
        {
            if (written is not null)
            {
                Log.PidFileWritten(_service.Logger, left.Number, written, standIn.Number);
            }

            Seen();
        }));
    }

    private void Seen()
    {
        Stop(ref _answerTimer);
        _memory.Flags |= (int)(_behind = Behind.Seen);
        Moved();
    }

    // Nobody came for it in all the time that statuses are kept.
    private void ForgetLeft()
    {
        if (_behind is Behind.Told)
        {
            _left?.Drop();
        }
    }

    // From another process's thread.
    private void Drop() => _channel!.Post(Forget);
}
