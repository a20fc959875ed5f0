using System.Globalization;
using System.Text;
using System.Text.Json;

namespace Dpu.Hosting.Configuration;

/// <summary>A socket's address that leads to another machine's socket, outside of mounts. Immutable.</summary>
/// <param name="Host">The host's name.</param>
/// <param name="DpuAddress">Here: an absolute path, or @ and an abstract name.</param>
/// <param name="HostAddress">There.</param>
/// <param name="Reverse">Whether the host listens.</param>
/// <param name="Type">"stream", "seqpacket" or "datagram".</param>
/// <param name="Mode">Of the file that is listened on.</param>
/// <param name="Uid">Its owner.</param>
/// <param name="Gid">Its group.</param>
public sealed record ForwardConfiguration(string Host, string DpuAddress, string HostAddress, bool Reverse, string Type, uint Mode, uint Uid, uint Gid)
{
    /// <summary>Of a file where nothing is said.</summary>
    public const uint DefaultMode = 0x180;

    private const string AddressAllowed = "an absolute path of at most 107 bytes, or @ and an abstract name";

    /// <summary>The address that is listened on, and where: no two may be the same.</summary>
    public string Listens => Reverse ? $"{Host}:{HostAddress}" : DpuAddress;

    /// <summary>Permissions in octal; null where it is none.</summary>
    public static uint? ParseMode(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        return text.Length is >= 3 and <= 4 && text.All(digit => digit is >= '0' and <= '7') && (text.Length == 3 || text[0] == '0') ? Convert.ToUInt32(text, 8) : null;
    }

    internal static ForwardConfiguration Read(ObjectReader reader, IReadOnlyCollection<string> hosts)
    {
        var forward = new ForwardConfiguration(
            reader.RequiredString("host", text => hosts.Contains(text) ? null : $"\"{text}\" is none of \"hosts\"", "a name of \"hosts\""),
            reader.RequiredString("dpuAddress", Problem, AddressAllowed),
            reader.RequiredString("hostAddress", Problem, AddressAllowed),
            reader.Boolean("reverse", false),
            reader.Choice("type", "stream", ("stream", "stream"), ("seqpacket", "seqpacket"), ("datagram", "datagram")),
            ParseMode(reader.OptionalString("mode", text => ParseMode(text) is null ? $"\"{text}\" is no mode" : null, "permissions in octal, as \"0660\"") ?? "0600") ?? DefaultMode,
            (uint)reader.Integer("uid", 0, 0, Checks.MaxId),
            (uint)reader.Integer("gid", 0, 0, Checks.MaxId));
        reader.End();
        return forward;
    }

    internal void WriteTo(Utf8JsonWriter writer)
    {
        writer.WriteStartObject();
        writer.WriteString("host", Host);
        writer.WriteString("dpuAddress", DpuAddress);
        writer.WriteString("hostAddress", HostAddress);
        writer.WriteBoolean("reverse", Reverse);
        writer.WriteString("type", Type);
        writer.WriteString("mode", "0" + Convert.ToString(Mode, 8));
        writer.WriteNumber("uid", Uid);
        writer.WriteNumber("gid", Gid);
        writer.WriteEndObject();
    }

    private static string? Problem(string text) =>
        Encoding.UTF8.GetByteCount(text) > 107 ? string.Create(CultureInfo.InvariantCulture, $"has more than 107 bytes")
        : text.StartsWith('@') ? text.Length < 2 ? "has no name behind @" : null
        : text == "/" ? "is no socket" : Checks.AbsolutePath(text);
}
