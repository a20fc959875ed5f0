using System.Text.Json;

namespace Dpu.Hosting.Configuration;

/// <summary>A DPU that may connect. Immutable.</summary>
/// <param name="Name">Its certificate's name.</param>
/// <param name="Uid">The uid that is this peer on unix endpoints; null where it is none there.</param>
/// <param name="Limits">What it may use.</param>
public sealed record PeerConfiguration(string Name, uint? Uid, LimitsConfiguration Limits)
{
    internal static PeerConfiguration Read(ObjectReader reader, LimitsConfiguration limits)
    {
        var peer = new PeerConfiguration(
            reader.RequiredString("name", Checks.Name, Checks.NameAllowed),
            (uint?)reader.OptionalInteger("uid", 0, Checks.MaxId),
            LimitsConfiguration.Read(reader.Object("limits"), limits));
        reader.End();
        return peer;
    }

    internal void WriteTo(Utf8JsonWriter writer)
    {
        writer.WriteStartObject();
        writer.WriteString("name", Name);
        if (Uid is { } uid)
        {
            writer.WriteNumber("uid", uid);
        }

        Limits.WriteTo(writer);
        writer.WriteEndObject();
    }
}
