using System.Text.Json;

namespace Dpu.Hosting.Configuration;

/// <summary>Which way a FIFO goes that programs of both sides have open for reading and writing.</summary>
public enum FifoWay
{
    /// <summary>Neither.</summary>
    None,

    /// <summary>To the host.</summary>
    ToHost,

    /// <summary>To the DPU.</summary>
    ToDpu,
}

/// <summary>FIFOs of an export whose bytes may cross. Immutable.</summary>
/// <param name="Match">A pattern of names, or of paths below the export.</param>
/// <param name="Direction">Which way those go that both sides hold open for both.</param>
public sealed record FifoConfiguration(string Match, FifoWay Direction)
{
    private const int Most = 64;

    internal static IReadOnlyList<FifoConfiguration> ReadList(ObjectReader reader, string key)
    {
        List<FifoConfiguration> list = reader.Objects(key, Read);
        if (list.Count > Most)
        {
            reader.Error(key, $"has {list.Count} rules", $"at most {Most}");
        }

        return list;
    }

    internal static void WriteList(Utf8JsonWriter writer, string name, IReadOnlyList<FifoConfiguration> list)
    {
        writer.WriteStartArray(name);
        foreach (FifoConfiguration fifo in list)
        {
            writer.WriteStartObject();
            writer.WriteString("match", fifo.Match);
            if (fifo.Direction != FifoWay.None)
            {
                writer.WriteString("direction", fifo.Direction == FifoWay.ToHost ? "toHost" : "toDpu");
            }

            writer.WriteEndObject();
        }

        writer.WriteEndArray();
    }

    private static FifoConfiguration Read(ObjectReader reader)
    {
        var fifo = new FifoConfiguration(
            reader.RequiredString("match", text => ExportConfiguration.Pattern(text).Problem, "a pattern of names (*-stdout) or of paths below the export (fifo/**)"),
            reader.Choice("direction", FifoWay.None, ("toHost", FifoWay.ToHost), ("toDpu", FifoWay.ToDpu)));
        reader.End();
        return fifo;
    }
}
