using System.Text.Json;
using Dpu.Link;

namespace Dpu.Hosting.Configuration;

/// <summary>A host that the runtime connects to. Immutable.</summary>
/// <param name="Name">Its certificate's name, and how mounts name it.</param>
/// <param name="Endpoint">Where its agent listens.</param>
/// <param name="Uid">The uid the agent must have on a unix endpoint; null means root.</param>
/// <param name="ResumeWithin">How long connections of sockets, and what FIFOs carry, outlive a cut of the link; zero: not at all. Null for <see cref="DefaultResumeWithin"/>.</param>
public sealed record HostConfiguration(string Name, LinkEndpoint? Endpoint, uint? Uid, TimeSpan? ResumeWithin = null)
{
    /// <summary>Interfaces here that programs get which the host's programs pass an interface of that name to.</summary>
    public InterfaceRules Interfaces { get; init; } = InterfaceRules.None;

    /// <summary>What holds where nothing is said: longer than a link takes to come back, shorter than programs take for a hang.</summary>
    public static readonly TimeSpan DefaultResumeWithin = TimeSpan.FromSeconds(10);

    private static readonly TimeSpan s_mostResumeWithin = TimeSpan.FromMinutes(5);

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

        TimeSpan resumeWithin = reader.Duration("resumeWithin", DefaultResumeWithin, TimeSpan.Zero, s_mostResumeWithin);
        InterfaceRules interfaces = InterfaceRules.Read(reader, "interfaces");
        reader.End();
        return new(name, endpoint, uid, resumeWithin) { Interfaces = interfaces };
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

        writer.WriteString("resumeWithin", DurationText.Format(ResumeWithin ?? DefaultResumeWithin));
        Interfaces.WriteTo(writer, "interfaces");
        writer.WriteEndObject();
    }
}
