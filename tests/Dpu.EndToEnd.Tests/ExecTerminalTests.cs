namespace Dpu.EndToEnd.Tests;

/// <summary>Programs of the host on a terminal of the DPU: as if they were local. Shells, vim and tmux are the real ones.</summary>
[TestClass]
public sealed class ExecTerminalTests
{
    private static readonly string[] s_programs =
        ["/bin/bash", "/bin/sh", "/bin/cat", "/usr/bin/vim", "/usr/bin/python3", "/usr/bin/less", "/usr/bin/yes", "/usr/bin/head", "/bin/sleep", "/usr/bin/stat"];

    [TestMethod]
    [TestCategory("root")]
    public void Tmux_BashWithVimAndCtrlZInIt_FeelsLocal()
    {
        using var pair = new ExecPair(programs: s_programs);
        string[] tmux = ["-L", $"dpu-{Environment.ProcessId}", "-f", "/dev/null"];
        string text = Path.Combine(pair.Pair.Folder, "text");
        try
        {
            _ = Tmux("new-session", "-d", "-x", "100", "-y", "30", "bash --norc --noediting -i");
            Shows("bash-");
            Type("PS1='lo''cal> '; $REXEC bash --norc --noediting -i", "Enter");
            Shows("--noediting -i\nbash-");
            Type("PS1='re''mote> '; hash vim && echo there", "Enter");
            Shows("there\nremote>");
            Type($"vim -u NONE -N {text}", "Enter");
            Shows("~\n~\n~");
            Type("isome words", "Escape");
            Shows("some words\n~");
            Type("C-z");
            Shows("Stopped", "remote>");
            Type("jobs -l; stty size", "Enter");
            Shows("vim -u NONE", "30 100\nremote>");
            _ = Tmux("resize-window", "-x", "90", "-y", "20");
            Type("fg", "Enter");
            Shows("some words\n~");
            Type(":!stty size", "Enter");
            Shows("20 90");
            Type("Enter", ":wq", "Enter");
            Eventually.True(() => File.Exists(text) && File.ReadAllText(text) == "some words\n", Pair.Limit, "what was written");
            Type("clear; sh -c 'echo be\"\"gun; exec sleep 1000'", "Enter");
            Shows("begun");
            Type("C-c");
            Shows("^C\nremote>");
            Type("C-d");
            Shows("local>");
            Type("clear; stty -a | grep -o ' icanon'", "Enter");
            Shows(" icanon");

            // The same, as a job of the shell here.
            Type($"clear; $REXEC vim -u NONE -N {text}", "Enter");
            Shows("some words\n~");
            Type("C-z");
            Shows("Stopped", "local>");
            Type("clear; echo $((6 * 7))", "Enter");
            Shows("42\nlocal>");
            Type("fg", "Enter");
            Shows("some words\n~");
            Type(":q", "Enter");
            Shows("local>");
        }
        finally
        {
            _ = ExternalProgram.Run("tmux", [.. tmux, "kill-server"], Pair.Limit);
        }

        void Type(params string[] keys) => _ = Tmux(["send-keys", .. keys]);

        void Shows(params string[] texts)
        {
            string screen = "";
            bool Look()
            {
                screen = string.Join('\n', Tmux("capture-pane", "-p").Split('\n').Select(line => line.TrimEnd()));
                return texts.All(text => screen.Contains(text, StringComparison.Ordinal));
            }

            Assert.IsTrue(Eventually.Within(Look, Pair.Limit), $"'{string.Join("', '", texts)}' is not on the screen:\n{screen}");
        }

        string Tmux(params string[] arguments)
        {
            var environment = new Dictionary<string, string?>(pair.Environment) { ["TMUX"] = null, ["LC_ALL"] = "C.UTF-8", ["PS1"] = null };
            return ExternalProgram.Run("tmux", [.. tmux, .. arguments], Pair.Limit, environment: environment).EnsureSuccess().Output;
        }
    }

