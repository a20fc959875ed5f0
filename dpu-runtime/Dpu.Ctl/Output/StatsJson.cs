using System.Text.Json;
using Dpu.Ctl.Statistics;
using Dpu.Proto.V1;

namespace Dpu.Ctl.Output;

/// <summary>The JSON of <c>stats</c> and <c>top</c>; as <see cref="JsonOutput"/>.</summary>
internal static class StatsJson
{
    public static void Write(Utf8JsonWriter json, IEnumerable<MountInterval> mounts) => JsonOutput.Array(json, "mounts", mounts, Mount);

    private static void Mount(Utf8JsonWriter json, MountInterval mount)
    {
        MountSample sample = mount.Sample;
        json.WriteString("name", sample.Name);
        json.WriteString(sample.State is null ? "mount" : "target", sample.Title);
        json.WriteString("source", sample.Source);
        if (sample.State is { } state)
        {
            json.WriteString("state", States.Word(state));
        }

        json.WriteString("link", States.Word(sample.Link));
        Time(json, "mountTime", sample.Since);
        Time(json, "sampleTime", sample.Taken);
        json.WriteNumber("seconds", mount.Seconds);
        if (sample.Counters is { } counters)
        {
            json.WriteNumber("unknownOutcome", counters.UnknownOutcome);
            json.WriteNumber("repeated", counters.Repeats);
            json.WriteNumber("interrupted", counters.Interrupts);
            json.WriteNumber("recovered", counters.Recovered);
            json.WriteNumber("takenOver", counters.TakenOver);
        }

        json.WriteStartObject(OperationFigures.TotalName);
        Figures(json, mount, mount.Total);
        json.WriteEndObject();
        JsonOutput.Array(json, "operations", mount.Operations, (w, operation) =>
        {
            w.WriteString("operation", operation.Name);
            Figures(w, mount, operation);
        });
    }

    private static void Figures(Utf8JsonWriter json, MountInterval mount, OperationFigures operation)
    {
        json.WriteNumber("requests", operation.Requests);
        json.WriteNumber("errors", operation.Errors);
        json.WriteNumber("requestBytes", operation.RequestBytes);
        json.WriteNumber("replyBytes", operation.ReplyBytes);
        json.WriteNumber("inFlight", operation.InFlight);
        Number(json, "requestsPerSecond", mount.Rate(operation.Requests));
        Number(json, "mean", operation.Mean?.TotalSeconds);
        Number(json, "p50", operation.P50?.TotalSeconds);
        Number(json, "p99", operation.P99?.TotalSeconds);
        Number(json, "max", operation.Requests == 0 ? null : operation.MaxLatency.TotalSeconds);
        JsonOutput.Array(json, "latencies", operation.Latencies.Buckets, static (w, bucket) =>
        {
            w.WriteNumber("over", bucket.OverNs / 1e9);
            Number(w, "upTo", bucket.UpToNs / 1e9);
            w.WriteNumber("count", bucket.Count);
        });
    }

    private static void Number(Utf8JsonWriter json, string name, double? value)
    {
        if (value is { } number)
        {
            json.WriteNumber(name, number);
        }
        else
        {
            json.WriteNull(name);
        }
    }

    private static void Time(Utf8JsonWriter json, string name, DateTimeOffset? time) =>
        JsonOutput.Time(json, name, time is { } at ? Google.Protobuf.WellKnownTypes.Timestamp.FromDateTimeOffset(at) : null);
}
