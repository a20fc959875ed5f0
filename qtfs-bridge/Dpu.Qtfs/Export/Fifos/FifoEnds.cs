using Dpu.Proto.V1;

namespace Dpu.Qtfs.Export.Fifos;

/// <summary>
/// Which FIFOs of a mount this process has open, and for which way. What goes one way is never the partner of what goes the other: bytes of the peer
/// would go back to it, and each would hold the other open for ever. Two that read would share what is for one of them, the last of which may be on its
/// way to a program that has gone. Those that write do not meet: each begins when the one before has written all. Thread-safe.
/// </summary>
internal sealed class FifoEnds
{
    // Not a Lock: others wait in it for their turn.
    private readonly object _lock = new();
    private readonly List<FifoEnd> _taken = [];

    /// <summary>Before one is opened; to be given back when it is closed, or could not be opened.</summary>
    /// <param name="node">The FIFO.</param>
    /// <param name="direction">Which way; unspecified for both.</param>
    /// <returns>Null while this process has it open, unless both are to write.</returns>
    public FifoEnd? TryTake(ulong node, FifoDirection direction)
    {
        lock (_lock)
        {
            if (_taken.Exists(other => other.Node == node && (direction != FifoDirection.ToHost || other.Direction != FifoDirection.ToHost)))
            {
                return null;
            }

            var end = new FifoEnd(node, direction);
            _taken.Add(end);
            return end;
        }
    }

    /// <summary>Blocks until those of the FIFO that were taken before are given back: what programs have written one after the other is read so.</summary>
    public void AwaitTurn(FifoEnd end)
    {
        lock (_lock)
        {
            while (_taken.Find(other => other.Node == end.Node) is { } first && first != end)
            {
                _ = Monitor.Wait(_lock);
            }
        }
    }

    /// <summary>Gives one back.</summary>
    public void GiveBack(FifoEnd end)
    {
        lock (_lock)
        {
            _ = _taken.Remove(end);
            Monitor.PulseAll(_lock);
        }
    }
}

/// <summary>A FIFO that this process has open, or is opening; compared by identity.</summary>
/// <param name="node">Its node.</param>
/// <param name="direction">Which way its bytes go.</param>
internal sealed class FifoEnd(ulong node, FifoDirection direction)
{
    public ulong Node => node;

    public FifoDirection Direction => direction;
}
