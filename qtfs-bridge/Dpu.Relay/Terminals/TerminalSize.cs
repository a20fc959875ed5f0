using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Dpu.Linux;

namespace Dpu.Relay.Terminals;

/// <summary>A terminal's size. Immutable.</summary>
/// <param name="Rows">Lines.</param>
/// <param name="Columns">Characters of a line.</param>
/// <param name="Width">In pixels; 0 where that is not known.</param>
/// <param name="Height">Likewise.</param>
public readonly record struct TerminalSize(ushort Rows, ushort Columns, ushort Width, ushort Height)
{
    /// <summary>Bytes of it: rows, columns, width and height, 16 bits each, little-endian.</summary>
    public const int Size = 4 * sizeof(ushort);

    /// <summary>Asks the kernel, of a slave or a master; all zeros where it is no terminal.</summary>
    public static unsafe TerminalSize Of(SafeHandle terminal)
    {
        ArgumentNullException.ThrowIfNull(terminal);
        winsize size = default;

        // SAFETY: a struct on this stack, which the kernel writes or leaves.
        _ = LibC.ioctl((int)terminal.DangerousGetHandle(), ioctl_tty.TIOCGWINSZ, &size);
        return new TerminalSize(size.ws_row, size.ws_col, size.ws_xpixel, size.ws_ypixel);
    }

    /// <summary>Has the kernel take it, and tell the programs in the foreground where it is another one (SIGWINCH); 0 or a negated errno.</summary>
    public unsafe int Set(SafeHandle terminal)
    {
        ArgumentNullException.ThrowIfNull(terminal);
        var size = new winsize { ws_row = Rows, ws_col = Columns, ws_xpixel = Width, ws_ypixel = Height };

        // SAFETY: a struct on this stack.
        return Math.Min(LibC.Result(LibC.ioctl((int)terminal.DangerousGetHandle(), ioctl_tty.TIOCSWINSZ, &size)), 0);
    }

    /// <summary>Writes <see cref="Size"/> bytes.</summary>
    public void CopyTo(Span<byte> room)
    {
        BinaryPrimitives.WriteUInt16LittleEndian(room, Rows);
        BinaryPrimitives.WriteUInt16LittleEndian(room[2..], Columns);
        BinaryPrimitives.WriteUInt16LittleEndian(room[4..], Width);
        BinaryPrimitives.WriteUInt16LittleEndian(room[6..], Height);
    }

    /// <summary>Reads <see cref="Size"/> bytes.</summary>
    public static TerminalSize Read(ReadOnlySpan<byte> content) => new(
        BinaryPrimitives.ReadUInt16LittleEndian(content),
        BinaryPrimitives.ReadUInt16LittleEndian(content[2..]),
        BinaryPrimitives.ReadUInt16LittleEndian(content[4..]),
        BinaryPrimitives.ReadUInt16LittleEndian(content[6..]));
}
