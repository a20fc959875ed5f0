using System.Text.Json;

namespace Dpu.Hosting.Configuration;

/// <summary>A range of user or group ids and what it is at the other end. Immutable.</summary>
/// <param name="Dpu">The first id on the DPU.</param>
/// <param name="Host">The first id on the host.</param>
/// <param name="Count">Ids in the range.</param>
public sealed record IdMapping(uint Dpu, uint Host, uint Count)
{
    internal static IReadOnlyList<IdMapping> ReadList(ObjectReader reader, string key)
    {
        int before = reader.ErrorCount;
        List<IdMapping> list = reader.Objects(key, Read);
        if (reader.ErrorCount == before)
        {
            Check(reader, key, list);
        }

        return list;
    }

    internal static void WriteList(Utf8JsonWriter writer, string name, IReadOnlyList<IdMapping> list)
    {
        writer.WriteStartArray(name);
        foreach (IdMapping map in list)
        {
            writer.WriteStartObject();
            writer.WriteNumber("dpu", map.Dpu);
            writer.WriteNumber("host", map.Host);
            writer.WriteNumber("count", map.Count);
            writer.WriteEndObject();
        }

        writer.WriteEndArray();
    }

    private static IdMapping Read(ObjectReader reader)
    {
        foreach (string key in (ReadOnlySpan<string>)["dpu", "host"])
        {
            if (!reader.Has(key))
            {
                reader.Error(key, "is missing", "an id");
            }
        }

        var map = new IdMapping(
            (uint)reader.Integer("dpu", 0, 0, Checks.MaxId),
            (uint)reader.Integer("host", 0, 0, Checks.MaxId),
            (uint)reader.Integer("count", 1, 1, Checks.MaxId));
        if (map.Dpu + (long)map.Count - 1 > Checks.MaxId || map.Host + (long)map.Count - 1 > Checks.MaxId)
        {
            reader.Error("count", "leads beyond the highest id", $"a range that ends at {Checks.MaxId} or below");
        }

        reader.End();
        return map;
    }

    // One id must not mean two: the answer would depend on the order of the list. Sorted, only neighbours can overlap.
    private static void Check(ObjectReader reader, string key, List<IdMapping> list)
    {
        foreach ((string side, Func<IdMapping, uint> first) in
            new (string, Func<IdMapping, uint>)[] { ("dpu", m => m.Dpu), ("host", m => m.Host) })
        {
            IdMapping[] sorted = [.. list.OrderBy(first)];
            for (int i = 1; i < sorted.Length; i++)
            {
                if (first(sorted[i - 1]) + (long)sorted[i - 1].Count > first(sorted[i]))
                {
                    reader.Error(key, $"two ranges overlap at {side} id {first(sorted[i])}", "ranges that do not overlap");
                }
            }
        }
    }
}
