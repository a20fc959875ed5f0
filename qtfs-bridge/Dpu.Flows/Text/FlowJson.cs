using System.Globalization;
using System.Text;
using System.Text.Json;
using Dpu.Flows.Classifier;
using Dpu.Flows.Table;

namespace Dpu.Flows.Text;

/// <summary>
/// A flow as one JSON object: numbers as numbers, the cookie in hex, "match" with a member for each field (true for
/// keywords such as "tcp"), "actions" as a list in OVS' syntax. Unknown members are an error. Pure.
/// </summary>
public static class FlowJson
{
    /// <summary>Writes one flow on one line.</summary>
    public static string Format(FlowDefinition flow, FlowCounters? counters = null)
    {
        ArgumentNullException.ThrowIfNull(flow);
        using MemoryStream buffer = new();
        using (Utf8JsonWriter json = new(buffer))
        {
            json.WriteStartObject();
            Members(json, flow, counters);
            json.WriteEndObject();
        }

        return Encoding.UTF8.GetString(buffer.GetBuffer(), 0, (int)buffer.Length);
    }

    /// <summary>Writes the members of a flow's object.</summary>
    public static void Members(Utf8JsonWriter json, FlowDefinition flow, FlowCounters? counters)
    {
        ArgumentNullException.ThrowIfNull(json);
        ArgumentNullException.ThrowIfNull(flow);
        json.WriteNumber("table", flow.Table);
        json.WriteNumber("priority", flow.Priority);
        json.WriteString("cookie", string.Create(CultureInfo.InvariantCulture, $"0x{flow.Cookie:x}"));
        json.WriteNumber("idleTimeout", flow.IdleTimeout);
        json.WriteNumber("hardTimeout", flow.HardTimeout);
        json.WriteStartObject("match");
        foreach ((string name, string value) in MatchText.Fields(flow.Match))
        {
            if (value.Length == 0)
            {
                json.WriteBoolean(name, true);
            }
            else
            {
                json.WriteString(name, value);
            }
        }

        json.WriteEndObject();
        json.WriteStartArray("actions");
        foreach (FlowAction action in flow.Actions)
        {
            json.WriteStringValue(ActionText.Format([action]));
        }

        json.WriteEndArray();
        if (counters is { } c)
        {
            json.WriteNumber("packets", c.Packets);
            json.WriteNumber("bytes", c.Bytes);
            json.WriteNumber("duration", c.Duration.TotalSeconds);
            json.WriteNumber("idle", c.Idle.TotalSeconds);
        }
    }

    /// <summary>Reads one object.</summary>
    /// <exception cref="FlowTextException">It is no flow, or one that cannot be kept as it is.</exception>
    public static ParsedFlow Parse(string line)
    {
        try
        {
            using JsonDocument document = JsonDocument.Parse(line, new JsonDocumentOptions { MaxDepth = 8 });
            return Read(document.RootElement);
        }
        catch (JsonException e)
        {
            throw new FlowTextException($"it is no JSON object: {e.Message}", e);
        }
        catch (InvalidOperationException e)
        {
            throw new FlowTextException($"a member has the wrong type: {e.Message}", e);
        }
    }

    private static ParsedFlow Read(JsonElement root)
    {
        FlowDefinition flow = new();
        FlowMatch match = FlowMatch.Any;
        ulong packets = 0, bytes = 0;
        bool hasActions = false;
        foreach (JsonProperty member in root.EnumerateObject())
        {
            ulong Number(ulong max) => member.Value.TryGetUInt64(out ulong number) && number <= max ? number : throw FieldText.Bad(member.Name, member.Value.GetRawText(), $"it is a whole number up to {max}");
            switch (member.Name)
            {
                case "table":
                    flow = flow with { Table = (byte)Number(FlowTable.MaxTables - 1) };
                    break;
                case "priority":
                    flow = flow with { Priority = (ushort)Number(ushort.MaxValue) };
                    break;
                case "cookie":
                    flow = flow with { Cookie = (ulong)FieldText.One("cookie", member.Value.GetString() ?? "", FieldStyle.Hex, ulong.MaxValue) };
                    break;
                case "idleTimeout":
                    flow = flow with { IdleTimeout = (ushort)Number(ushort.MaxValue) };
                    break;
                case "hardTimeout":
                    flow = flow with { HardTimeout = (ushort)Number(ushort.MaxValue) };
                    break;
                case "packets":
                    packets = Number(ulong.MaxValue);
                    break;
                case "bytes":
                    bytes = Number(ulong.MaxValue);
                    break;
                case "duration" or "idle":
                    break;
                case "match":
                    foreach (JsonProperty field in member.Value.EnumerateObject())
                    {
                        string value = field.Value.ValueKind switch { JsonValueKind.True => "", JsonValueKind.String => field.Value.GetString()!, _ => field.Value.GetRawText() };
                        if (!MatchText.TryAdd(ref match, field.Name, value))
                        {
                            throw new FlowTextException($"'{field.Name}' is no field that is known here (see ovs-fields(7) for names)");
                        }
                    }

                    break;
                case "actions":
                    hasActions = true;
                    flow = flow with { Actions = [.. member.Value.EnumerateArray().SelectMany(item => ActionText.Parse(item.GetString() ?? ""))] };
                    break;
                default:
                    throw new FlowTextException($"'{Pieces.Short(member.Name)}' is no member of a flow");
            }
        }

        return hasActions ? new ParsedFlow(flow with { Match = match.Canonical() }, packets, bytes) : throw new FlowTextException("there is no member \"actions\"");
    }
}
