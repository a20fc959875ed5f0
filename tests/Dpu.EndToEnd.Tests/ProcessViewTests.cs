using System.Globalization;
using System.Text.Json.Nodes;

namespace Dpu.EndToEnd.Tests;

/// <summary>
/// A host's /proc of kind "proc" on a DPU whose processes have numbers of their own: each process sees itself and its session
/// under its own numbers, and everything else is the host's.
/// </summary>
[TestClass]
[DoNotParallelize] // It chooses the next process numbers of the machine.
public sealed class ProcessViewTests
{
    private static Pair s_pair = null!;
    private static NamespacedRuntime s_dpu = null!;
    private static RunningProgram s_sleeper = null!;

    private static string Proc => Path.Combine(s_pair.MountRoot, "proc");

    private static string Plain => Path.Combine(s_pair.MountRoot, "plain");

    private static string Sys => Path.Combine(s_pair.MountRoot, "sys");

    /// <summary>A process of the host.</summary>
    private static string Sleeper => s_sleeper.Id.ToString(CultureInfo.InvariantCulture);

    [ClassInitialize]
    public static void Start(TestContext _)
    {
        s_pair = new Pair();
        s_sleeper = RunningProgram.Start("/usr/bin/sleep", ["1234"]);
        JsonObject proc = Pair.Export("proc", "/proc");
        proc["kind"] = "proc";
        s_pair.AgentConfiguration["exports"] = new JsonArray(proc, Pair.Export("sys", "/sys"));
        s_pair.StartAgent();
        JsonObject configuration = s_pair.RuntimeConfiguration();
        JsonObject merged = s_pair.Mount("proc", "proc");
        merged["kind"] = "proc";
        configuration["mounts"]!.AsArray().Add(merged);

        // What the other mounts ask to keep, nothing is kept of.
        JsonObject plain = s_pair.Mount("proc", "plain");
        plain["cache"] = "coherent";
        JsonObject sys = s_pair.Mount("sys", "sys");
        sys["cacheTimeout"] = "1h";
        configuration["mounts"]!.AsArray().Add(plain);
        configuration["mounts"]!.AsArray().Add(sys);
        s_dpu = new NamespacedRuntime(s_pair, configuration);
    }

    [ClassCleanup]
    public static void Stop()
    {
        s_dpu.Dispose();
        s_sleeper.Dispose();
        s_pair.Dispose();
    }

    [TestMethod]
    [TestCategory("root")]
    public void Process_InTheView_SeesItselfAndItsSession_AndElseTheHost()
    {
        string seen = s_dpu.RunInView(Proc, null, """
            exec /usr/bin/python3 - "$1" <<'PY'
            import os, subprocess, sys, threading
            host, own = sys.argv[1], os.getpid()
            def text(path): return open(path).read()
            print('self', os.readlink('/proc/self') == str(own), text('/proc/self/stat').split()[0] == str(own), text('/proc/%d/comm' % own).strip())
            def thread():
                me = threading.get_native_id()
                print('thread', me != own, os.readlink('/proc/thread-self') == '%d/task/%d' % (own, me), text('/proc/thread-self/stat').split()[0] == str(me), sorted(os.listdir('/proc/self/task')) == sorted([str(own), str(me)]))
            t = threading.Thread(target=thread); t.start(); t.join()
            child = subprocess.Popen(['sleep', '4321'])
            while text('/proc/%d/comm' % child.pid) != 'sleep\n': pass
            print('child', text('/proc/%d/cmdline' % child.pid).split('\0')[:2], text('/proc/%d/stat' % child.pid).split()[3] == str(own))
            names = os.listdir('/proc')
            print('listed', [names.count(name) for name in ('self', 'thread-self', str(own), str(child.pid), host, 'sys', 'meminfo', '.local')], len(names) == len(set(names)))
            print('host', text('/proc/%s/cmdline' % host).split('\0')[:2], text('/proc/%s/comm' % host).strip(), os.path.islink('/proc/' + host))
            child.kill(); child.wait()
            print('gone', os.path.exists('/proc/%d/cmdline' % child.pid) and b'4321' in open('/proc/%d/cmdline' % child.pid, 'rb').read())

            # What only the kernel's own procfs can do: links that are more than their text.
            r, w = os.pipe(); os.write(w, b'through'); print('descriptor', os.read(os.open('/proc/self/fd/%d' % r, os.O_RDONLY), 10))
            print('shell', subprocess.check_output(['bash', '-c', 'cat <(echo of a pipe) /dev/stdin <<< of-stdin'], text=True).split('\n'))
            gone = open('/tmp/.dpu-view-%d' % own, 'w+'); gone.write('deleted'); gone.flush(); os.unlink(gone.name)
            print('deleted', text('/proc/self/fd/%d' % gone.fileno()), os.readlink('/proc/self/exe').startswith('/usr/bin/python3'))
            print('namespace', os.fstat(os.open('/proc/self/ns/net', os.O_RDONLY)).st_ino > 0)
            print('mounts', 'fuse.qtfs' in text('/proc/mounts'), text('/proc/mounts') == text('/proc/self/mounts'), os.readlink('/proc/net'), 'lo:' in text('/proc/net/dev'))
            print('own', open('/proc/self/oom_score_adj', 'w').write('7'), text('/proc/self/oom_score_adj'))
            PY
            """, Sleeper);
        Assert.AreEqual(
            """
            self True True python3
            thread True True True True
            child ['sleep', '4321'] True
            listed [1, 1, 1, 1, 1, 1, 1, 0] True
            host ['/usr/bin/sleep', '1234'] sleep False
            gone False
            descriptor b'through'
            shell ['of a pipe', 'of-stdin', '']
            deleted deleted True
            namespace True
            mounts True True self/net True
            own 1 7
            """,
            seen.TrimEnd('\n'));
    }

