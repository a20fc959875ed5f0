using System.Net;
using System.Text.Json;

namespace Dpu.Hosting.Configuration;

/// <summary>Where Prometheus may read metrics. Immutable.</summary>
/// <param name="Listen">A loopback address and port: metrics are not authenticated, so they never leave the machine.</param>
public sealed record MetricsConfiguration(IPEndPoint Listen)
{
    private const string Allowed = "a loopback address and port, such as \"127.0.0.1:9465\" or \"[::1]:9465\"";

    internal static MetricsConfiguration? Read(ObjectReader? reader)
    {
        if (reader is null)
        {
            return null;
        }

        string text = reader.RequiredString("listen", Problem, Allowed);
        reader.End();
        return IPEndPoint.TryParse(text, out IPEndPoint? listen) ? new(listen) : null;
    }

    internal void WriteTo(Utf8JsonWriter writer)
    {
        writer.WriteStartObject("metrics");
        writer.WriteString("listen", Listen.ToString());
        writer.WriteEndObject();
    }

    private static string? Problem(string text)
    {
        int colon = text.LastIndexOf(':');
        bool hasPort = colon > 0 && (text[0] == '[' ? text[colon - 1] == ']' : text.IndexOf(':', StringComparison.Ordinal) == colon);
        return !hasPort || !IPEndPoint.TryParse(text, out IPEndPoint? at) ? $"\"{text}\" is no address and port"
            : !IPAddress.IsLoopback(at.Address) ? $"\"{text}\" is not a loopback address, and metrics are not authenticated; forward them with an exporter of your own"
            : null;
    }
}
