using System.Runtime.InteropServices;
using Dpu.Linux;

namespace Dpu.Ctl.Output;

/// <summary>
/// The terminal as a screen to draw on: another buffer, no cursor, keys read as they come. <see cref="Dispose"/>, the
/// process's end by a signal that ends dpuctl, and Ctrl-Z leave the terminal as it was. Thread-safe.
/// </summary>
/// <remarks>
/// xterm's control sequences, which every terminal of today has. What Console.ReadKey changes of the line discipline, the
/// runtime puts back when the process ends; it leaves the keypad in application mode, which is undone here.
/// </remarks>
internal sealed class FullScreen : IDisposable
{
    private const string EnterSequence = "\x1b[?1049h\x1b[?25l";
    private const string LeaveSequence = "\x1b[?25h\x1b[?1049l\x1b[?1l\x1b>";

    private readonly Lock _lock = new();
    private readonly TextWriter _output;
    private readonly Action<ConsoleKeyInfo> _key;
    private readonly byte[]? _modes;
    private readonly PosixSignalRegistration _stopped;
    private readonly PosixSignalRegistration _continued;
    private readonly PosixSignalRegistration _resized;
    private bool _entered;
    private bool _ended;

    /// <param name="output">The terminal.</param>
    /// <param name="key">Called with each key that is pressed.</param>
    /// <param name="redraw">Called where the screen must be drawn again: its size changed, or dpuctl came back from Ctrl-Z.</param>
    public FullScreen(TextWriter output, Action<ConsoleKeyInfo> key, Action redraw)
    {
        _output = output;
        _key = key;
        _modes = Modes();
        _stopped = PosixSignalRegistration.Create(PosixSignal.SIGTSTP, context =>
        {
            // The runtime swallows a SIGTSTP that is listened for: what it should have done follows here.
            context.Cancel = true;
            Leave();
            RestoreModes();
            _ = LibC.kill(Environment.ProcessId, signal.SIGSTOP);
        });
        _continued = PosixSignalRegistration.Create(PosixSignal.SIGCONT, _ =>
        {
            Enter();
            redraw();
        });
        _resized = PosixSignalRegistration.Create(PosixSignal.SIGWINCH, _ => redraw());
        Enter();
        if (!Console.IsInputRedirected)
        {
            new Thread(ReadKeys) { IsBackground = true, Name = "keys" }.Start();
        }
    }

    /// <summary>The window's size in characters.</summary>
    public static (int Width, int Height) Size => (Math.Max(1, Console.WindowWidth), Math.Max(1, Console.WindowHeight));

    /// <summary>Draws lines over what was there; they must fit <see cref="Size"/>.</summary>
    public void Draw(IEnumerable<string> lines)
    {
        lock (_lock)
        {
            if (_entered)
            {
                // Each line is cleared behind its end rather than the screen before: nothing flickers.
                _output.Write("\x1b[H" + string.Join("\x1b[K\n", lines) + "\x1b[K\x1b[J");
                _output.Flush();
            }
        }
    }

    public void Dispose()
    {
        _resized.Dispose();
        _continued.Dispose();
        _stopped.Dispose();
        lock (_lock)
        {
            Leave();
            _ended = true;
        }
    }

    private void Enter()
    {
        lock (_lock)
        {
            if (!_entered && !_ended)
            {
                _entered = true;
                _output.Write(EnterSequence);
                _output.Flush();
            }
        }
    }

    private void Leave()
    {
        lock (_lock)
        {
            if (_entered)
            {
                _entered = false;
                _output.Write(LeaveSequence);
                _output.Flush();
            }
        }
    }

    private static unsafe byte[]? Modes()
    {
        byte[] modes = new byte[LibC.TerminalModesSize];

        // SAFETY: the array is longer than the kernel's struct, and pinned for the call.
        fixed (byte* at = modes)
        {
            return LibC.tcgetattr(0, at) == 0 ? modes : null;
        }
    }

    // At the process's end, and when it goes on after Ctrl-Z, the runtime sets them itself.
    private unsafe void RestoreModes()
    {
        // SAFETY: as above; an array of null pins as a null pointer, which is not used.
        fixed (byte* at = _modes)
        {
            _ = at == null ? 0 : LibC.tcsetattr(0, termios.TCSANOW, at);
        }
    }

    // Blocks in the read until the process ends: nothing can wake it, and nothing needs to.
    private void ReadKeys()
    {
        try
        {
            while (true)
            {
                _key(Console.ReadKey(intercept: true));
            }
        }
        catch (Exception e) when (e is InvalidOperationException or IOException)
        {
            // Expected: the terminal has no input any more.
            return;
        }
    }
}
