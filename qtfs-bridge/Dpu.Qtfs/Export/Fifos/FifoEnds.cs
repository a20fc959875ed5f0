using System.Runtime.InteropServices;
using Dpu.Proto.V1;

namespace Dpu.Qtfs.Export.Fifos;

/// <summary>
/// Which FIFOs of a mount this process has open, and for which way. What goes one way is never the partner of what goes the other: bytes of the peer
/// would go back to it, and each would hold the other open for ever. Several of one way are of one kind, and do not meet. Thread-safe.
/// </summary>
internal sealed class FifoEnds
{
    private readonly Lock _lock = new();
    private readonly Dictionary<(ulong Node, FifoDirection Direction), int> _taken = [];

    /// <summary>Before one is opened; to be given back when it is closed, or could not be opened.</summary>
    /// <param name="node">The FIFO.</param>
    /// <param name="direction">Which way; unspecified for both.</param>
    /// <returns>False while this process has it open for another way.</returns>
    public bool TryTake(ulong node, FifoDirection direction)
    {
        lock (_lock)
        {
            if (_taken.Keys.Any(taken => taken.Node == node && taken.Direction != direction))
            {
                return false;
            }

            CollectionsMarshal.GetValueRefOrAddDefault(_taken, (node, direction), out _)++;
            return true;
        }
    }

    /// <summary>Gives one back.</summary>
    public void GiveBack(ulong node, FifoDirection direction)
    {
        lock (_lock)
        {
            if (--CollectionsMarshal.GetValueRefOrNullRef(_taken, (node, direction)) == 0)
            {
                _ = _taken.Remove((node, direction));
            }
        }
    }
}
