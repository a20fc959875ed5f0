namespace Dpu.Flows.Nic;

/// <summary>
/// What an emulated NIC does wrong. Chances are of 0 to 1 for each entry that the fault can happen to; the same seed and calls
/// give the same faults. Immutable.
/// </summary>
public sealed record NicFaults
{
    /// <summary>Nothing goes wrong.</summary>
    public static NicFaults None { get; } = new();

    /// <summary>Of the sequence of chances.</summary>
    public int Seed { get; init; } = 1;

    /// <summary>An insert says that it is done, and there is no entry.</summary>
    public double LostInsert { get; init; }

    /// <summary>A delete says that it is done, and the entry goes on.</summary>
    public double LostDelete { get; init; }

    /// <summary>An entry's last output goes to another port.</summary>
    public double CorruptAction { get; init; }

    /// <summary>A bit of an entry's mask is lost: it matches more.</summary>
    public double CorruptMask { get; init; }

    /// <summary>An insert makes two entries, of which the caller knows one.</summary>
    public double Duplicate { get; init; }

    /// <summary>An entry is still there after a reset.</summary>
    public double GhostAfterReset { get; init; }

    /// <summary>An entry's counters and its bit of activity never move.</summary>
    public double StuckCounter { get; init; }

    /// <summary>Counters are told as they were up to so long ago.</summary>
    public TimeSpan CounterLag { get; init; }

    /// <summary>The NIC says that it is full though it is not.</summary>
    public double FalselyFull { get; init; }

    /// <summary>A step of a dump is interrupted.</summary>
    public double InterruptedDump { get; init; }

    /// <summary>How long each command takes: a batch, a query, a bulk read, a step of a dump.</summary>
    public TimeSpan CommandDelay { get; init; }

    /// <summary>How long a step of a dump takes besides.</summary>
    public TimeSpan DumpDelay { get; init; }
}
