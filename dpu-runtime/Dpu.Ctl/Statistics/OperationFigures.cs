using Dpu.Ctl.Output;
using Dpu.Proto.V1;

namespace Dpu.Ctl.Statistics;

/// <summary>What became of some requests in some time. Immutable.</summary>
/// <param name="Name">The opcode's name, or <c>total</c>.</param>
/// <param name="Requests">How many ended.</param>
/// <param name="Errors">How many with an errno.</param>
/// <param name="RequestBytes">Bytes to the host.</param>
/// <param name="ReplyBytes">Bytes from the host.</param>
/// <param name="InFlight">How many are under way.</param>
/// <param name="TotalLatency">How long those that ended took altogether.</param>
/// <param name="MaxLatency">How long the slowest one took, of all since the mount was made.</param>
/// <param name="Latencies">How many took how long.</param>
internal sealed record OperationFigures(
    string Name,
    ulong Requests,
    ulong Errors,
    ulong RequestBytes,
    ulong ReplyBytes,
    ulong InFlight,
    TimeSpan TotalLatency,
    TimeSpan MaxLatency,
    LatencyCounts Latencies)
{
    public const string TotalName = "total";

    /// <summary>How long one took on average; null without any.</summary>
    public TimeSpan? Mean => Requests == 0 ? null : TotalLatency / Requests;

    public TimeSpan? P50 => Latencies.Quantile(0.5, MaxLatency);

    public TimeSpan? P99 => Latencies.Quantile(0.99, MaxLatency);

    public static OperationFigures Of(OperationStats message) => new(
        message.Operation,
        message.Requests,
        message.Errors,
        message.RequestBytes,
        message.ReplyBytes,
        message.InFlight,
        message.TotalLatency is { } total ? Human.Span(total) : TimeSpan.Zero,
        message.MaxLatency is { } most ? Human.Span(most) : TimeSpan.Zero,
        new LatencyCounts(message.LatencyBuckets));

    /// <summary>Those of several opcodes together.</summary>
    public static OperationFigures Total(IEnumerable<OperationFigures> operations) => operations.Aggregate(
        new OperationFigures(TotalName, 0, 0, 0, 0, 0, TimeSpan.Zero, TimeSpan.Zero, new LatencyCounts([])),
        (sum, one) => new OperationFigures(
            TotalName,
            unchecked(sum.Requests + one.Requests),
            unchecked(sum.Errors + one.Errors),
            unchecked(sum.RequestBytes + one.RequestBytes),
            unchecked(sum.ReplyBytes + one.ReplyBytes),
            unchecked(sum.InFlight + one.InFlight),
            sum.TotalLatency + one.TotalLatency,
            sum.MaxLatency > one.MaxLatency ? sum.MaxLatency : one.MaxLatency,
            sum.Latencies.Plus(one.Latencies)));

    /// <summary>What came since an earlier sample; the slowest one is then as slow as its bucket ends.</summary>
    public OperationFigures Since(OperationFigures earlier)
    {
        LatencyCounts latencies = Latencies.Minus(earlier.Latencies);
        return this with
        {
            Requests = Less(Requests, earlier.Requests),
            Errors = Less(Errors, earlier.Errors),
            RequestBytes = Less(RequestBytes, earlier.RequestBytes),
            ReplyBytes = Less(ReplyBytes, earlier.ReplyBytes),
            TotalLatency = TotalLatency > earlier.TotalLatency ? TotalLatency - earlier.TotalLatency : TimeSpan.Zero,
            MaxLatency = MaxLatency > earlier.MaxLatency ? MaxLatency : latencies.UpperBound(MaxLatency) ?? TimeSpan.Zero,
            Latencies = latencies,
        };
    }

    private static ulong Less(ulong now, ulong before) => now > before ? now - before : 0;
}