    [TestMethod]
    [TestCategory("root")]
    public void Shell_OfTheHost_ControlsItsJobs_AndExitLeavesTheTerminalAsItWas() => Drive(
        """
        t = shell()
        t.do('$REXEC bash --norc --noediting -i', 'P> ')
        t.do('test -t 0 && test -t 1 && test -t 2 && ps -o tpgid= -p $$ > /dev/tty && echo yes', r'\d+\r\nyes\r\nP> ')
        t.send('cat\r'); t.expect('cat\r\n'); t.send('words\r'); t.expect('words\r\nwords\r\n'); t.send('\x1a'); t.expect('Stopped.*P> ')
        t.do('bg', 'P> '); t.expect('Stopped.*P> ', again='\r')
        t.do('fg', 'cat\r\n'); t.send('more\r'); t.expect('more\r\nmore\r\n'); t.send('\x03'); t.expect('P> ')
        t.do('echo =$?=', '=130=\r\nP> ')
        t.do('cat; echo =$?=', ''); t.send('\x04'); t.expect('=0=\r\nP> ')
        t.do('stty -echo; echo quiet', 'quiet\r\nP> '); t.send('stty echo\r'); t.expect('P> ')
        assert b'stty' not in t.seen, t.seen
        t.do('stty size', '24 80\r\nP> ')
        t.do("trap 'stty size' WINCH", 'P> '); t.resize(33, 99); t.expect('33 99\r\n', again='\r'); t.do('trap - WINCH', 'P> ')
        t.do('exit 7', 'exit\r\nP> '); t.given_back(); t.do('echo =$?=', '=7=\r\nP> ')
        """);

    [TestMethod]
    [TestCategory("root")]
    public void Job_OfAShellHere_IsStoppedContinuedAndInTheBackground_AsALocalOne() => Drive(
        """
        def go(t, rexec, stopped):
            t.do(rexec + ' cat', ''); t.taken(); t.send('a\r'); t.expect('a\r\na\r\n'); t.send('\x1a'); t.expect(stopped + '.*P> ')
            t.do('echo $((6*7))', '42\r.*P> ')
            t.send('fg\r'); t.taken(); t.send('b\r'); t.expect('b\r\nb\r\n'); t.send('\x1a'); t.expect(stopped + '.*P> ')
            t.send('bg\r'); t.expect('P> '); t.expect(stopped + '.*P> ', again='jobs\r')
            t.send('fg\r'); t.taken(); t.send('c\r'); t.expect('c\r\nc\r\n'); t.send('\x04'); t.expect('P> '); t.do('echo :$?:', ':0:')
        t = shell()
        go(t, '$REXEC', 'Stopped'); t.given_back(); t.prompt()
        # Begun in the background: who reads is stopped, who does not goes on.
        t.do('$REXEC cat &', 'P> '); t.expect('Stopped.*P> ', again='\r'); t.send('fg\r'); t.taken(); t.send('d\r'); t.expect('d\r\nd\r\n'); t.send('\x04'); t.prompt()
        t.do('$REXEC bash --norc --noediting -i &', 'P> '); t.expect('Stopped.*P> ', again='\r'); t.send('fg\r'); t.prompt(); t.do('echo $((6*7))', '42\r\nP> '); t.do('exit', 'exit\r\nP> ')
        t.do("$REXEC bash -c 'echo out; sleep 0.5; read x; echo got $x' &", 'out\r\n'); t.send('fg\r'); t.taken(); t.send('late\r'); t.expect('got late\r\n.*P> ')
        # A pipeline is stopped as a whole; a script is ended by what ends its program, and only by that.
        t.do('$REXEC cat | cat', ''); t.taken(); t.send('e\r'); t.expect('e\r\ne\r\n'); t.send('\x1a'); t.expect('Stopped.*P> '); t.send('fg\r'); t.taken(); t.send('\x03'); t.prompt()
        open(FOLDER + '/script', 'w').write("$REXEC python3 -c 'import time\ntry: print(\"be\", \"gun\", flush=True); time.sleep(100)\nexcept KeyboardInterrupt: print(\"caught\")'\n$REXEC bash -c 'echo second; exec cat'\necho after\n")
        t.do('bash $FOLDER/script', 'be gun\r\n'); t.taken(); t.send('\x03'); t.expect('caught\r\n'); t.expect('second\r\n'); t.taken(); t.send('\x03'); t.prompt(); assert b'after' not in t.seen
        t.do('echo =$?=', '=130=\r\nP> ')
        # Where nobody here could continue it, nothing is stopped (the group is an orphaned one).
        o = T(*REXEC, 'cat'); o.taken(); o.send('f\r'); o.expect('f\r\nf'); o.send('\x1a'); o.send('g\r'); o.expect('g\r\ng'); o.send('\x03'); assert o.end() == signal.SIGINT
        d = T('dash', '-i'); d.prompt(); go(d, '$REXEC', 'Stopped')
        z = T('zsh', '-f', '-i', '+Z'); z.prompt(); go(z, '${=REXEC}', 'suspended')
        """);

