using Dpu.Relay.Processes;

namespace Dpu.Runtime.Processes;

/// <summary>
/// What its process leaves running on the host when it ends: the stub forks somebody who stands for that before it ends itself, as the program has.
/// The host waits for the answer before it tells the end, and asks again on each connection; so does each runtime its stub. On the channel's thread.
/// </summary>
internal sealed partial class StubProcess
{
    // A fork, and a connection to this runtime or the one after it.
    private static readonly TimeSpan s_standInLimit = TimeSpan.FromSeconds(30);

    private ProcessStandIn _left;
    private StubProcess? _standIn;

    /// <summary>Says which number its stub, a stand-in, has in its own pid namespace, and why not the process's.</summary>
    private void StoodAs(int number, int error)
    {
        Note = Note with { Own = number };
        _memory.NumberError = number == Process ? 0 : error;
        _memory.Hold("what", null, Note.ToBytes());
    }

    /// <summary>A stand-in is where its parent is, and its view may end before it has come.</summary>
    public void InheritView(StubProcess ended) => _view = ended._view;

    private void LeftBehind(ProcessStandIn left)
    {
        // One at a time: a host that names others has no stub fork more.
        if (_left.Token != Guid.Empty && _left.Token != left.Token)
        {
            AnswerStandIn(left.Token, 0);
            return;
        }

        bool known = _left.Token == left.Token;
        _left = left;
        if (known)
        {
            AskStandIn();
            return;
        }

        _table.StandIn(this, left, standIn => _channel.Post(
            () =>
            {
                _standIn = standIn;
                if (standIn is null)
                {
                    _left = default;
                    AnswerStandIn(left.Token, 0);
                }

                AskStandIn();
            },
            () => standIn?.Abandon()));
    }

    // Whatever has changed: the stub, the runtime, or the link.
    private void AskStandIn()
    {
        if (_standIn is not { } standIn)
        {
            return;
        }

        if (standIn.Note.Own != 0)
        {
            AnswerStandIn(standIn.Token, standIn.Note.Own);
        }
        else if (_stub is { } stub)
        {
            _ = stub.TellStandIn(_left);
        }
        else if (!MayAttach)
        {
            NoStandIn();
        }
    }

    private void Stood(ProcessStandIn stood)
    {
        if (_standIn is not { } standIn || standIn.Token != stood.Token || standIn.Note.Own != 0)
        {
            return;
        }

        if (stood.Number == 0)
        {
            NoStandIn();
            return;
        }

        standIn.StoodAs(stood.Number, stood.Error);
        Log.StandsIn(_table.Logger, stood.Number, standIn.Process, Note.Host, Process, Note.Command);
        AnswerStandIn(standIn.Token, stood.Number);
    }

    private void NoStandIn()
    {
        Log.NoStandIn(_table.Logger, _standIn!.Process, Note.Host, Process, Note.Command);
        _standIn.Abandon();
        _standIn = null;
        AnswerStandIn(_left.Token, 0);
    }

    private void AnswerStandIn(Guid token, int number) => _channel.Send(ProcessFrameKind.StandsIn, new ProcessStandIn(token, number).ToBytes());

    /// <summary>As if it had never been: nobody stands for it.</summary>
    private void Abandon() => _channel.Post(() =>
    {
        if (!_over)
        {
            _over = true;
            _table.Abandoned(this);
            _channel.End(_memory.Forget);
        }
    });
}
