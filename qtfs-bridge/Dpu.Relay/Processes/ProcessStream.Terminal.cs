namespace Dpu.Relay.Processes;

// What a stream has whose local end is a terminal.
internal sealed unsafe partial class ProcessStream
{
    // The kernel's buffers of a pair: 64 KiB (TTYB_DEFAULT_MEM_LIMIT), and 4 KiB of its line discipline, and their edges.
    private const ulong MostInTerminal = 96 << 10;

    private bool _isDrained;

    public bool IsTerminal => (State & ProcessStreamState.Terminal) != 0;

    /// <summary>Asked each time before the local end is read; null where it always may be. Its end is always seen.</summary>
    public Func<bool>? MayFetch { get; set; }

    /// <summary>Whether it is to be tried again after a while.</summary>
    public bool WaitsForTick { get; private set; }

    /// <summary>Begins to look for all that the local end has now; a position behind it.</summary>
    public ulong Mark()
    {
        if (!IsTerminal)
        {
            return Available;
        }

        // What a terminal says that it has is without what its kernel thread has not gone through yet: it is read until nothing is there.
        (_isDrained, _isReady) = (false, true);
        return Pipe.End + MostInTerminal;
    }

    /// <summary>Whether all before a mark has been sent.</summary>
    public bool HasSent(ulong mark) => _sent >= mark || ((_isDrained || (State & ProcessStreamState.AtEnd) != 0) && IsTerminal && _sent >= Pipe.End);

    /// <summary>The time for which it waited has come.</summary>
    public void Tick()
    {
        _isReady |= WaitsForTick;
        WaitsForTick = false;
    }

    /// <summary>Reads no more from the local end, and closes it; what was read still goes.</summary>
    public void Cut()
    {
        if (IsOver || (State & ProcessStreamState.AtEnd) != 0)
        {
            return;
        }

        Set(ProcessStreamState.AtEnd);
        LetGo();
        Closed?.Invoke(this);
    }
}
