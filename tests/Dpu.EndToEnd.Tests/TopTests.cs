namespace Dpu.EndToEnd.Tests;

/// <summary><c>dpuctl top</c> on a pseudo terminal, as a person sees and ends it.</summary>
[TestClass]
public sealed class TopTests
{
    private const string Terminal =
        """
        import fcntl, os, pty, re, select, signal, struct, subprocess, sys, termios
        def resize(columns, rows): fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack('HHHH', rows, columns, 0, 0))
        def read(until):
            global seen
            while not until(seen):
                if not select.select([master], [], [], 25)[0]: raise SystemExit('nothing more comes; seen: ' + repr(seen[-2000:]))
                seen += os.read(master, 65536).decode()
        def frames(): return [f for f in re.split('\x1b\\[H', seen)[1:] if f.endswith('\x1b[J')]
        def lines(frame): return [re.sub('\x1b\\[[0-9;?]*[A-Za-z]', '', l) for l in frame.split('\r\n')]
        def start(*command):
            def terminal(): fcntl.ioctl(0, termios.TIOCSCTTY, 0)
            return subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, start_new_session=True, preexec_fn=terminal, env=dict(os.environ, TERM='xterm-256color'))
        def left():
            # The last of each pair counts.
            return seen.rfind('\x1b[?1049l') > seen.rfind('\x1b[?1049h') >= 0 and seen.rfind('\x1b[?25h') > seen.rfind('\x1b[?25l') >= 0
        def is_raw(): return not termios.tcgetattr(slave)[3] & (termios.ECHO | termios.ICANON)
        master, slave = pty.openpty()
        resize(120, 30)
        before = termios.tcgetattr(slave)
        seen = ''

        """;

    [TestMethod]
    [TestCategory("root")]
    [DataRow("os.write(master, b'q')")]
    [DataRow("os.write(master, b'\\x03')")]
    [DataRow("top.send_signal(signal.SIGTERM)")]
    public void Top_EndedInAnyWay_LeavesTheTerminalAsItWas(string end)
    {
        using var pair = new Pair();
        string mount = pair.Up();
        string[] said = Shell.Python(
            Terminal + $$"""
            mount = '{{mount}}'
            top = start('{{Repository.Program("Dpu.Ctl", "dpuctl")}}', '--socket', '{{pair.Runtime.Socket}}', 'top', '--interval', '100ms')
            read(lambda s: len(frames()) > 2 and mount in frames()[-1])
            wide = lines(frames()[-1])
            while not is_raw(): select.select([], [], [], 0.01)
            say('headings', *wide[1].split())
            say('fits', len(wide) <= 30 and all(len(l) <= 120 for l in wide))
            resize(40, 4)
            read(lambda s: all(len(l) <= 40 for l in lines(frames()[-1])))
            narrow = lines(frames()[-1])
            say('adapts', len(narrow) <= 4 and narrow[1].split()[0] == 'MOUNT' and 'SOURCE' not in narrow[1])
            {{end}}
            read(lambda s: left())
            say('code', top.wait(timeout=20))
            say('sane', termios.tcgetattr(slave) == before)
            """,
            "/");
        CollectionAssert.AreEqual(
            new[]
            {
                "headings MOUNT SOURCE LINK REQ/S TO-HOST FROM-HOST ERR/S MEAN P99 IN-FLIGHT",
                "fits True",
                "adapts True",
                "code 0",
                "sane True",
            },
            said);
    }

    [TestMethod]
    [TestCategory("root")]
    public void Top_StoppedByTheShell_GivesTheScreenBackAndTakesItAgain()
    {
        using var pair = new Pair();
        string mount = pair.Up();
        string[] said = Shell.Python(
            Terminal + $$"""
            mount = '{{mount}}'
            shell = start('bash', '-c', 'set -m; "$@"; echo stopped; read -r line; fg >/dev/null; echo ended $?', 'bash',
                '{{Repository.Program("Dpu.Ctl", "dpuctl")}}', '--socket', '{{pair.Runtime.Socket}}', 'top', '--interval', '100ms')
            read(lambda s: frames() and mount in frames()[-1])
            os.write(master, b'\x1a')
            read(lambda s: 'stopped' in s and left())
            say('stopped')
            os.write(master, b'\n')
            count = len(frames())
            read(lambda s: not left() and len(frames()) > count + 1)
            say('back', mount in frames()[-1])
            os.write(master, b'q')
            read(lambda s: left() and 'ended 0' in s)
            say('ended')
            say('code', shell.wait(timeout=20))
            say('sane', termios.tcgetattr(slave) == before)
            """,
            "/");
        CollectionAssert.AreEqual(new[] { "stopped", "back True", "ended", "code 0", "sane True" }, said);
    }

    [TestMethod]
    [TestCategory("root")]
    public void Top_WhoseRuntimeGoes_SaysSoAndGoesOnWhenItIsBack()
    {
        using var pair = new Pair();
        string mount = pair.Up();
        using RunningProgram terminal = Shell.StartPython(
            Terminal + $$"""
            top = start('{{Repository.Program("Dpu.Ctl", "dpuctl")}}', '--socket', '{{pair.Runtime.Socket}}', 'top', '--interval', '100ms', '--no-color')
            read(lambda s: frames() and '{{mount}}' in frames()[-1])
            say('shown')
            read(lambda s: 'is dpu-runtime running?' in lines(frames()[-1])[1])
            say('gone')
            read(lambda s: '{{mount}}' in frames()[-1] and lines(frames()[-1])[1].startswith('MOUNT'))
            say('back')
            os.write(master, b'q')
            say('code', top.wait(timeout=20))
            """,
            "/");
        terminal.WaitForLine(line => line == "shown", Pair.Limit);
        pair.Runtime.Stop();
        terminal.WaitForLine(line => line == "gone", Pair.Limit);
        System.Text.Json.Nodes.JsonObject configuration = System.Text.Json.Nodes.JsonNode.Parse(File.ReadAllText(Path.Combine(pair.Folder, "dpu1.json")))!.AsObject();
        pair.StartRuntime(configuration);
        CollectionAssert.AreEqual(new[] { "shown", "gone", "back", "code 0" }, Shell.End(terminal));

        // It was shown as soon as it was wanted.
        Pair.WaitMounted(mount);
    }
}
