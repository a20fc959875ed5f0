using System.Globalization;
using System.Text;

namespace Dpu.Runtime.Processes;

/// <summary>What is known of a process besides how far it has come, as it lies with the keeper. Immutable.</summary>
/// <param name="Host">Where it runs.</param>
/// <param name="Command">Its arguments, for people.</param>
/// <param name="Uid">Whose stub it is.</param>
/// <param name="Directory">Its working directory.</param>
internal sealed record StubNote(string Host, string Command, uint Uid, string Directory)
{
    private const string Version = "1";

    /// <summary>As the keeper has it; its parts hold no NUL.</summary>
    public byte[] ToBytes() => Encoding.UTF8.GetBytes(string.Join('\0', Version, Host, Short(Command), Uid.ToString(CultureInfo.InvariantCulture), Short(Directory)));

    /// <summary>Reads one; null where it is none, or of a later version.</summary>
    public static StubNote? Read(ReadOnlySpan<byte> bytes)
    {
        string[] parts = Encoding.UTF8.GetString(bytes).Split('\0');
        return parts.Length >= 5 && parts[0] == Version && uint.TryParse(parts[3], NumberStyles.None, CultureInfo.InvariantCulture, out uint uid)
            ? new StubNote(parts[1], parts[2], uid, parts[4])
            : null;
    }

    // A keeper's note has 4096 bytes.
    private static string Short(string text) => text.Length > 1000 ? text[..1000] : text;
}
