using System.Text.Json;

namespace Dpu.Hosting.Configuration;

/// <summary>Files of a daemon's certificate. Immutable.</summary>
/// <param name="Certificate">Path of the certificate, PEM.</param>
/// <param name="Key">Path of its private key, PEM, readable by its owner only.</param>
/// <param name="Authority">Path of the certificate of the authority that all ends share, PEM.</param>
/// <param name="Revocations">Path of the authority's revocation list; null for none.</param>
public sealed record TlsConfiguration(string Certificate, string Key, string Authority, string? Revocations)
{
    internal static TlsConfiguration Read(ObjectReader reader)
    {
        var tls = new TlsConfiguration(
            reader.RequiredString("certificate", Checks.AbsolutePath, Checks.AbsolutePathAllowed),
            reader.RequiredString("key", Checks.AbsolutePath, Checks.AbsolutePathAllowed),
            reader.RequiredString("authority", Checks.AbsolutePath, Checks.AbsolutePathAllowed),
            reader.OptionalString("revocations", Checks.AbsolutePath, Checks.AbsolutePathAllowed));
        reader.End();
        return tls;
    }

    internal void WriteTo(Utf8JsonWriter writer)
    {
        writer.WriteStartObject("tls");
        writer.WriteString("certificate", Certificate);
        writer.WriteString("key", Key);
        writer.WriteString("authority", Authority);
        if (Revocations is not null)
        {
            writer.WriteString("revocations", Revocations);
        }

        writer.WriteEndObject();
    }
}
