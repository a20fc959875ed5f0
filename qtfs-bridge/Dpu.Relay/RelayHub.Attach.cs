using Dpu.Linux;
using Dpu.Relay.Counters;
using Dpu.Relay.Descriptors;
using Dpu.Relay.Flow;
using Dpu.Relay.Terminals;
using Microsoft.Win32.SafeHandles;

namespace Dpu.Relay;

// What is no stream of bytes itself: something between it and its relay tells the other end of it, by messages on a pair of sockets.
public sealed partial class RelayHub
{
    // Whether a passed master waits is told by the open file description, which programs have too: each has a thread that only it can hold up.
    private const int MostMasters = 64;

    private readonly List<RelayLoop> _ownLoops = [];
    private RelayLoop? _counterLoop;
    private int _masters;

    internal TerminalTable Terminals { get; }

    internal CounterWatch Counters { get; }

    /// <summary>What is relayed of a descriptor: itself, or, of a counter and a terminal, a socket.</summary>
    /// <param name="end">What a program has passed, or what belongs to that which one gets; the hub's own from now on, or what is given back.</param>
    /// <param name="what">What the program has.</param>
    /// <param name="isTwin">Whether this process has made it.</param>
    /// <param name="peer">With whom, as its tokens are kept.</param>
    /// <param name="token">Of the connection that relays it.</param>
    /// <param name="reason">Why not.</param>
    /// <returns>A descriptor that does not wait; null where that fails.</returns>
    public SafeFileHandle? TryAttach(SafeFileHandle end, PassedDescriptor what, bool isTwin, string peer, ReadOnlySpan<byte> token, out string reason)
    {
        ArgumentNullException.ThrowIfNull(end);
        ArgumentNullException.ThrowIfNull(what);
        reason = "";
        if (what.Kind != DescriptorKind.Counter && !what.IsTerminal)
        {
            return end;
        }

        if (!Descriptor.TryMakePair(new(DescriptorKind.Socket, DescriptorFlags.Messages | DescriptorFlags.NonBlock), out SafeFileHandle? near, out SafeFileHandle? relayed))
        {
            near?.Dispose();
            relayed?.Dispose();
            end.Dispose();
            reason = "there are no descriptors left";
            return null;
        }

        bool begun = what.Kind == DescriptorKind.Counter ? TryBeginCounter(end, near!, isTwin, out reason) : TryBeginTerminal(end, near!, what, isTwin, peer, token, out reason);
        if (begun)
        {
            reason = "";
            return relayed;
        }

        relayed!.Dispose();
        return null;
    }

    /// <summary>
    /// Joins a terminal with the other end of <paramref name="socket"/>: see <see cref="TerminalSide"/>. Both handles are the hub's from now on, and have
    /// O_NONBLOCK. False where it is no terminal.
    /// </summary>
    /// <param name="terminal">The terminal.</param>
    /// <param name="socket">Of a pair that keeps messages apart; its other end is relayed.</param>
    /// <param name="side">What the terminal is.</param>
    /// <param name="ended">Called once when it is over, on a thread that must not be kept.</param>
    public bool TryStartTerminal(SafeFileHandle terminal, SafeFileHandle socket, TerminalSide side, Action? ended = null)
    {
        if (TerminalEnd.TryMake(terminal, socket, side, null, new TerminalOptions(IsTwin: false, Ended: ended)) is not { } made)
        {
            return false;
        }

        Loop(Interlocked.Increment(ref _lastListener)).Add(made);
        return true;
    }

    private bool TryBeginCounter(SafeFileHandle counter, SafeFileHandle near, bool isTwin, out string reason)
    {
        reason = "there are no descriptors left";
        if (CounterEnd.TryMake(counter, near, Counters, isTwin) is not { } made)
        {
            return false;
        }

        RelayLoop loop;
        lock (_lock)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);