    [TestMethod]
    [TestCategory("root")]
    public void Number_ThatHostAndSessionBothHave_IsTheSessionsToItAndTheHostsToOthers()
    {
        // The next process there gets the number of the host's.
        const string collide = """
            echo $(($1 - 1)) > /proc/sys/kernel/ns_last_pid
            bash -c 'exec -a own-one sleep 77' &
            [ $! = "$1" ]
            until grep -aq ^own-one /proc/$!/cmdline; do :; done    # not the shell, whose arguments say it too
            tr '\0' ' ' < "$2/$1/cmdline"; echo; ls "$2" | grep -cx "$1"
            setsid --wait bash -c 'tr "\0" " " < "$2/$1/cmdline"; echo; ls "$2" | grep -cx "$1"' sh "$1" "$2"
            kill $!; wait $! || true
            tr '\0' ' ' < "$2/$1/cmdline"; echo
            """;
        string[] seen = s_dpu.Run(collide, Sleeper, Proc).Split('\n');
        CollectionAssert.AreEqual(new[] { "own-one 77 ", "1", "/usr/bin/sleep 1234 ", "1", "/usr/bin/sleep 1234 ", "" }, seen, string.Join('\n', seen));
    }

    [TestMethod]
    [TestCategory("root")]
    public void Programs_OfAView_ShowTheHost()
    {
        // The same programs, in the host's own trees.
        string seen = s_dpu.RunInView(Proc, Sys, "sysctl kernel.osrelease kernel.ostype vm.swappiness; lscpu | grep -Ev 'MHz|BogoMIPS'; lsblk -rno NAME,SIZE,TYPE; cat /proc/cpuinfo | grep -v MHz; cat /proc/filesystems /proc/partitions");
        string expected = Shell.Check("sysctl kernel.osrelease kernel.ostype vm.swappiness; lscpu | grep -Ev 'MHz|BogoMIPS'; lsblk -rno NAME,SIZE,TYPE; cat /proc/cpuinfo | grep -v MHz; cat /proc/filesystems /proc/partitions", "/");
        Assert.AreEqual(expected, seen.TrimEnd('\n'));

        string listed = s_dpu.RunInView(Proc, Sys, "ps -eo pid,args; echo; pgrep -x sleep; free -b | wc -l; uptime -s; sysctl -a 2>/dev/null | wc -l");
        Assert.Contains($"{Sleeper} /usr/bin/sleep 1234", listed);
        Assert.Contains("ps -eo pid,args", listed);
        Assert.IsTrue(listed.Split('\n').Any(line => line == Sleeper), listed);

        // The agent is not shown; nor is the runtime, which is of another session of the DPU.
        string agent = s_pair.Agent.Id.ToString(CultureInfo.InvariantCulture) + " ";
        Assert.IsFalse(listed.Split('\n').Any(line => line.TrimStart().StartsWith(agent, StringComparison.Ordinal)), listed);
    }

    [TestMethod]
    [TestCategory("root")]
    public void PlainMount_OfTheSameExport_HasNoProcessOfTheDpu()
    {
        string seen = s_dpu.Run("cd \"$1\"; ls -d self thread-self .local 2>&1 | grep -c cannot; readlink mounts net; cmp mounts 1/mounts && tr '\\0' ' ' < $2/cmdline; ls | grep -cx -e self -e thread-self || true", Plain, Sleeper);
        Assert.AreEqual("3\n1/mounts\n1/net\n/usr/bin/sleep 1234 0\n", seen);
    }

