namespace Dpu.EndToEnd.Tests;

/// <summary>
/// Command lines of other people's small programs, each run here and with what follows <c>@</c> run through rexec: what they write, and how they end, is the same.
/// Where it cannot be, the table of differences says what is, and docs/processes.md why.
/// </summary>
[TestClass]
public sealed class ExecCommandTests
{
    private static readonly string[] s_programs =
    [
        .. "env printenv pwd sh bash dash zsh busybox timeout nohup setsid nice stdbuf tty script xargs make parallel sort uniq tail head tee seq cat yes dd test true false id date stat ls sleep tr cksum factor expr printf"
            .Split(' ').Select(name => $"/usr/bin/{name}"),
    ];

    // One a line. What a line's shell says of itself, and numbers of processes, are compared with nothing.
    private const string Lines =
        """
        env -u HOME A=1 B='x y' @env | grep -E '^(A|B|HOME)=' | sort
        @env -i A=1 B='x y' env | sort
        @env -u PATH printenv PATH; echo $?
        @env -C / pwd
        @env false; echo $?
        @env no-such-program; echo $?
        @env --default-signal=PIPE --block-signal=USR1 sh -c 'grep -E "^Sig(Blk|Ign)" /proc/self/status'
        @env --ignore-signal=INT,QUIT sh -c 'grep ^SigIgn /proc/self/status'
        trap '' USR2 HUP; @sh -c 'grep -E "^Sig(Blk|Ign)" /proc/self/status'
        @timeout 0.2 sleep 5; echo $?
        exec @timeout -s KILL 0.2 sleep 5
        @timeout --preserve-status 0.2 sleep 5; echo $?
        @timeout --foreground 0.2 sleep 5; echo $?
        @timeout 5 sh -c 'exit 7'; echo $?
        @timeout 0.2 sh -c 'trap "echo term; exit 3" TERM; sleep 2 & wait'; echo $?
        @timeout -k 0.2 0.2 sh -c 'trap "" TERM; while :; do sleep 0.05; done'; echo $?
        @timeout 5 no-such-program; echo $?
        @nohup sh -c 'kill -HUP $$; echo alive' </dev/null
        @nohup no-such-program </dev/null; echo $?
        @nohup sh -c 'echo out; echo err >&2' </dev/null 2>&1 | sort
        @setsid -w sh -c 'exit 5'; echo $?
        @nice
        @nice -n 5 nice
        nice -n 3 @nice -n 4 nice
        nice -n 3 @sh -c 'cut -d" " -f19 /proc/self/stat'
        @stdbuf -oL sh -c 'echo a; echo b'
        printf 'b\na\n' | @stdbuf -o0 sort
        @tty </dev/null; echo $?
        echo | @tty; echo $?
        @tty -s < /dev/null; echo $?
        @script -qec 'exit 4' /dev/null </dev/null; echo $?
        @script -qec 'stty size; test -t 0 && test -t 1 && echo terminal' /dev/null </dev/null | tr -d '\r'
        @script -qec 'kill -TERM $$' /dev/null </dev/null >/dev/null; echo $?
        seq 20 | @xargs -P 4 -n 3 echo | tr ' ' '\n' | sort -n
        seq 3 | @xargs -I N sh -c 'exit N'; echo $?
        printf 'a b\0c\0' | @xargs -0 -n 1 echo
        @xargs echo </dev/null
        echo x | @xargs no-such-program; echo $?
        echo 1 | @xargs sh -c 'exit 255'; echo $?
        echo 1 | @xargs sh -c 'kill -KILL $$'; echo $?
        seq 100 | @xargs -P 8 -n 1 sh -c 'exit 0'; echo $?
        printf 'all: a b c\na b c:\n\t@@echo made $@@\n' | @make -s -j 4 -f - | sort
        printf 'all:\n\t@@exit 3\n' | @make -f -; echo $?
        printf 'all:\n\t@@kill -TERM $$$$\n' | @make -f -; echo $?
        seq 4 | @parallel --will-cite -k -j 4 echo item
        seq 3 | @parallel --will-cite -k 'exit {}'; echo $?
        @yes | head -n 2
        @seq 100000 | @tail -n 1
        head -c 300000 /dev/zero | @tee /dev/null | @cksum
        @dd if=/dev/zero bs=1000 count=7 status=none | wc -c
        @cat <<< 'from a here-document'
        printf 'b\na\nb\n' | @sort | @uniq -c
        @sh -c 'echo a; echo b >&2; echo c' 2>&1
        @sh -c 'echo a; echo b >&2' 2>&1 >/dev/null
        echo three | @sh -c 'cat <&3' 3<&0 </dev/null
        exec 7</dev/null; @ls /proc/self/fd | paste -sd' '
        ulimit -n 77; @sh -c 'ulimit -n; ulimit -Hn'
        ulimit -c 0; exec @sh -c 'kill -SEGV $$'
        ulimit -c 0; exec @sh -c 'kill -ABRT $$'
        exec @sh -c 'kill -34 $$'
        exec @sh -c 'kill -KILL $$'
        exec env --default-signal=PIPE @sh -c 'kill -PIPE $$'
        umask 027; @sh -c umask
        cd /usr/lib; @pwd
        @test -t 0 </dev/null; echo $?
        echo | @test -p /dev/stdin; echo $?
        @stat -L -c '%F %t:%T' /dev/fd/0 </dev/null
        @id -u; @id -G
        @date -u -d 1970-01-01
        @expr 6 '*' 7; @factor 1234567; @printf '%s|' a 'b c' ''; @true; echo $?; @false; echo $?
        @sleep 0; echo $?
        """;

