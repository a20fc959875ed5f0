namespace Dpu.EndToEnd.Tests.Lab;

/// <summary>Drives programs on pseudoterminals, as a terminal's user does: short Python programs, which can have a daemon killed or a link cut.</summary>
internal static class TerminalDriver
{
    // T(argv…): a program on a terminal of its own. All that waits ends by itself after a while, and says what was there instead.
    private const string Prelude =
        """
        import atexit, fcntl, os, pty, re, select, signal, struct, subprocess, sys, termios, threading, time
        env = {**os.environ, 'TERM': 'xterm', 'PS1': 'P> ', 'LC_ALL': 'C.UTF-8'}
        env.pop('PROMPT_COMMAND', None)
        FOLDER, REXEC = env['FOLDER'], env['REXEC'].split()
        def until(condition, what='it'):
            end = time.monotonic() + 20
            while not condition():
                if time.monotonic() > end: raise Exception(f'{what} does not come')
                select.select([], [], [], 0.01)
        def clean():
            # What a failure has left: a stub waits for its runtime for ever.
            for process in filter(str.isdigit, os.listdir('/proc')):
                try:
                    if int(process) != os.getpid() and f'FOLDER={FOLDER}\0'.encode() in open(f'/proc/{process}/environ', 'rb').read(): os.kill(int(process), signal.SIGKILL)
                except OSError: continue
        atexit.register(clean)
        def act(name):
            open(f'{FOLDER}/act-{name}', 'w').close()
            until(lambda: not os.path.exists(f'{FOLDER}/act-{name}'), name)
        def child(process, name):
            found = []
            def look():
                found[:] = subprocess.run(['pgrep', '-P', str(process), name], capture_output=True).stdout.split()
                return found
            until(look, name)
            return int(found[-1])
        class T:
            def __init__(self, *argv, rows=24, columns=80):
                self.pid, self.fd = pty.fork()
                if self.pid == 0:
                    os.execvpe(argv[0], argv, env)
                self.resize(rows, columns)
                self.buf, self.usual = b'', self.modes()
            def resize(self, rows, columns): fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack('HHHH', rows, columns, 0, 0))
            def modes(self): return termios.tcgetattr(self.fd)
            def pump(self, limit=0.05):
                if select.select([self.fd], [], [], limit)[0]:
                    # A program in the background has its lines' ends from both terminals.
                    try: self.buf = (self.buf + os.read(self.fd, 65536)).replace(b'\r\r\n', b'\r\n')
                    except OSError: return
            def expect(self, pattern, again=None):
                end, pattern = time.monotonic() + 20, re.compile(pattern if isinstance(pattern, bytes) else pattern.encode(), re.S)
                while True:
                    found = pattern.search(self.buf)
                    if found:
                        self.seen, self.buf = self.buf[:found.end()], self.buf[found.end():]
                        return found
                    if time.monotonic() > end: raise Exception(f'no {pattern.pattern!r} in {self.buf[-2000:]!r}')
                    if again: self.send(again)
                    self.pump(0.3 if again else 0.05)
            def send(self, text): os.write(self.fd, text if isinstance(text, bytes) else text.encode())
            def prompt(self): self.expect('P> ')
            def do(self, command, awaited):
                self.send(command + '\r'); self.expect(re.escape(command.encode()) + b'\r\n'); self.expect(awaited)
            # The local terminal is the host program's, or is as it was.
            def taken(self): until(lambda: self.pump(0) or not self.modes()[3] & termios.ICANON, f'a raw terminal, with {self.buf[-500:]},')
            def given_back(self): until(lambda: self.pump(0) or self.modes() == self.usual, f'the terminal as it was, {self.usual}')
            def end(self):
                status = []
                def over():
                    self.pump(0)
                    status[:] = os.waitpid(self.pid, os.WNOHANG)
                    return status[0]
                until(over, f'the end ({self.buf[-2000:]!r})')
                return status[1]
        def shell():
            t = T('bash', '--norc', '--noediting', '-i')
            t.prompt()
            return t

        """;

    /// <summary>Runs a program to its end, which must be a good one.</summary>
    /// <param name="pair">The daemons.</param>
    /// <param name="program">In Python.</param>
    /// <param name="more">What it can have done besides, by name.</param>
    /// <param name="variables">Of its environment besides.</param>
    public static void Run(ExecPair pair, string program, IReadOnlyDictionary<string, Action>? more = null, IReadOnlyDictionary<string, string?>? variables = null)
    {
        var actions = new Dictionary<string, Action>(more ?? new Dictionary<string, Action>())
        {
            ["link"] = () => pair.Proxy!.Cut(),
            ["agent"] = () =>
            {
                pair.Pair.Agent.Kill();
                pair.Pair.RestartAgent(quick: true);
            },
            ["runtime"] = () =>
            {
                pair.Pair.Runtime.Kill();
                pair.Pair.RestartRuntime(quick: true);
            },
        };
        var environment = new Dictionary<string, string?>(pair.Environment) { ["FOLDER"] = pair.Pair.Folder };
        foreach ((string name, string? value) in variables ?? new Dictionary<string, string?>())
        {
            environment[name] = value;
        }

        using RunningProgram driver = RunningProgram.Start("/usr/bin/python3", ["-c", Prelude + program], environment: environment);
        bool Step()
        {
            foreach ((string name, Action action) in actions)
            {
                string asked = Path.Combine(pair.Pair.Folder, "act-" + name);
                if (File.Exists(asked))
                {
                    action();
                    File.Delete(asked);
                }
            }

            return driver.HasExited;
        }

        Eventually.True(Step, TimeSpan.FromSeconds(90), "the driver's end");
        Assert.IsTrue(driver.WaitForExit(Pair.Limit));
        Assert.AreEqual(0, driver.ExitCode, driver.Error + driver.Output + pair.Pair.Runtime.Log[^Math.Min(2000, pair.Pair.Runtime.Log.Length)..]);
    }
}