    [TestMethod]
    [TestCategory("root")]
    public void Change_OfTheHost_IsSeenAtOnce_WhateverAMountAsksToKeep()
    {
        foreach (string mount in new[] { Proc, Plain })
        {
            string seen = s_dpu.Run("""
                for value in 1 2 3 4 5; do
                    echo $value > $1/$2/oom_score_adj; cat $1/$2/oom_score_adj
                done
                """, mount, Sleeper);
            Assert.AreEqual("1\n2\n3\n4\n5\n", seen);
            using RunningProgram reader = s_dpu.Start("f=$1/$2/oom_score_adj; cat $f; echo first; until [ -e $3 ]; do :; done; cat $f", mount, Sleeper, Path.Combine(s_pair.Folder, "changed"));
            reader.WaitForLine(line => line == "first", Pair.Limit);
            File.WriteAllText($"/proc/{Sleeper}/oom_score_adj", "99");
            File.WriteAllText(Path.Combine(s_pair.Folder, "changed"), "");
            Assert.IsTrue(reader.WaitForExit(Pair.Limit), reader.Error);
            Assert.AreEqual("5\nfirst\n99\n", reader.Output);
            File.Delete(Path.Combine(s_pair.Folder, "changed"));
        }

        // A name that comes and goes, through a mount that asks for an hour.
        string group = Path.Combine("/sys/fs/cgroup", Shell.Check("cd /sys/fs/cgroup; for d in . unified; do [ ! -e $d/cgroup.controllers ] || echo $d; done", "/"), "dpu-test-name");
        string there = Sys + group["/sys".Length..];
        for (int again = 0; again < 3; again++)
        {
            Assert.AreEqual("absent\n", s_dpu.Run("[ -e $1 ] || echo absent", there));
            Directory.CreateDirectory(group);
            try
            {
                Assert.AreEqual("populated 0\nfrozen 0\n", s_dpu.Run("cat $1/cgroup.events", there));
            }
            finally
            {
                Directory.Delete(group);
            }
        }
    }

    [TestMethod]
    [TestCategory("root")]
    public void ControlGroup_MadeThroughTheMountOfSys_TakesAProcessOfTheHost()
    {
        string tree = Shell.Check("findmnt -rno TARGET -t cgroup2 | head -1", "/");
        Assert.StartsWith("/sys/", tree, "this machine has no cgroup2 below /sys");
        string below = tree["/sys".Length..];
        string home = File.ReadAllLines($"/proc/{Sleeper}/cgroup").Single(line => line.StartsWith("0::", StringComparison.Ordinal))[3..];
        string seen = s_dpu.RunInView(Proc, Sys, """
            cd "/sys$1"; mkdir dpu-test-view; echo $2 > dpu-test-view/cgroup.procs
            cat dpu-test-view/cgroup.procs; grep -c '^0::.*/dpu-test-view$' /proc/$2/cgroup; grep populated dpu-test-view/cgroup.events
            echo 0 > dpu-test-view/cgroup.procs || echo refused
            rmdir dpu-test-view 2>/dev/null || echo busy
            echo $2 > ".$3/cgroup.procs"; rmdir dpu-test-view; ls -d dpu-test-view 2>/dev/null || echo gone
            """, below, Sleeper, home);
        Assert.AreEqual($"{Sleeper}\n1\npopulated 1\nrefused\nbusy\ngone\n", seen);
    }

    [TestMethod]
    [TestCategory("root")]
    [DataRow("poll")]
    [DataRow("epoll")]
    public void Poll_OfAControlGroupsEvents_WakesWhenItIsFilled(string how)
    {
        string tree = Shell.Check("findmnt -rno TARGET -t cgroup2 | head -1", "/");
        string home = File.ReadAllLines($"/proc/{Sleeper}/cgroup").Single(line => line.StartsWith("0::", StringComparison.Ordinal))[3..];
        string group = Directory.CreateDirectory(Path.Combine(tree, "dpu-test-poll")).FullName;
        try
        {
            using RunningProgram waiter = s_dpu.Start("""
                exec /usr/bin/python3 -u - "$1" "$2" <<'PY'
                import os, select, sys, time
                fd = os.open(sys.argv[1], os.O_RDONLY)
                print(os.read(fd, 100).split()[:2])
                p = select.poll() if sys.argv[2] == 'poll' else select.epoll()
                p.register(fd, select.POLLPRI)
                print('idle', p.poll(300 if sys.argv[2] == 'poll' else 0.3))
                print('waiting')
                print('woken', [bool(e & select.POLLPRI) for f, e in p.poll(20000 if sys.argv[2] == 'poll' else 20)], os.pread(fd, 100, 0).split()[:2])
                print('idle', p.poll(300 if sys.argv[2] == 'poll' else 0.3))
                PY
                """, Sys + group["/sys".Length..] + "/cgroup.events", how);
            waiter.WaitForLine(line => line == "waiting", Pair.Limit);
            File.WriteAllText(Path.Combine(group, "cgroup.procs"), Sleeper);
            Assert.IsTrue(waiter.WaitForExit(Pair.Limit), waiter.Error);
            Assert.AreEqual("[b'populated', b'0']\nidle []\nwaiting\nwoken [True] [b'populated', b'1']\nidle []\n", waiter.Output);
        }
        finally
        {
            File.WriteAllText(tree + home + "/cgroup.procs", Sleeper);
            Directory.Delete(group);
        }
    }

