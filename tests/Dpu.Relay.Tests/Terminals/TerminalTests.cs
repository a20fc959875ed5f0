using System.Text;
using Dpu.Linux;
using Dpu.Relay.Terminals;
using Dpu.TestSupport;
using Microsoft.Win32.SafeHandles;

namespace Dpu.Relay.Tests.Terminals;

/// <summary>A terminal whose one end was passed, and its twin: what a program types at one end, and what one prints at the other.</summary>
[TestClass]
public sealed unsafe class TerminalTests : IDisposable
{
    private readonly Twins _twins = new();
    private SafeFileHandle _keyboard = null!;
    private SafeFileHandle _program = null!;
    private SafeFileHandle? _passed;

    public void Dispose()
    {
        _twins.Dispose();
        _keyboard?.Dispose();
        _program?.Dispose();
        _passed?.Dispose();
    }

    [TestMethod]
    [TestCategory("unit")]
    [DataRow(false)]
    [DataRow(true)]
    public void WhatIsTyped_AndPrinted_IsProcessedOnce(bool master)
    {
        Up(master);
        Write(_keyboard, "lx\u007fs\r");
        AssertReads("ls\n", _program);
        AssertReads("lx\b \bs\r\n", _keyboard);
        Write(_program, "a\nb");
        AssertReads("a\r\nb", _keyboard);
        Write(_keyboard, "\u0004");
        Eventually.True(() => Read(_program) == "", Twins.Limit, "the end of file that Ctrl-D makes");
    }

    [TestMethod]
    [TestCategory("unit")]
    [DataRow(false)]
    [DataRow(true)]
    public void Modes_AreShownAtTheOtherEnd_AndFollowFromBoth(bool master)
    {
        Up(master);
        TerminalModes before = Modes(_program);
        Assert.AreEqual(0, before.With(local: before.Local & ~termbits.ECHO).Write(_program));
        Eventually.True(() => (Modes(_keyboard).Local & termbits.ECHO) == 0, Twins.Limit, "no echo at the keyboard's end");
        Assert.AreEqual(termbits.EXTPROC, Modes(_keyboard).Local & termbits.EXTPROC);
        Write(_keyboard, "secret\r");
        AssertReads("secret\n", _program);

        // As a program does at the keyboard's end that has a raw terminal in mind (cfmakeraw(3)).
        TerminalModes shown = Modes(_keyboard);
        TerminalModes raw = shown.With(
            input: shown.Input & ~(termbits.ICRNL | termbits.IXON), output: shown.Output & ~termbits.OPOST, local: shown.Local & ~(termbits.ICANON | termbits.ECHO | termbits.ISIG | termbits.IEXTEN));
        Assert.AreEqual(0, raw.Write(_keyboard));
        Eventually.True(() => (Modes(_program).Local & (termbits.ICANON | termbits.ISIG)) == 0 && (Modes(_program).Output & termbits.OPOST) == 0, Twins.Limit, "a raw terminal at the program's end");
        Assert.AreEqual(0U, Modes(_program).Local & termbits.EXTPROC);
        Write(_keyboard, "\u0003\r");
        AssertReads("\u0003\r", _program);
        Write(_program, "\n");
        AssertReads("\n", _keyboard);
        Assert.AreEqual(0, before.Write(_program));
        Eventually.True(() => (Modes(_keyboard).Local & termbits.ECHO) != 0, Twins.Limit, "echo at the keyboard's end");
        Write(_program, "\n");
        AssertReads("\r\n", _keyboard);
    }

    [TestMethod]
    [TestCategory("unit")]
    [DataRow(false)]
    [DataRow(true)]
    public void Size_FollowsFromBothEnds_AndIsThereFromTheStart(bool master)
    {
        Up(master);
        Assert.AreEqual(new TerminalSize(24, 80, 0, 0), TerminalSize.Of(_program));
        Assert.AreEqual(new TerminalSize(24, 80, 0, 0), TerminalSize.Of(_keyboard));
        var larger = new TerminalSize(50, 132, 1320, 1000);
        Assert.AreEqual(0, larger.Set(_keyboard));
        Eventually.True(() => TerminalSize.Of(_program) == larger, Twins.Limit, "the size at the program's end");
        var other = new TerminalSize(10, 20, 0, 0);
        Assert.AreEqual(0, other.Set(_program));
        Eventually.True(() => TerminalSize.Of(_keyboard) == other, Twins.Limit, "the size at the keyboard's end");
    }

    [TestMethod]
    [TestCategory("unit")]
    [DataRow(false)]
    [DataRow(true)]
    public void StopAndStart_HoldUpWhatIsPrinted_AndNothingIsLost(bool master)
    {
        Up(master);
        Write(_keyboard, "\u0013");
        byte[] block = Encoding.ASCII.GetBytes(new string('x', 512));
        int written = 0;
        Eventually.True(() => TryWrite(_program, block, ref written) == -errno.EAGAIN, Twins.Limit, "a terminal that has stopped");
        Write(_keyboard, "\u0011");
        int read = 0;
        Eventually.True(
            () =>
            {
                read += Read(_keyboard)?.Length ?? 0;
                _ = written < 200_000 ? TryWrite(_program, block, ref written) : 0;
                return written >= 200_000 && read == written;
            },
            Twins.Limit,
            "all that was printed");
    }

