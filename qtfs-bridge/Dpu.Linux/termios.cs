#pragma warning disable CA1707, CA1051, CA1815, CS1591, IDE1006, CS8981
using System.Runtime.InteropServices;

namespace Dpu.Linux;

/// <summary>Constants of <c>termios.h</c>.</summary>
[CConstants("termios.h")]
public static class termios
{
    public const int TCSANOW = 0;
}

/// <summary>The kernel's own terminal modes, the same on x86-64 and arm64 (<c>asm/termbits.h</c>; glibc's struct is another one).</summary>
[CStruct("struct termios2", "asm/termbits.h")]
public unsafe struct termios2
{
    public uint c_iflag;
    public uint c_oflag;
    public uint c_cflag;
    public uint c_lflag;
    public byte c_line;
    public fixed byte c_cc[19];
    public uint c_ispeed;
    public uint c_ospeed;
}

/// <summary>Flags of <see cref="termios2"/>, places in its <c>c_cc</c>, and the calls that read and write it.</summary>
[CConstants("asm/termbits.h asm/ioctls.h")]
public static class termbits
{
    public const uint IGNBRK = 1;
    public const uint BRKINT = 2;
    public const uint PARMRK = 8;
    public const uint ISTRIP = 0x20;
    public const uint INLCR = 0x40;
    public const uint IGNCR = 0x80;
    public const uint ICRNL = 0x100;
    public const uint IUCLC = 0x200;
    public const uint IXON = 0x400;
    public const uint IXOFF = 0x1000;
    public const uint OPOST = 1;
    public const uint ONLCR = 4;
    public const uint ISIG = 1;
    public const uint ICANON = 2;
    public const uint ECHO = 8;
    public const uint ECHONL = 0x40;
    public const uint IEXTEN = 0x8000;

    /// <summary>Somebody else processes what is typed: what is written to the master is read as it is, whatever the other flags say.</summary>
    public const uint EXTPROC = 0x10000;
    public const int VINTR = 0;
    public const int VEOF = 4;
    public const int VTIME = 5;
    public const int VMIN = 6;
    public const int VSTART = 8;
    public const int VSTOP = 9;
    public const uint TCGETS2 = 0x802C542A;
    public const uint TCSETS2 = 0x402C542B;
}

/// <summary>A terminal's size.</summary>
[CStruct("struct winsize", "sys/ioctl.h")]
public struct winsize
{
    public ushort ws_row;
    public ushort ws_col;
    public ushort ws_xpixel;
    public ushort ws_ypixel;
}

/// <summary>Calls on terminals (ioctl_tty(2)).</summary>
[CConstants("sys/ioctl.h")]
public static class ioctl_tty
{
    public const uint TIOCGWINSZ = 0x5413;
    public const uint TIOCSWINSZ = 0x5414;

    /// <summary>The number of a master's slave; of masters only.</summary>
    public const uint TIOCGPTN = 0x80045430;

    /// <summary>The number of a terminal's device, also where it was opened by another name (/dev/tty).</summary>
    public const uint TIOCGDEV = 0x80045432;

    /// <summary>Unlocks a master's slave.</summary>
    public const uint TIOCSPTLCK = 0x40045431;

    /// <summary>Opens a master's slave, with flags of open(2).</summary>
    public const uint TIOCGPTPEER = 0x5441;
}

public static unsafe partial class LibC
{
    /// <summary>Bytes enough for a <c>struct termios</c> (60 with glibc) that is read only to be put back.</summary>
    public const int TerminalModesSize = 256;

    /// <summary>tcgetattr(3).</summary>
    [LibraryImport(Library)]
    public static partial int tcgetattr(int fd, void* modes);

    /// <summary>ioctl(2) with a number.</summary>
    [LibraryImport(Library, EntryPoint = "ioctl")]
    public static partial int ioctl_value(int fd, nuint request, nuint value);

    /// <summary>tcsetattr(3).</summary>
    [LibraryImport(Library)]
    public static partial int tcsetattr(int fd, int actions, void* modes);
}
