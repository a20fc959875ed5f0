using System.Globalization;
using System.Text;

namespace Dpu.Runtime.Processes;

/// <summary>What is known of a process besides how far it has come, as it lies with the keeper. Immutable.</summary>
/// <param name="Host">Where it runs.</param>
/// <param name="Command">Its arguments, for people.</param>
/// <param name="Uid">Whose stub it is.</param>
/// <param name="Directory">Its working directory.</param>
/// <param name="Own">The stub's number in its own pid namespace.</param>
/// <param name="IsStandIn">Whether the process was left running by one that has ended.</param>
/// <param name="View">The view that the stub is in; null for none, and where an earlier version wrote it.</param>
internal sealed record StubNote(string Host, string Command, uint Uid, string Directory, int Own, bool IsStandIn = false, StubViewNote? View = null)
{
    private const string Version = "1";

    /// <summary>As the keeper has it; its parts hold no NUL.</summary>
    public byte[] ToBytes() => Encoding.UTF8.GetBytes(string.Join('\0', Version, Host, Short(Command), Uid.ToString(CultureInfo.InvariantCulture), Short(Directory),
        Own.ToString(CultureInfo.InvariantCulture), IsStandIn ? "daemonised" : "", View?.ToString() ?? ""));

    /// <summary>Reads one; null where it is none, or of a later version.</summary>
    public static StubNote? Read(ReadOnlySpan<byte> bytes)
    {
        string[] parts = Encoding.UTF8.GetString(bytes).Split('\0');
        return parts.Length >= 5 && parts[0] == Version && uint.TryParse(parts[3], NumberStyles.None, CultureInfo.InvariantCulture, out uint uid)
            ? new StubNote(
                parts[1], parts[2], uid, parts[4], parts.Length > 5 && int.TryParse(parts[5], NumberStyles.None, CultureInfo.InvariantCulture, out int own) ? own : 0, parts.Length > 6 && parts[6].Length > 0,
                parts.Length > 7 ? StubViewNote.Read(parts[7]) : null)
            : null;
    }

    // A keeper's note has 4096 bytes.
    private static string Short(string text) => text.Length > 1000 ? text[..1000] : text;
}
