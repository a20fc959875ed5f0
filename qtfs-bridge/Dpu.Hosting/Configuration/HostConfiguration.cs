using System.Text.Json;
using Dpu.Link;

namespace Dpu.Hosting.Configuration;

/// <summary>A host that the runtime connects to. Immutable.</summary>
/// <param name="Name">Its certificate's name, and how mounts name it.</param>
/// <param name="Endpoint">Where its agent listens.</param>
/// <param name="Uid">The uid the agent must have on a unix endpoint; null means root.</param>
public sealed record HostConfiguration(string Name, LinkEndpoint? Endpoint, uint? Uid)
{
    internal static HostConfiguration Read(ObjectReader reader)
    {
        string name = reader.RequiredString("name", Checks.Name, Checks.NameAllowed);
        string text = reader.RequiredString("endpoint", t => Checks.Endpoint(t).Problem, Checks.EndpointAllowed);
        LinkEndpoint? endpoint = Checks.Endpoint(text).Value;
        uint? uid = (uint?)reader.OptionalInteger("uid", 0, Checks.MaxId);
        if (uid is not null && endpoint is not null && Endpoints.NeedsTls(endpoint))
        {
            reader.Error("uid", "is for unix endpoints; this one is verified by its certificate", null);
        }

        reader.End();
        return new(name, endpoint, uid);
    }

    internal void WriteTo(Utf8JsonWriter writer)
    {
        writer.WriteStartObject();
        writer.WriteString("name", Name);
        writer.WriteString("endpoint", Endpoint?.ToString());
        if (Uid is { } uid)
        {
            writer.WriteNumber("uid", uid);
        }

        writer.WriteEndObject();
    }
}
