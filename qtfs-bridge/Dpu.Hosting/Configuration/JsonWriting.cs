using System.Text.Json;

namespace Dpu.Hosting.Configuration;

/// <summary>Short cuts for writing a configuration.</summary>
internal static class JsonWriting
{
    public static void WriteStrings(this Utf8JsonWriter writer, string name, IEnumerable<string> values)
    {
        writer.WriteStartArray(name);
        foreach (string value in values)
        {
            writer.WriteStringValue(value);
        }

        writer.WriteEndArray();
    }
}
