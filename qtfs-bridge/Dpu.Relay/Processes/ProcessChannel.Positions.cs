namespace Dpu.Relay.Processes;

// What comes before what: ends and stops are told behind the bytes before them.
public sealed unsafe partial class ProcessChannel
{
    /// <summary>Positions behind all that the process has written until now. On the loop's thread.</summary>
    /// <param name="terminals">Only to its terminal.</param>
    public ulong[] Marks(bool terminals = false) => [.. _streams.Select(stream => stream.Sends && !stream.IsOver && (!terminals || stream.IsTerminal) ? stream.Mark() : 0)];

    /// <summary>Whether all before some <see cref="Marks"/> has been sent, or nobody takes it. On the loop's thread.</summary>
    public bool HasSent(ulong[] marks)
    {
        ArgumentNullException.ThrowIfNull(marks);
        return _streams.TrueForAll(stream => !stream.Sends || stream.IsOver || stream.HasSent(marks[stream.Index]));
    }

    /// <summary>How its streams stand, which changes only while there is a connection, but for ends. On the loop's thread.</summary>
    public IReadOnlyList<HeldStream> Streams => [.. _streams.Select(stream => stream.Held)];

    /// <summary>Positions behind all that has come until now. On the loop's thread.</summary>
    /// <param name="terminals">Only for the stub's terminal.</param>
    public ulong[] Arrivals(bool terminals = false) => [.. _streams.Select(stream => stream.Sends || (terminals && !stream.IsTerminal) ? 0 : stream.Pipe.End)];

    /// <summary>Whether all before some <see cref="Arrivals"/> is with who reads it, or nobody takes it. On the loop's thread.</summary>
    public bool HasDelivered(ulong[] arrivals)
    {
        ArgumentNullException.ThrowIfNull(arrivals);
        return _streams.TrueForAll(stream => stream.Sends || stream.IsOver || stream.IsBroken || stream.Pipe.First >= arrivals[stream.Index]);
    }

    // Where nothing comes from the other end's terminal any more this one is nobody's: at the host the last close of it hangs the process up.
    private void CutTerminal()
    {
        if (_streams.Find(stream => stream is { IsTerminal: true, Sends: false }) is { IsOver: true, IsBroken: false })
        {
            _streams.Find(stream => stream is { IsTerminal: true, Sends: true })?.Cut();
        }
    }
}
