using System.Text.Json;

namespace Dpu.Hosting.Configuration;

/// <summary>The dpu-keeper that holds what must outlive the daemon. Immutable.</summary>
/// <param name="Socket">Its socket; null where none is to be used.</param>
/// <param name="KeepOnStop">Whether a daemon that is stopped leaves with the keeper what it has, for the next one to go on with, or ends it.</param>
public sealed record KeeperConfiguration(string? Socket, bool KeepOnStop)
{
    /// <summary>Where a keeper is unless the configuration says otherwise.</summary>
    public const string DefaultSocket = "/run/dpu/keeper.sock";

    private const string None = "none";
    private const string Keep = "keep";
    private const string End = "end";

    // sun_path of struct sockaddr_un, less the final NUL.
    private const int MaxSocketPath = 107;

    internal static KeeperConfiguration Read(ObjectReader? reader)
    {
        if (reader is null)
        {
            return new(DefaultSocket, true);
        }

        string socket = reader.OptionalString("socket", SocketProblem, $"an absolute path of at most {MaxSocketPath} bytes, or \"{None}\"") ?? DefaultSocket;
        bool keep = reader.Choice("onStop", true, (Keep, true), (End, false));
        reader.End();
        return new(socket == None ? null : socket, keep);
    }

    internal void WriteTo(Utf8JsonWriter writer)
    {
        writer.WriteStartObject("keeper");
        writer.WriteString("socket", Socket ?? None);
        writer.WriteString("onStop", KeepOnStop ? Keep : End);
        writer.WriteEndObject();
    }

    private static string? SocketProblem(string path) => path == None ? null : Checks.AbsolutePath(path)
        ?? (System.Text.Encoding.UTF8.GetByteCount(path) > MaxSocketPath ? $"\"{path}\" is too long for a unix socket" : null);
}
