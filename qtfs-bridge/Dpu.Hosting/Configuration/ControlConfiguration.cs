using System.Text.Json;
using Dpu.Link;

namespace Dpu.Hosting.Configuration;

/// <summary>Where a daemon serves its control interface. Immutable.</summary>
/// <param name="Socket">Path of the unix socket, for root only.</param>
/// <param name="Listen">TCP endpoints with mutual TLS; usually none.</param>
/// <param name="Operators">Names of the operator certificates that may use <paramref name="Listen"/>.</param>
public sealed record ControlConfiguration(
    string Socket, IReadOnlyList<LinkEndpoint> Listen, IReadOnlyList<string> Operators)
{
    // sun_path of struct sockaddr_un holds 108 bytes with the final NUL; the server binds under a longer name in the
    // same directory first (see UnixControlSocket), so leave room for it.
    private const int MaxSocketPath = 80;

    internal static ControlConfiguration Read(ObjectReader? reader, string defaultSocket, bool remote, bool hasTls)
    {
        if (reader is null)
        {
            return new(defaultSocket, [], []);
        }

        string socket = reader.OptionalString("socket", SocketPath, $"an absolute path of at most {MaxSocketPath} bytes")
            ?? defaultSocket;
        List<LinkEndpoint> listen = [];
        List<string> operators = [];
        if (remote)
        {
            listen = reader.Strings("listen", Checks.TcpEndpoint, Checks.TcpEndpointAllowed);
            operators = reader.Strings<string>("operators", Checks.ToName, Checks.NameAllowed);
            if (listen.Count > 0 && !hasTls)
            {
                reader.Error("listen", "needs \"tls\": control over TCP is served with mutual TLS only", null);
            }

            if (listen.Count > 0 && operators.Count == 0)
            {
                reader.Error("operators", "is empty, so that nobody could use \"listen\"", "names of operator certificates");
            }
        }

        reader.End();
        return new(socket, listen, operators);
    }

    internal void WriteTo(Utf8JsonWriter writer, bool remote)
    {
        writer.WriteStartObject("control");
        writer.WriteString("socket", Socket);
        if (remote)
        {
            writer.WriteStrings("listen", Listen.Select(e => e.ToString()));
            writer.WriteStrings("operators", Operators);
        }

        writer.WriteEndObject();
    }

    private static string? SocketPath(string path) => Checks.AbsolutePath(path)
        ?? (System.Text.Encoding.UTF8.GetByteCount(path) > MaxSocketPath ? $"\"{path}\" is too long for a unix socket" : null);
}
