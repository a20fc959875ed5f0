using System.Text;
using System.Text.Json;
using Dpu.Proto.V1;
using Google.Protobuf.WellKnownTypes;

namespace Dpu.Ctl.Output;

/// <summary>
/// The JSON that <c>--json</c> prints; dpuctl(1) documents it. Keys never change their meaning; new ones may come.
/// Durations are seconds, times RFC 3339 in UTC, absent values null.
/// </summary>
internal static class JsonOutput
{
    /// <summary>Writes one object and a line feed.</summary>
    public static void Write(TextWriter output, bool indented, Action<Utf8JsonWriter> members)
    {
        using var buffer = new MemoryStream();
        using (var writer = new Utf8JsonWriter(buffer, new JsonWriterOptions { Indented = indented }))
        {
            writer.WriteStartObject();
            members(writer);
            writer.WriteEndObject();
        }

        output.WriteLine(Encoding.UTF8.GetString(buffer.GetBuffer(), 0, (int)buffer.Length));
    }

    public static void Array<T>(Utf8JsonWriter json, string name, IEnumerable<T> items, Action<Utf8JsonWriter, T> members)
    {
        json.WriteStartArray(name);
        foreach (T item in items)
        {
            json.WriteStartObject();
            members(json, item);
            json.WriteEndObject();
        }

        json.WriteEndArray();
    }

    public static void Strings(Utf8JsonWriter json, string name, IEnumerable<string> items)
    {
        json.WriteStartArray(name);
        foreach (string item in items)
        {
            json.WriteStringValue(item);
        }

        json.WriteEndArray();
    }

    public static void Daemon(Utf8JsonWriter json, string name, DaemonStatus? daemon)
    {
        if (daemon is null)
        {
            json.WriteNull(name);
            return;
        }

        json.WriteStartObject(name);
        json.WriteString("program", daemon.Program);
        json.WriteString("version", daemon.Version);
        json.WriteString("name", daemon.Name);
        json.WriteNumber("pid", daemon.Pid);
        Time(json, "startTime", daemon.StartTime);
        json.WriteString("architecture", daemon.Architecture);
        json.WriteString("kernel", daemon.Kernel);
        json.WriteString("configurationFile", daemon.ConfigurationFile);
        if (daemon.Certificate is { } certificate)
        {
            json.WriteStartObject("certificate");
            json.WriteString("name", certificate.Name);
            json.WriteString("role", certificate.Role);
            json.WriteString("serial", certificate.Serial);
            Time(json, "notBefore", certificate.NotBefore);
            Time(json, "notAfter", certificate.NotAfter);
            json.WriteString("sha256", certificate.Sha256);
            json.WriteEndObject();
        }
        else
        {
            json.WriteNull("certificate");
        }

        Array(json, "notices", daemon.Notices, static (w, notice) =>
        {
            w.WriteString("severity", States.Word(notice.Severity));
            w.WriteString("code", notice.Code);
            w.WriteString("message", notice.Message);
        });
        json.WriteEndObject();
    }

    public static void Host(Utf8JsonWriter json, Host host)
    {
        json.WriteString("name", States.Id(host.Name));
        json.WriteString("endpoint", host.Endpoint);
        json.WriteString("state", States.Word(host.State));
        Time(json, "stateTime", host.StateTime);
        json.WriteString("lastError", host.LastError);
        json.WriteString("sessionId", host.SessionId);
        json.WriteNumber("reconnects", host.Reconnects);
        Seconds(json, "roundTrip", host.RoundTrip);
        Time(json, "sessionStartTime", host.SessionStartTime);
        json.WriteNumber("repeated", host.Repeats);
        json.WriteNumber("unknownOutcome", host.UnknownOutcome);
        json.WriteNumber("recovered", host.Recovered);
        json.WriteNumber("takenOver", host.TakenOver);
        json.WriteNumber("hostReturns", host.HostReturns);
        json.WriteNumber("reopened", host.Reopened);
        json.WriteNumber("staleFiles", host.StaleFiles);
        json.WriteNumber("lostLocks", host.LostLocks);
        Daemon(json, "agent", host.Agent);
    }

