using Dpu.Fuse;
using Dpu.Proto.V1;
using Google.Protobuf.WellKnownTypes;

namespace Dpu.Qtfs;

/// <summary>Turns figures into messages of the control interfaces. Pure.</summary>
public static class StatisticsMessages
{
    // 32 mounts of 30 opcodes with every bucket taken are 2 MiB, half of what a gRPC message may have.
    private const int MostOnAPage = 32;

    /// <summary>The size of a page, given what was asked for: figures are much longer than other elements of lists.</summary>
    public static int PageSize(int asked) => asked is 0 or > MostOnAPage ? MostOnAPage : asked;

    /// <summary>One message an opcode that came or is under way, by opcode.</summary>
    /// <param name="operations">What has ended.</param>
    /// <param name="inFlight">The opcodes of what has not, one entry a request.</param>
    public static IEnumerable<OperationStats> Operations(IReadOnlyList<FuseOperationStatistics> operations, IReadOnlyList<uint> inFlight)
    {
        var messages = operations.Select(ToMessage).ToDictionary(message => message.Opcode);
        foreach (uint opcode in inFlight.Select(FuseStatistics.RowOf))
        {
            if (!messages.TryGetValue(opcode, out OperationStats? message))
            {
                messages.Add(opcode, message = new OperationStats { Opcode = opcode, Operation = FuseOperationStatistics.NameOf(opcode) });
            }

            message.InFlight++;
        }

        return messages.Values.OrderBy(message => message.Opcode);
    }

    private static OperationStats ToMessage(FuseOperationStatistics operation)
    {
        var message = new OperationStats
        {
            Opcode = (uint)operation.Opcode,
            Operation = operation.Name,
            Requests = (ulong)operation.Requests,
            Errors = (ulong)operation.Errors,
            RequestBytes = (ulong)operation.RequestBytes,
            ReplyBytes = (ulong)operation.ReplyBytes,
            TotalLatency = Duration.FromTimeSpan(operation.TotalLatency),
            MaxLatency = Duration.FromTimeSpan(operation.MaxLatency),
        };
        for (int i = 0; i < operation.Buckets.Count; i++)
        {
            if (operation.Buckets[i] != 0)
            {
                message.LatencyBuckets.Add(new LatencyBucket
                {
                    OverNs = Nanoseconds(LatencyScale.LowerBound(i)),
                    UpToNs = i == LatencyScale.Count - 1 ? 0 : Nanoseconds(LatencyScale.UpperBound(i)),
                    Count = (ulong)operation.Buckets[i],
                });
            }
        }

        return message;
    }

    private static ulong Nanoseconds(TimeSpan span) => (ulong)span.Ticks * 100;
}