            // Of its own: to add to a counter may wait, until the watch sees it.
            loop = _counterLoop ??= new RelayLoop("counters", e => Log.LoopBug(_logger, e));
        }

        Counters.Add(made);
        loop.Add(made);
        return true;
    }

    private bool TryBeginTerminal(SafeFileHandle terminal, SafeFileHandle near, PassedDescriptor what, bool isTwin, string peer, ReadOnlySpan<byte> token, out string reason)
    {
        TerminalSide side = (what.Kind == DescriptorKind.TerminalMaster) == isTwin ? TerminalSide.Raw : TerminalSide.Cooked;
        string name = Convert.ToHexString(token);
        bool isPassedMaster = side == TerminalSide.Cooked && !isTwin;
        if (!Terminals.TryBegin(peer, token, isTwin && side == TerminalSide.Cooked ? terminal : null))
        {
            reason = $"{TerminalTable.MostOfPeer} terminals cross to that peer already, which is the most";
            terminal.Dispose();
            near.Dispose();
            return false;
        }

        RelayLoop? own = isPassedMaster ? TryMakeLoop() : null;
        bool waits = isPassedMaster && (LibC.Result(LibC.fcntl_int((int)terminal.DangerousGetHandle(), fcntl.F_GETFL, 0)) & fcntl.O_NONBLOCK) == 0;
        SafeFileHandle? kept = waits && own is not null ? Duplicate(terminal) : null;
        bool reads = isTwin || (what.Flags & DescriptorFlags.WriteOnly) == 0;
        bool writes = isTwin || (what.Flags & (DescriptorFlags.WriteOnly | DescriptorFlags.ReadWrite)) != 0;
        TerminalSettings? settings = isTwin ? TerminalSettings.Read(what.Settings.Span) : null;
        reason = isPassedMaster && own is null ? $"{MostMasters} masters of terminals cross already, which is the most" : "it is no terminal that this kernel knows";
        TerminalEnd? end = isPassedMaster && own is null ? null : TerminalEnd.TryMake(terminal, near, side, settings, new TerminalOptions(isTwin, reads, writes, () =>
        {
            Terminals.End(peer, name);
            if (kept is not null)
            {
                _ = LibC.SetBlocking(kept);
                kept.Dispose();
            }

            Drop(own);
        }));
        if (end is null)
        {
            terminal.Dispose();
            near.Dispose();
            kept?.Dispose();
            Terminals.End(peer, name);
            Drop(own);
            return false;
        }

        if (kept is not null)
        {
            _ = LibC.SetNonBlocking(kept);
        }

        (own ?? Loop(Interlocked.Increment(ref _lastListener))).Add(end);
        return true;
    }

    private RelayLoop? TryMakeLoop()
    {
        lock (_lock)
        {
            if (_disposed || _masters == MostMasters)
            {
                return null;
            }

            _masters++;
            var loop = new RelayLoop("terminal", e => Log.LoopBug(_logger, e));
            _ownLoops.Add(loop);
            return loop;
        }
    }

    // Not by its own thread, which has to end for that.
    private void Drop(RelayLoop? loop)
    {
        if (loop is null)
        {
            return;
        }

        lock (_lock)
        {
            _masters--;
            if (!_ownLoops.Remove(loop))
            {
                return;
            }
        }

        _ = ThreadPool.UnsafeQueueUserWorkItem(loop => loop.Dispose(), loop, preferLocal: false);
    }

    private static SafeFileHandle? Duplicate(SafeFileHandle handle)
    {
        int copy = LibC.Result(LibC.fcntl_int((int)handle.DangerousGetHandle(), fcntl.F_DUPFD_CLOEXEC, 0));
        return copy < 0 ? null : new SafeFileHandle(copy, ownsHandle: true);
    }

    private void EndAttached()
    {
        RelayLoop[] own;
        lock (_lock)
        {
            own = [.. _ownLoops];
            _ownLoops.Clear();
        }

        // Not under the lock, which who ends takes.
        Counters.Dispose();
        _counterLoop?.Dispose();
        Array.ForEach(own, loop => loop.Dispose());
    }
}