    public static void Keeper(Utf8JsonWriter json, Dpu.Proto.V1.Keeper? keeper)
    {
        json.WriteStartObject("keeper");
        json.WriteString("socket", keeper?.Socket ?? "");
        json.WriteBoolean("connected", keeper is { Connected: true });
        json.WriteBoolean("keepOnStop", keeper is { KeepOnStop: true });
        json.WriteNumber("entries", keeper?.Entries ?? 0);
        json.WriteNumber("maxEntries", keeper?.MaxEntries ?? 0);
        json.WriteNumber("memoryBytes", keeper?.MemoryBytes ?? 0);
        json.WriteNumber("maxMemoryBytes", keeper?.MaxMemoryBytes ?? 0);
        json.WriteEndObject();
    }

    public static void Mount(Utf8JsonWriter json, Mount mount)
    {
        json.WriteString("id", States.Id(mount.Name));
        json.WriteString("host", mount.Host);
        json.WriteString("export", mount.Export);
        json.WriteString("target", mount.Target);
        json.WriteString("state", States.Word(mount.State));
        json.WriteString("lastError", mount.LastError);
        json.WriteBoolean("readOnly", mount.ReadOnly);
        json.WriteBoolean("allowSuid", mount.AllowSuid);
        json.WriteBoolean("allowDev", mount.AllowDev);
        json.WriteBoolean("configured", mount.Configured);
        json.WriteNumber("lanes", mount.Lanes);
        json.WriteString("cache", mount.Cache == MountCache.Coherent ? "coherent" : "none");
        Seconds(json, "cacheTimeout", mount.CacheTimeout);
        Seconds(json, "giveUpAfter", mount.GiveUpAfter);
        json.WriteString("locks", mount.Locks);
        json.WriteString("kind", mount.Kind.Length == 0 ? "plain" : mount.Kind);
        json.WriteString("processes", mount.Processes);
        json.WriteString("transport", mount.Transport);
        json.WriteString("notKept", mount.NotKept);
        Time(json, "mountTime", mount.MountTime);
        MountCounters counters = mount.Counters ?? new MountCounters();
        json.WriteStartObject("counters");
        json.WriteNumber("requests", counters.Requests);
        json.WriteNumber("errors", counters.Errors);
        json.WriteNumber("bytesSent", counters.BytesSent);
        json.WriteNumber("bytesReceived", counters.BytesReceived);
        json.WriteNumber("unknownOutcome", counters.UnknownOutcome);
        json.WriteNumber("inFlight", counters.InFlight);
        json.WriteEndObject();
    }

    public static void Session(Utf8JsonWriter json, Session session)
    {
        json.WriteString("id", States.Id(session.Name));
        json.WriteString("peer", session.Peer);
        Time(json, "startTime", session.StartTime);
        json.WriteNumber("connections", session.Connections);
        json.WriteNumber("mounts", session.Mounts);
        json.WriteNumber("openNodes", session.OpenNodes);
        json.WriteNumber("openHandles", session.OpenHandles);
        json.WriteNumber("requests", session.Requests);
        json.WriteNumber("refused", session.Refused);
    }

    public static void Export(Utf8JsonWriter json, Export export)
    {
        json.WriteString("name", States.Id(export.Name));
        json.WriteString("path", export.Path);
        json.WriteBoolean("readOnly", export.ReadOnly);
        Strings(json, "peers", export.Peers);
    }

    public static void Event(Utf8JsonWriter json, Event happened)
    {
        Time(json, "time", happened.Time);
        json.WriteString("severity", States.Word(happened.Severity));
        json.WriteNumber("id", happened.Id);
        json.WriteString("code", happened.Code);
        json.WriteString("message", happened.Message);
        json.WriteString("host", happened.Host is { } host ? States.Id(host.Name) : happened.Mount?.Host);
        json.WriteString("mount", happened.Mount?.Target);
    }

    public static void Time(Utf8JsonWriter json, string name, Timestamp? time)
    {
        if (time is null)
        {
            json.WriteNull(name);
        }
        else
        {
            json.WriteString(name, Human.Time(time));
        }
    }

    public static void Seconds(Utf8JsonWriter json, string name, Duration? duration)
    {
        if (duration is null)
        {
            json.WriteNull(name);
        }
        else
        {
            json.WriteNumber(name, Human.Span(duration).TotalSeconds);
        }
    }
}