    [TestMethod]
    [TestCategory("root")]
    public void PidNamespace_OfItsOwn_IsSeenWholeByAll()
    {
        // A view as a pid namespace: the numbers of its procfs are its own.
        string folder = Directory.CreateDirectory(Path.Combine(s_pair.Folder, "view-proc")).FullName;
        string target = Directory.CreateDirectory(Path.Combine(s_pair.MountRoot, "view")).FullName;
        using RunningProgram view = s_dpu.Start(
            "exec unshare --pid --fork --kill-child bash -euc 'mount -t proc proc \"$1\"; exec -a init-of-view sleep 55 & echo ready; while [ ! -e \"$2/stop\" ]; do /usr/bin/sleep 0.05; done; kill $!; umount \"$1\"' sh \"$1\" \"$2\"", folder, s_pair.Folder);
        view.WaitForLine(line => line == "ready", Pair.Limit);
        s_dpu.Ctl("mount", "host1:proc", target, "--kind", "proc", "--processes", folder).EnsureSuccess();
        string seen = s_dpu.Run("readlink $1/self $1/1; for p in $1/[0-9]*; do [ ! -L $p ] || tr '\\0' ' ' < $p/cmdline; done | grep -o 'init-of-view 55'; tr '\\0' ' ' < $1/$2/cmdline; ls $1 | grep -cx -e 1 -e self; cat $1/self/comm 2>&1 | grep -c 'No such'", target, Sleeper);
        s_dpu.Ctl("umount", target).EnsureSuccess();
        File.WriteAllText(Path.Combine(s_pair.Folder, "stop"), "");
        Assert.IsTrue(view.WaitForExit(Pair.Limit), view.Error);

        // Whoever is in no such namespace has no self there.
        Assert.AreEqual(".local/self\n.local/1\ninit-of-view 55\n/usr/bin/sleep 1234 2\n1\n", seen);
    }

    [TestMethod]
    [TestCategory("root")]
    public void Unmount_OfAMergedMount_TakesTheProcfsInItAlong_OrLeavesBoth()
    {
        string target = Directory.CreateDirectory(Path.Combine(s_pair.MountRoot, "short")).FullName;
        s_dpu.Ctl("mount", "host1:proc", target, "--kind", "proc").EnsureSuccess();
        Assert.AreEqual("2\n", s_dpu.Run("grep -c \" $1[ /]\" /proc/self/mounts", target));
        using (RunningProgram user = s_dpu.Start("cd $1/sys; echo in; exec sleep 60", target))
        {
            user.WaitForLine(line => line == "in", Pair.Limit);
            ProgramResult busy = s_dpu.Ctl("umount", target);
            Assert.AreNotEqual(0, busy.ExitCode);
            Assert.AreEqual("2\n", s_dpu.Run("grep -c \" $1[ /]\" /proc/self/mounts", target));
            Assert.AreEqual("bash\n", s_dpu.Run("cat $1/self/comm | sed s/cat/bash/", target));
        }

        Eventually.True(() => s_dpu.Ctl("umount", target).ExitCode == 0, Pair.Limit, "the end of the mount");
        Assert.AreEqual("0\n", s_dpu.Run("grep -c \" $1[ /]\" /proc/self/mounts || true", target));
    }

    [TestMethod]
    [TestCategory("root")]
    public void Kind_ThatDoesNotFit_IsRefusedWithWhatToDo()
    {
        string target = Directory.CreateDirectory(Path.Combine(s_pair.MountRoot, "refused")).FullName;
        string sys = s_dpu.Ctl("mount", "host1:sys", target, "--kind", "proc").Error;
        Assert.Contains("not of kind \"proc\"", sys);
        string folder = s_dpu.Ctl("mount", "host1:proc", target, "--kind", "proc", "--processes", s_pair.Folder).Error;
        Assert.Contains("not the top of a procfs", folder);
        string own = s_dpu.Ctl("mount", "host1:proc", "/proc", "--kind", "proc").Error;
        Assert.Contains("cannot be on /proc", own);
        string unused = s_dpu.Ctl("mount", "host1:proc", target, "--processes", "/proc").Error;
        Assert.Contains("kind 'proc' only", unused);
    }
}
