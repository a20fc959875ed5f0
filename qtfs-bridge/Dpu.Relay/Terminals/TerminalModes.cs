using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Dpu.Linux;

namespace Dpu.Relay.Terminals;

/// <summary>
/// A terminal's modes, as the kernel has them (<c>struct termios2</c>), which are the same on x86-64 and arm64: 44 bytes, little-endian. Immutable.
/// </summary>
public readonly unsafe struct TerminalModes : IEquatable<TerminalModes>
{
    /// <summary>Bytes of it.</summary>
    public const int Size = 44;

    // What a line discipline would do to bytes that it has to leave as they are: not shown where another one does it.
    private const uint HiddenInput = termbits.IXON | termbits.ISTRIP | termbits.IUCLC;
    private const uint HiddenOutput = termbits.OPOST;

    // Who clears all of these at once makes a terminal raw (cfmakeraw(3), stty raw), and means what is hidden too.
    private const uint Cooking = termbits.ICANON | termbits.ECHO | termbits.ISIG;

    private const uint RawInput = termbits.IGNBRK | termbits.BRKINT | termbits.PARMRK | termbits.ISTRIP | termbits.INLCR | termbits.IGNCR | termbits.ICRNL | termbits.IUCLC | termbits.IXON | termbits.IXOFF;
    private const uint RawLocal = termbits.ECHO | termbits.ECHONL | termbits.ICANON | termbits.ISIG | termbits.IEXTEN;

    private readonly termios2 _modes;

    private TerminalModes(termios2 modes) => _modes = modes;

    /// <summary>The input flags.</summary>
    public uint Input => _modes.c_iflag;

    /// <summary>The output flags.</summary>
    public uint Output => _modes.c_oflag;

    /// <summary>The local flags.</summary>
    public uint Local => _modes.c_lflag;

    /// <summary>The character that ends what is typed, where lines are read; 0 for none.</summary>
    public byte EndOfFile => (Local & termbits.ICANON) != 0 ? _modes.c_cc[termbits.VEOF] : (byte)0;

    /// <summary>The same with other flags.</summary>
    public TerminalModes With(uint? input = null, uint? output = null, uint? local = null)
    {
        termios2 modes = _modes;
        (modes.c_iflag, modes.c_oflag, modes.c_lflag) = (input ?? Input, output ?? Output, local ?? Local);
        return new TerminalModes(modes);
    }

    /// <summary>Asks the kernel, of a slave or of a master, whose modes are the slave's; a negated errno where it is no terminal.</summary>
    public static int TryRead(SafeHandle terminal, out TerminalModes modes)
    {
        ArgumentNullException.ThrowIfNull(terminal);
        termios2 read;

        // SAFETY: a struct on this stack of the size that the request's number tells.
        int error = LibC.Result(LibC.ioctl((int)terminal.DangerousGetHandle(), termbits.TCGETS2, &read));
        modes = new TerminalModes(error < 0 ? default : read);
        return Math.Min(error, 0);
    }

    /// <summary>Has the kernel take them at once; 0 or a negated errno.</summary>
    public int Write(SafeHandle terminal)
    {
        ArgumentNullException.ThrowIfNull(terminal);
        termios2 written = _modes;

        // SAFETY: a struct on this stack of the size that the request's number tells.
        return Math.Min(LibC.Result(LibC.ioctl((int)terminal.DangerousGetHandle(), termbits.TCSETS2, &written)), 0);
    }

    /// <summary>What a terminal shows that passes bytes on to another one, which has these modes: the same, but that nothing is done to the bytes here.</summary>
    public TerminalModes Shown()
    {
        termios2 modes = _modes;
        modes.c_iflag &= ~HiddenInput;
        modes.c_oflag &= ~HiddenOutput;
        modes.c_lflag |= termbits.EXTPROC;
        modes.c_cc[termbits.VMIN] = 1;
        modes.c_cc[termbits.VTIME] = 0;
        return new TerminalModes(modes);
    }

    /// <summary>The same, but that all that is typed goes on as it is (qtfs-bridge/native/terminal.c).</summary>
    /// <param name="isShared">Whether what is written does not.</param>
    public TerminalModes Raw(bool isShared)
    {
        termios2 modes = _modes;
        modes.c_iflag &= ~RawInput;
        modes.c_oflag &= isShared ? uint.MaxValue : ~termbits.OPOST;
        modes.c_lflag &= ~RawLocal;
        modes.c_cc[termbits.VMIN] = 1;
        modes.c_cc[termbits.VTIME] = 0;
        return new TerminalModes(modes);
    }

    /// <summary>What a program wants these modes to be that has changed the terminal which shows them.</summary>
    /// <param name="shown">What was shown.</param>
    /// <param name="seen">What the program has made of it.</param>
    public TerminalModes Changed(TerminalModes shown, TerminalModes seen)
    {
        bool raw = (shown.Local & Cooking) != 0 && (seen.Local & Cooking) == 0;
        termios2 modes = seen._modes;
        modes.c_iflag = (modes.c_iflag & ~HiddenInput) | Hidden(Input, seen.Input, HiddenInput, raw);
        modes.c_oflag = (modes.c_oflag & ~HiddenOutput) | Hidden(Output, seen.Output, HiddenOutput, raw);
        modes.c_lflag = (modes.c_lflag & ~termbits.EXTPROC) | (Local & termbits.EXTPROC);
        if (modes.c_cc[termbits.VMIN] == shown._modes.c_cc[termbits.VMIN] && modes.c_cc[termbits.VTIME] == shown._modes.c_cc[termbits.VTIME])
        {
            (modes.c_cc[termbits.VMIN], modes.c_cc[termbits.VTIME]) = (_modes.c_cc[termbits.VMIN], _modes.c_cc[termbits.VTIME]);
        }

        return new TerminalModes(modes);
    }

    /// <summary>Writes <see cref="Size"/> bytes.</summary>
    public void CopyTo(Span<byte> room)
    {
        termios2 modes = _modes;
        BinaryPrimitives.WriteUInt32LittleEndian(room, modes.c_iflag);
        BinaryPrimitives.WriteUInt32LittleEndian(room[4..], modes.c_oflag);
        BinaryPrimitives.WriteUInt32LittleEndian(room[8..], modes.c_cflag);
        BinaryPrimitives.WriteUInt32LittleEndian(room[12..], modes.c_lflag);
        room[16] = modes.c_line;
        new ReadOnlySpan<byte>(modes.c_cc, 19).CopyTo(room[17..]);
        BinaryPrimitives.WriteUInt32LittleEndian(room[36..], modes.c_ispeed);
        BinaryPrimitives.WriteUInt32LittleEndian(room[40..], modes.c_ospeed);
    }

    /// <summary>Reads <see cref="Size"/> bytes, any of which are some: the kernel takes what it knows. The line discipline is always the terminal's own.</summary>
    public static TerminalModes Read(ReadOnlySpan<byte> content)
    {
        var modes = new termios2
        {
            c_iflag = BinaryPrimitives.ReadUInt32LittleEndian(content),
            c_oflag = BinaryPrimitives.ReadUInt32LittleEndian(content[4..]),
            c_cflag = BinaryPrimitives.ReadUInt32LittleEndian(content[8..]),
            c_lflag = BinaryPrimitives.ReadUInt32LittleEndian(content[12..]),
            c_ispeed = BinaryPrimitives.ReadUInt32LittleEndian(content[36..]),
            c_ospeed = BinaryPrimitives.ReadUInt32LittleEndian(content[40..]),
        };
        content.Slice(17, 19).CopyTo(new Span<byte>(modes.c_cc, 19));
        return new TerminalModes(modes);
    }

    /// <inheritdoc/>
    public bool Equals(TerminalModes other)
    {
        Span<byte> one = stackalloc byte[Size];
        Span<byte> another = stackalloc byte[Size];
        CopyTo(one);
        other.CopyTo(another);
        return one.SequenceEqual(another);
    }

    /// <inheritdoc/>
    public override bool Equals(object? obj) => obj is TerminalModes other && Equals(other);

    /// <inheritdoc/>
    public override int GetHashCode() => HashCode.Combine(Input, Output, Local);

    /// <summary>Whether they are the same.</summary>
    public static bool operator ==(TerminalModes left, TerminalModes right) => left.Equals(right);

    /// <summary>Whether they differ.</summary>
    public static bool operator !=(TerminalModes left, TerminalModes right) => !left.Equals(right);

    // Set by the program, or left as they are, which is not shown.
    private static uint Hidden(uint was, uint seen, uint mask, bool raw) => ((raw ? 0 : was) | seen) & mask;
}