    [TestMethod]
    [TestCategory("root")]
    public void Signals_StopContinueAndEndIt_AndTheTerminalIsGivenBack() => Drive(
        """
        t = shell()
        t.do('$REXEC cat', ''); t.taken(); stub = child(t.pid, 'rexec')
        for number in signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU, signal.SIGSTOP:
            os.kill(stub, number); t.expect('Stopped.*P> '); t.do('echo $((6*7))', '42\r\nP> '); t.send('fg\r'); t.taken(); t.send('a\r'); t.expect('a\r\na\r\n')
        os.kill(stub, signal.SIGTERM); t.expect('Terminated.*P> '); t.given_back()
        t.do('$REXEC cat', ''); t.taken(); os.kill(child(t.pid, 'rexec'), signal.SIGKILL); t.expect('Killed.*P> '); t.given_back()
        # A parent that mends nothing.
        p = T('python3', '-c', 'import os, subprocess, sys; p = subprocess.Popen(sys.argv[1:]); print("it", "ended", p.wait(), flush=True); os.read(0, 1)', *REXEC, 'cat')
        p.taken(); os.kill(child(p.pid, 'rexec'), signal.SIGKILL); p.expect('it ended -9'); p.given_back()
        # The terminal goes away: so does what led its session there.
        h = T(*REXEC, 'bash', '--norc', '--noediting', '-i'); h.do('echo $$', r'(\d+)\r\nP> '); process = int(re.search(rb'(\d+)\r\nP> $', h.seen).group(1)); assert os.path.exists(f'/proc/{process}')
        os.close(h.fd); until(lambda: not os.path.exists(f'/proc/{process}'), 'the end of a shell that was hung up'); os.waitpid(h.pid, 0)
        """);

    [TestMethod]
    [TestCategory("root")]
    public void Pipelines_AndTheControllingTerminal_WorkWhateverOf0And1And2IsOne() => Drive(
        """
        t = shell()
        t.do('seq 500 > $FOLDER/lines; $REXEC less < $FOLDER/lines', '23\r\n'); t.send('G'); t.expect('500'); t.send('q'); t.prompt(); t.given_back()
        t.do("$REXEC bash -c 'echo one; read x < /dev/tty; echo got $x' | cat", 'one\r\n'); t.send('typed\r'); t.expect('got typed\r\n'); t.prompt()
        t.do("echo in | $REXEC bash -c 'read y; stty -echo < /dev/tty; printf pass > /dev/tty; read x < /dev/tty; stty echo < /dev/tty; echo got $x $y'", 'pass'); t.send('secret\r'); t.expect('(.*)got secret in\r\nP> ')
        assert b'secret' not in t.seen[:-len('got secret in\r\nP> ')], t.seen
        t.given_back()
        # Who does not read leaves what is typed to the others.
        t.do("echo in | $REXEC bash -c 'echo begun; sleep 0.4' | bash -c 'cat; read x < /dev/tty; echo local $x'", 'begun\r\n'); t.send('words\r'); t.expect('local words\r\nP> ')
        t.do("$REXEC bash -c 'echo out; echo err >&2; test -t 2; echo $?' 2>&1 > $FOLDER/out | cat; cat $FOLDER/out", 'err\r\nout\r\n1\r\nP> ')
        t.do("$REXEC bash -c 'test /dev/tty -ef /dev/tty; tty <&7; echo :$(readlink /proc/self/fd/7)' < /dev/null 7<>/dev/tty", r'(/dev/pts/\d+)\r\n:\1\r\nP> ')
        n = subprocess.run(['setsid', '-w', *REXEC, 'bash', '-c', 'cat < /dev/tty'], env=env, stdin=subprocess.DEVNULL, capture_output=True); assert n.returncode and b'No such device' in n.stderr, n
        """);

    [TestMethod]
    [TestCategory("root")]
    public void Bytes_AreAllThere_AndAFloodEndsAtOnce() => Drive(
        """
        t = shell()
        data = b''.join(b'%05d line of what is pasted\n' % i for i in range(65536 // 28 + 1))
        t.do('$REXEC cat > $FOLDER/pasted', ''); t.taken()
        paste = threading.Thread(target=lambda: [t.send(data[i:i + 997].replace(b'\n', b'\r')) for i in range(0, len(data), 997)]); paste.start()
        t.expect(data[-28:-1] + b'\r\n'); paste.join(); t.send('\x04'); t.prompt()
        assert open(FOLDER + '/pasted', 'rb').read() == data
        open(FOLDER + '/bits.py', 'w').write("import os, tty\ntty.setraw(0)\nos.write(1, b'R!')\nd = b''\nwhile len(d) < 256: d += os.read(0, 300)\nos.write(1, d)\nos.write(1, b'!E')")
        t.do('$REXEC python3 $FOLDER/bits.py', 'R!'); t.send(bytes(range(256))); assert t.expect(b'(.{256})!E').group(1) == bytes(range(256)); t.prompt(); t.given_back()
        t.do('$REXEC yes', 'y\r\n')
        for i in range(50): t.pump(); t.buf = b''
        since = time.monotonic(); t.send('\x03'); t.prompt(); assert time.monotonic() - since < 2; assert len(t.seen) < 1 << 20
        t.given_back(); t.do('echo =$?=', '=130=\r\nP> ')
        t.send('$REXEC head -c 5000000 /dev/zero; echo; echo =$?=\r'); t.expect('=\r\n'); count = 0
        while b'=0=' not in t.buf[-40:]: t.pump(5); count += t.buf.count(b'\0', 0, -40); t.buf = t.buf[-40:]
        assert count + t.buf.count(b'\0') == 5000000
        """);