    [TestMethod]
    [TestCategory("unit")]
    [DataRow(false)]
    [DataRow(true)]
    public void KeyboardThatIsNotRead_HoldsUpTheProgram_WithinBounds(bool master)
    {
        Up(master);
        byte[] block = new byte[4096];
        Array.Fill(block, (byte)'y');
        int written = 0;
        for (int quiet = 0; quiet < 40;)
        {
            quiet = TryWrite(_program, block, ref written) < 0 ? quiet + 1 : 0;
            _ = poll.WaitReadable(_program, TimeSpan.FromMilliseconds(quiet > 0 ? 10 : 0));
        }

        Assert.IsLessThan(4 << 20, written);
        int read = 0;
        Eventually.True(() => (read += Read(_keyboard)?.Length ?? 0) == written, Twins.Limit, "all that was printed");
    }

    [TestMethod]
    [TestCategory("unit")]
    [DataRow(false)]
    [DataRow(true)]
    public void ProgramThatEnds_LeavesItsLastWords_AndTheTerminalAsItWas(bool master)
    {
        Up(master);
        TerminalModes before = Modes(_program);
        string words = new('z', 3000);
        Write(_program, words + "\n");
        Assert.AreEqual(0, before.With(input: before.Input & ~termbits.IUCLC).Write(_program));
        _program.Dispose();
        AssertReads(words + "\r\n", _keyboard);
        _twins.AssertOver();
        if (master)
        {
            Eventually.True(() => Read(_keyboard) is null && (poll.Now(_keyboard, poll.POLLIN) & poll.POLLHUP) != 0, Twins.Limit, "the end at the keyboard");
        }
        else
        {
            Assert.AreEqual(before, Modes(_passed!), "the passed terminal, which its program still has");
        }
    }

    [TestMethod]
    [TestCategory("unit")]
    [DataRow(false)]
    [DataRow(true)]
    public void KeyboardThatGoes_HangsUpTheProgram_AndNothingIsLeft(bool master)
    {
        Up(master);
        if (master)
        {
            _passed!.Dispose();
        }

        _keyboard.Dispose();
        Eventually.True(() => (poll.Now(_program, poll.POLLIN) & poll.POLLHUP) != 0, Twins.Limit, "a hung-up terminal");
        _twins.AssertOver();
    }

    [TestMethod]
    [TestCategory("unit")]
    public void LinkThatBreaks_HangsUpTheProgram_AndThePassedTerminalIsAsItWas()
    {
        Up(master: false);
        TerminalModes before = Modes(_program);
        Assert.AreEqual(0, before.With(local: 0).Write(_program));
        Eventually.True(() => (Modes(_passed!).Local & termbits.ICANON) == 0, Twins.Limit, "a raw terminal");
        _twins.Break();
        Eventually.True(() => (poll.Now(_program, poll.POLLIN) & poll.POLLHUP) != 0, Twins.Limit, "a hung-up terminal");
        Eventually.True(() => Modes(_passed!) == before, Twins.Limit, "the modes of before");
        _twins.AssertOver();
    }

    // Who types has a master, and who prints a slave, whichever of both was passed.
    private void Up(bool master)
    {
        SafeFileHandle first = PseudoTerminal.TryOpen(fcntl.O_NONBLOCK, fcntl.O_RDWR | fcntl.O_NONBLOCK, null, out SafeFileHandle? slave, out string reason)!;
        Assert.AreEqual("", reason);
        Assert.AreEqual(0, new TerminalSize(24, 80, 0, 0).Set(slave!));
        _passed = master ? first : slave!;
        SafeFileHandle twin = _twins.Pass(_passed);
        (_keyboard, _program) = master ? (twin, slave!) : (first, twin);
    }

    private static TerminalModes Modes(SafeFileHandle terminal)
    {
        Assert.AreEqual(0, TerminalModes.TryRead(terminal, out TerminalModes modes));
        return modes;
    }

    private static int TryWrite(SafeFileHandle terminal, byte[] bytes, ref int written)
    {
        fixed (byte* first = bytes)
        {
            int result = (int)LibC.Result(LibC.write((int)terminal.DangerousGetHandle(), first, (nuint)bytes.Length));
            written += Math.Max(result, 0);
            return result;
        }
    }

    private static void Write(SafeFileHandle terminal, string text)
    {
        byte[] bytes = Encoding.ASCII.GetBytes(text);
        int written = 0;
        Eventually.True(
            () =>
            {
                _ = TryWrite(terminal, bytes[written..], ref written);
                return written == bytes.Length;
            },
            Twins.Limit,
            "room in a terminal");
    }

    // Null where nothing is there, or it has hung up.
    private static string? Read(SafeFileHandle terminal)
    {
        byte* room = stackalloc byte[4096];
        int read = (int)LibC.Result(LibC.read((int)terminal.DangerousGetHandle(), room, 4096));
        return read < 0 ? null : Encoding.ASCII.GetString(room, read);
    }

    private static void AssertReads(string expected, SafeFileHandle terminal)
    {
        var seen = new StringBuilder();
        bool all = Eventually.Within(() => seen.Append(Read(terminal)).Length >= expected.Length, Twins.Limit);
        Assert.AreEqual(expected, seen.ToString(), $"all of it: {all}");
    }
}
