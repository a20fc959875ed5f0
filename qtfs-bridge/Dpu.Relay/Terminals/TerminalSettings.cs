using System.Runtime.InteropServices;

namespace Dpu.Relay.Terminals;

/// <summary>What a terminal is set to, with which its twin begins: modes and size. Immutable.</summary>
/// <param name="Modes">Those by which bytes are processed.</param>
/// <param name="Dimensions">The size.</param>
public sealed record TerminalSettings(TerminalModes Modes, TerminalSize Dimensions)
{
    /// <summary>Bytes of it.</summary>
    public const int Size = TerminalModes.Size + TerminalSize.Size;

    /// <summary>Asks the kernel; null where it is no terminal.</summary>
    public static TerminalSettings? Of(SafeHandle terminal) =>
        TerminalModes.TryRead(terminal, out TerminalModes modes) < 0 ? null : new TerminalSettings(modes, TerminalSize.Of(terminal));

    /// <summary>Writes it.</summary>
    public byte[] Write()
    {
        byte[] content = new byte[Size];
        Modes.CopyTo(content);
        Dimensions.CopyTo(content.AsSpan(TerminalModes.Size));
        return content;
    }

    /// <summary>Reads it, from a peer that is not trusted; null where it is none.</summary>
    public static TerminalSettings? Read(ReadOnlySpan<byte> content) => content.Length != Size ? null
        : new TerminalSettings(TerminalModes.Read(content), TerminalSize.Read(content[TerminalModes.Size..]));
}