    [TestMethod]
    [TestCategory("root")]
    public void LinkCut_AgentAndRuntimeKilled_AShellAndItsJobsGoOn() => Drive(
        """
        t = T(*REXEC, 'bash', '--norc', '--noediting', '-i'); t.prompt()
        for fault in 'link', 'agent', 'runtime':
            t.do('cat', ''); act(fault); t.send(fault + '\r'); t.expect(f'{fault}\r\n{fault}\r\n'); t.send('\x1a'); t.expect('Stopped.*P> '); t.do('fg', 'cat\r\n'); t.send('\x04'); t.prompt()
            t.do(f'sleep 0.5; echo $((6*7))', ''); act(fault); t.expect('42\r\nP> ')
            t.resize(40, len(fault)); t.expect(f'40 {len(fault)}\r\n', again='stty size\r'); t.do('echo o\"\"ver', 'over\r\n'); t.prompt()
        t.send('exit 3\r'); assert os.waitstatus_to_exitcode(t.end()) == 3
        # Stopped meanwhile, and killed with nobody there.
        s = shell(); s.do('$REXEC cat', ''); s.taken(); s.send('\x1a'); s.expect('Stopped.*P> '); act('runtime'); act('agent'); s.send('fg\r'); s.taken(); s.send('a\r'); s.expect('a\r\na\r\n'); s.send('\x04'); s.prompt(); s.given_back()
        """);

    [TestMethod]
    [TestCategory("root")]
    public void Terminal_IsTheUsers_AndHasTheModesOfTheDpus()
    {
        using var pair = new ExecPair(programs: s_programs, change: rule =>
        {
            rule["squash"] = "root";
            rule["userMap"] = new System.Text.Json.Nodes.JsonArray(new System.Text.Json.Nodes.JsonObject { ["dpu"] = 1234, ["host"] = 4321 });
            rule["groupMap"] = new System.Text.Json.Nodes.JsonArray(new System.Text.Json.Nodes.JsonObject { ["dpu"] = 1234, ["host"] = 4321 });
        });
        File.SetUnixFileMode(pair.Pair.Folder, (UnixFileMode)0x1ed);
        TerminalDriver.Run(
            pair,
            """
            os.chdir('/')
            t = shell(); t.do('stty erase ^H -ixon susp ^X', 'P> '); t.usual = t.modes()
            t.do("setpriv --reuid 1234 --regid 1234 --clear-groups $REXEC sh -c 'stat -c %u:%a $(tty); stty -a; echo x > $(tty); sleep 100'", r'4321:620\r\n.*susp = \^X.* erase = \^H|erase = \^H.*susp = \^X.*-ixon.*x\r\n')
            t.send('\x18'); t.expect('Stopped.*P> '); t.given_back(); t.send('fg\r'); t.taken(); t.send('\x03'); t.prompt()
            """);
    }

    [TestMethod]
    [TestCategory("root")]
    public void WithoutATerminal_WhatStopsALocalProgramStopsIt()
    {
        using var pair = new ExecPair(programs: s_programs);
        TerminalDriver.Run(
            pair,
            """
            p = subprocess.Popen([*REXEC, 'cat'], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env, process_group=0)
            for number in signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU:
                p.stdin.write(b'x\n'); p.stdin.flush(); assert p.stdout.readline() == b'x\n'
                os.kill(p.pid, number); _, status = os.waitpid(p.pid, os.WUNTRACED); assert os.WIFSTOPPED(status) and os.WSTOPSIG(status) == number, status
                os.kill(p.pid, signal.SIGCONT)
            p.stdin.close(); assert p.wait() == 0
            q = subprocess.Popen([*REXEC, 'python3', '-c', 'import signal; signal.signal(signal.SIGTSTP, lambda *_: print("caught", flush=True)); print("ready", flush=True); signal.pause(); print("end")'], stdout=subprocess.PIPE, env=env, process_group=0)
            assert q.stdout.readline() == b'ready\n'; os.kill(q.pid, signal.SIGTSTP); assert q.stdout.read() == b'caught\nend\n'; assert q.wait() == 0
            """);
    }

    private static void Drive(string program)
    {
        using var pair = new ExecPair(programs: s_programs, cuts: true);
        TerminalDriver.Run(pair, program);
    }
}
