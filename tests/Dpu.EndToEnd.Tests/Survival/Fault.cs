namespace Dpu.EndToEnd.Tests.Survival;

/// <summary>What happens to the daemons and their link.</summary>
internal enum FaultKind
{
    /// <summary>The link breaks at a byte, and is closed for a while.</summary>
    Cut,

    /// <summary>kill -9 of the runtime, which is started again.</summary>
    RuntimeKill,

    /// <summary>kill -9 of the agent, which is started again.</summary>
    AgentKill,

    /// <summary>kill -9 of both.</summary>
    BothKill,

    /// <summary>kill -9 of the keeper; all is protected again before the next fault.</summary>
    KeeperKill,

    /// <summary>The runtime is stopped in order and started, as by an upgrade.</summary>
    RuntimeStop,

    /// <summary>The same of the agent.</summary>
    AgentStop,
}

/// <summary>One of a plan.</summary>
/// <param name="Kind">What.</param>
/// <param name="Bytes">A cut: how many bytes cross before it.</param>
/// <param name="Outage">A cut: for how long the link stays closed.</param>
/// <param name="Pause">How long nothing happens before.</param>
internal sealed record Fault(FaultKind Kind, long Bytes, TimeSpan Outage, TimeSpan Pause)
{
    // The transport's buffers are crossed in some 10 ms by a busy mount: cuts lie anywhere in messages small and large.
    private const int MostBytes = 60_000;
    private static readonly TimeSpan MostOutage = TimeSpan.FromMilliseconds(300);
    private static readonly TimeSpan MostPause = TimeSpan.FromMilliseconds(100);

    /// <summary>Makes a plan: the same of the same seed.</summary>
    /// <param name="seed">Of the order and of all figures.</param>
    /// <param name="cuts">How many cuts.</param>
    /// <param name="kills">How many kills of each daemon; of the other kinds there is one for each ten of them, and one at least.</param>
    /// <param name="kinds">What may happen.</param>
    public static Fault[] Plan(int seed, int cuts, int kills, IReadOnlySet<FaultKind> kinds)
    {
        var random = new Random(seed);
        var wanted = new List<FaultKind>();
        foreach (FaultKind kind in Enum.GetValues<FaultKind>().Where(kinds.Contains))
        {
            int count = kind switch
            {
                FaultKind.Cut => cuts,
                FaultKind.RuntimeKill or FaultKind.AgentKill => kills,
                _ => Math.Max(1, kills / 10),
            };
            wanted.AddRange(Enumerable.Repeat(kind, count));
        }

        FaultKind[] order = [.. wanted];
        random.Shuffle(order);
        return [.. order.Select(kind => new Fault(
            kind,
            random.Next(1, MostBytes),
            random.Next(2) == 0 ? TimeSpan.Zero : MostOutage * random.NextDouble(),
            MostPause * random.NextDouble()))];
    }
}

/// <summary>What became of one, in nanoseconds of CLOCK_MONOTONIC.</summary>
/// <param name="Fault">Which.</param>
/// <param name="Load">Beside what.</param>
/// <param name="Gone">When it happened.</param>
/// <param name="Back">When the link was open, or the daemon took connections, again.</param>
internal sealed record FaultRecord(Fault Fault, string Load, long Gone, long Back)
{
    /// <summary>The longest stall that it brought, by kind of operation, in ms.</summary>
    public Dictionary<string, double> Stalls { get; } = [];

    /// <summary>For how long something was away, in ms.</summary>
    public double Away => (Back - Gone) / 1e6;

    /// <inheritdoc/>
    public override string ToString() =>
        $"{Fault.Kind} beside {Load}: {(Fault.Kind == FaultKind.Cut ? $"after {Fault.Bytes} bytes, " : "")}away for {Away:0.0} ms, stalls {string.Join(", ", Stalls.Select(stall => $"{stall.Key} {stall.Value:0.0}"))} ms";
}