    // For each shell, in place of SHELL.
    private const string ShellLines =
        """
        @SHELL -c 'exit 3'; echo $?
        exec @SHELL -c 'kill -TERM $$'
        exec @SHELL -c 'kill -INT $$'
        @SHELL -c 'trap "echo got" USR1; kill -USR1 $$; echo done'
        @SHELL -c 'trap "echo bye" EXIT; exit 9'; echo $?
        @SHELL -c 'trap "echo int; exit 4" INT; kill -INT $$; echo after'; echo $?
        @SHELL -c '(exit 3); echo $?; (kill -9 $(exec sh -c "echo \$PPID")); echo $?' 2>/dev/null
        @SHELL -c 'sleep 0.05 & wait $!; echo $?; false & wait $!; echo $?'
        @SHELL -c 'sleep 5 & kill -TERM $!; wait $!; echo $?' 2>/dev/null
        @SHELL -c 'trap "" INT; kill -INT $$; echo survived'
        @SHELL -c 'trap "" TERM; sh -c "kill -TERM \$\$; echo inherited"'
        @SHELL -c 'echo a | cat | tr a b; echo x >&2' 2>&1
        @SHELL -c 'set -e; false; echo no'; echo $?
        @SHELL -c 'false | true; echo $?; ! true; echo $?'
        @SHELL -c 'read a; echo got:$a' <<< hello
        @SHELL -c 'cat; exec 3>&1; echo three >&3' <<< x
        @SHELL -c 'no_such_command_' 2>/dev/null; echo $?
        @SHELL -c '/etc' 2>/dev/null; echo $?
        echo 'echo from stdin; exit 4' | @SHELL; echo $?
        @SHELL -c 'exec sh -c "exit 6"'; echo $?
        @SHELL -c 'echo $# $1 "$2"' zero one 'two  words'
        @SHELL -c 'x=$(seq 5000 | tail -n 1); echo $x'
        """;

    // What differs, and the parts of each: here, through rexec.
    private const string Differences =
        """
        @setsid sh -c 'exit 5'; echo $?	5	0
        @setsid -w sh -c 'kill -TERM $$' 2> /dev/null; echo $?	143	15
        @sh -c 'echo lost >&1' >&- 2> /dev/null; echo $?	1	0
        @cat <&- 2> /dev/null; echo $?	1	0
        @test -f /dev/stdin < /etc/passwd; echo $?	0	1
        """;

    private const string Program =
        """
        import os, re, subprocess, sys
        from concurrent.futures import ThreadPoolExecutor
        rexec = os.environ['REXEC']
        def run(line, prefix):
            text = line.replace('@@', '\0').replace('@', prefix).replace('\0', '@')
            done = subprocess.run(['bash', '-c', text], stdin=subprocess.DEVNULL, capture_output=True, timeout=60, cwd='/', env={**os.environ, 'LC_ALL': 'C.UTF-8'})
            # bash names itself, a number and the command where a signal ended that.
            error = re.sub(rb'bash: line \d+:.*\n', b'', done.stderr)
            return done.returncode, done.stdout, re.sub(rb'\b\d{3,}\b|/tmp/\w+', b'N', error)
        bad = 0
        def both(line): return line, run(line, ''), run(line, rexec + ' ')
        plain, shells, differences = (part.strip('\n').split('\n') for part in open(sys.argv[1]).read().split('\f'))
        lines = plain + [line.replace('SHELL', shell) for shell in ('bash', 'dash', 'zsh -f', 'busybox sh') for line in shells]
        with ThreadPoolExecutor(4) as pool:
            for line, here, there in pool.map(both, lines):
                if here != there:
                    bad += 1; print(f'{line}\n  here    {here}\n  through {there}')
            for line, here, there in pool.map(lambda row: (row.split('\t'), *both(row.split('\t')[0])[1:]), differences):
                if (here[1].decode().strip(), there[1].decode().strip()) != (line[1], line[2]):
                    bad += 1; print(f'{line[0]} is known to differ as {line[1:]}, and is {here} and {there}')
        print(f'{len(lines)} lines, {bad} differ otherwise than is known')
        sys.exit(bad != 0)
        """;

    [TestMethod]
    [TestCategory("interop")]
    public void CommandLines_ThroughRexec_SayAndEndAsHere()
    {
        using var pair = new ExecPair(programs: s_programs);
        string file = Path.Combine(pair.Pair.Folder, "lines");
        File.WriteAllText(file, string.Join('\f', Lines, ShellLines, Differences));
        ProgramResult result = ExternalProgram.Run("/usr/bin/python3", ["-c", Program, file], TimeSpan.FromMinutes(5), environment: pair.Environment);
        Assert.AreEqual(0, result.ExitCode, result.Output + result.Error);
    }
}
