using System.Globalization;
using Dpu.Fuse.Tests.Support;
using Dpu.Fuse.Wire;
using Dpu.Linux;

namespace Dpu.Fuse.Tests.Passthrough;

/// <summary>Files behind which the kernel is: the same program must see through a mount what it sees in the tree itself.</summary>
[TestClass]
public sealed class SpecialTreeTests
{
    // Prints a line a file: its attributes, and what reading it whole gave, or the errno. A file that two reads of the tree
    // itself show differently says nothing, and is left out at both.
    private const string ReadAll = """
        import errno, hashlib, os, stat, sys
        tree, mount = sys.argv[1], sys.argv[2]
        # They count what the host has open and caches: a read through the mount is one more.
        READ_CHANGES = ['/proc/sys/fs/' + name for name in ('file-nr', 'inode-nr', 'inode-state', 'dentry-state')]
        READ_CHANGES.append('/sys/class/zram-control/hot_add')  # makes a device
        def content(path):
            try:
                fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
                try:
                    data = b''
                    while len(data) < 1 << 20:
                        piece = os.read(fd, 1 << 16)
                        if not piece: break
                        data += piece
                    return hashlib.md5(data).hexdigest() + ' ' + str(len(data))
                finally: os.close(fd)
            except OSError as e: return errno.errorcode[e.errno]
        def look(path):
            s = os.lstat(path)
            line = '%o %d %d %d' % (s.st_mode, s.st_uid, s.st_gid, s.st_size if not stat.S_ISDIR(s.st_mode) else 0)
            if stat.S_ISLNK(s.st_mode): return line + ' -> ' + os.readlink(path)
            if stat.S_ISREG(s.st_mode) and s.st_mode & 0o444: return line + ' ' + content(path)
            return line
        same = different = changing = 0
        for folder, folders, names in os.walk(tree):
            folders[:] = [f for f in folders if f not in ('debug', 'tracing', 'cgroup')]
            for name in folders + names:
                path = os.path.join(folder, name)
                there = mount + path[len(tree):]
                if path in READ_CHANGES: continue
                hosts = set()
                for again in range(20):
                    try: first = look(path); seen = look(there); second = look(path)
                    except FileNotFoundError: first = None
                    if first is None or first == second == seen: break
                    hosts |= {first, second}
                if first is None: continue
                if seen == first == second: same += 1
                elif len(hosts) > 1: changing += 1
                else:
                    different += 1
                    print(path, 'host:', first, 'mount:', seen)
        print(same, different, changing)
        """;

    [TestMethod]
    [TestCategory("root")]
    [DataRow("/proc/sys", 500)]
    [DataRow("/sys/kernel", 100)]
    [DataRow("/sys/devices/system", 200)]
    [DataRow("/sys/class", 20)]
    [Timeout(120_000, CooperativeCancellation = true)]
    public void EveryReadableFile_ThroughAMount_SaysWhatItSaysOnTheHost(string tree, int least)
    {
        string[] lines = Mounted(tree, target => Shell.Run("python3", "-c", ReadAll, tree, target)).TrimEnd().Split('\n');
        string[] counts = lines[^1].Split(' ');
        Assert.AreEqual("0", counts[1], string.Join('\n', lines.Take(20)));
        Assert.IsGreaterThanOrEqualTo(least, int.Parse(counts[0], CultureInfo.InvariantCulture), lines[^1]);
    }

    [TestMethod]
    [TestCategory("root")]
    [Timeout(60_000, CooperativeCancellation = true)]
    public void ReadsAtAnyPlace_ThroughAMount_AreThoseOfTheHost()
    {
        // SEEK_END is left out: docs/special-trees.md.
        const string program = """
            import errno, os, sys
            def attempt(f):
                try: return f()
                except OSError as e: return errno.errorcode[e.errno]
            for name in sys.argv[2:]:
                fd = os.open(os.path.join(sys.argv[1], name), os.O_RDONLY)
                print(name, [attempt(lambda: os.pread(fd, n, at)) for at in (0, 1, 3, 7, 100, 4095, 4096, 1 << 20) for n in (1, 3, 100)])
                print([attempt(lambda: os.read(fd, n)) for n in (1, 2, 3, 5, 1000, 1000)])
                print([attempt(lambda: (os.lseek(fd, at, how), os.read(fd, 4))) for at, how in ((0, 0), (2, 0), (1, 1), (-2, 1), (-1, 0), (1 << 30, 0))])
                print(attempt(lambda: os.lseek(fd, 0, os.SEEK_DATA)), attempt(lambda: os.write(fd, b'x')))
                os.close(fd)
            """;
        using var other = new Sleeper();
        foreach ((string tree, string[] names) in ((string, string[])[])
            [("/proc", ["version", "filesystems", "partitions", "sys/kernel/ostype", "sys/kernel/pid_max", other.Number + "/comm", other.Number + "/limits", other.Number + "/cmdline", other.Number + "/environ", "cmdline"]),
             ("/sys", ["kernel/fscaps", "kernel/notes", "devices/system/cpu/online", "class/net/lo/mtu", "class/net/lo/address"])])
        {
            string there = Mounted(tree, target => Shell.Run("python3", ["-c", program, target, .. names]));
            Assert.AreEqual(Shell.Run("python3", ["-c", program, tree, .. names]), there);
        }
    }

    [TestMethod]
    [TestCategory("root")]
    [Timeout(60_000, CooperativeCancellation = true)]
    public void Writes_ThroughAMount_AreOneCommandEach_WithTheHostsErrno()
    {
        // Where it can be said as if nothing had happened: what was there is written again.
        const string program = """
            import errno, os, sys
            def attempt(f):
                try: return f()
                except OSError as e: return errno.errorcode[e.errno]
            def put(name, text, flags=os.O_WRONLY, at=None):
                def run():
                    fd = os.open(os.path.join(sys.argv[1], name), flags)
                    try: return os.write(fd, text) if at is None else os.pwrite(fd, text, at)
                    finally: os.close(fd)
                print(name, text, flags, at, attempt(run))
            def get(name): return open(os.path.join(sys.argv[1], name), 'rb').read()
            swappiness = get('sys/vm/swappiness')
            for flags in (os.O_WRONLY, os.O_RDWR, os.O_WRONLY | os.O_TRUNC, os.O_WRONLY | os.O_APPEND, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, os.O_WRONLY | os.O_SYNC):
                put('sys/vm/swappiness', swappiness, flags)
            put('sys/vm/swappiness', b'30000\n'); put('sys/vm/swappiness', b'word\n'); put('sys/vm/swappiness', swappiness, at=1)
            put('sys/kernel/ostype', b'x'); put('version', b'x'); put('sys/kernel/absent', b'x'); put('sys/kernel/absent', b'x', os.O_WRONLY | os.O_CREAT)
            put(sys.argv[2] + '/oom_score_adj', b'321\n'); put(sys.argv[2] + '/oom_score_adj', b'3000\n'); put(sys.argv[2] + '/comm', b'renamed', os.O_WRONLY | os.O_APPEND)
            print(get(sys.argv[2] + '/oom_score_adj'), get(sys.argv[2] + '/comm'), get('sys/vm/swappiness') == swappiness)
            print(attempt(lambda: os.mkdir(os.path.join(sys.argv[1], 'new'))), attempt(lambda: os.unlink(os.path.join(sys.argv[1], 'version'))), attempt(lambda: os.rename(os.path.join(sys.argv[1], 'version'), os.path.join(sys.argv[1], 'uptime'))))
            print(attempt(lambda: os.truncate(os.path.join(sys.argv[1], 'sys/vm/swappiness'), 0)), attempt(lambda: os.chmod(os.path.join(sys.argv[1], 'version'), 0o600)), attempt(lambda: os.setxattr(os.path.join(sys.argv[1], 'version'), 'user.x', b'1')))
            """;
        using var other = new Sleeper();
        string there = Mounted("/proc", target => Shell.Run("python3", "-c", program, target, other.Number));
        Assert.Contains("321", File.ReadAllText($"/proc/{other.Number}/oom_score_adj"));
        Assert.AreEqual(Shell.Run("python3", "-c", program, "/proc", other.Number), there);
    }

    [TestMethod]
    [TestCategory("root")]
    [Timeout(60_000, CooperativeCancellation = true)]
    public void StreamOfTheHost_ThroughAMount_CannotBeSought_AndIsReadInOrder()
    {
        const string program = """
            import errno, os, sys
            def attempt(f):
                try: return f()
                except OSError as e: return errno.errorcode[e.errno]
            marker = os.open(os.path.join(sys.argv[1], 'trace_marker'), os.O_WRONLY)
            pipe = os.open(os.path.join(sys.argv[1], 'trace_pipe'), os.O_RDONLY | os.O_NONBLOCK)
            print(attempt(lambda: os.lseek(pipe, 0, 0)), attempt(lambda: os.pread(pipe, 1, 0)), attempt(lambda: os.read(pipe, 100)))
            print(os.write(marker, b'first\n'), os.write(marker, b'second\n'))
            data = b''
            while True:
                piece = attempt(lambda: os.read(pipe, 4096))
                if piece == 'EAGAIN': break
                data += piece
            print([line.split()[-1] for line in data.split(b'\n') if b'tracing_mark_write' in line])
            """;
        string tree = Directory.CreateTempSubdirectory("dpu-trace-").FullName;
        Shell.Run("mount", "-t", "tracefs", "none", tree);

        // With buffers of its own: somebody may be tracing this machine.
        string instance = Directory.CreateDirectory(Path.Combine(tree, "instances", $"dpu-test-{Environment.ProcessId}")).FullName;
        try
        {
            Assert.AreEqual(Shell.Run("python3", "-c", program, instance), Mounted(instance, target => Shell.Run("python3", "-c", program, target)));
        }
        finally
        {
            Directory.Delete(instance);
            Shell.Run("umount", tree);
            Directory.Delete(tree);
        }
    }

    [TestMethod]
    [TestCategory("root")]
    public void Poll_OfAnOrdinaryExport_IsLeftToThePeersKernel()
    {
        using var ordinary = new PeerExport();
        using var special = new PeerExport(o => o with { Root = "/proc" });
        Assert.AreEqual(-errno.ENOSYS, ordinary.Call((PassthroughFileSystem files, in FuseCaller caller) => files.Poll(caller, 1, default, out _)));
        Assert.AreEqual(-errno.EBADF, special.Call((PassthroughFileSystem files, in FuseCaller caller) => files.Poll(caller, 1, default, out _)));
        ulong node = special.Lookup("1/mounts").nodeid;
        Assert.AreEqual(0, special.Open(node, fcntl.O_RDONLY, out ulong handle));
        uint events = 0;
        Assert.AreEqual(0, special.Call((PassthroughFileSystem files, in FuseCaller caller) => files.Poll(caller, node, new fuse_poll_in { fh = handle, events = 3 }, out events)));
        Assert.AreEqual((uint)poll.POLLIN, events & 1);
    }

    [TestMethod]
    [TestCategory("root")]
    public void Daemon_ItsThreadsAndItself_AreNotShown()
    {
        using var export = new PeerExport(o => o with { Root = "/proc" });
        string own = Environment.ProcessId.ToString(CultureInfo.InvariantCulture);
        string thread = LibC.gettid().ToString(CultureInfo.InvariantCulture);
        foreach (string name in new[] { own, thread, "self", "thread-self" })
        {
            Assert.AreEqual(-errno.ENOENT, export.TryLookup(PeerExport.RootId, name, out _), name);
        }

        using var other = new Sleeper();
        string[] listed = [.. export.List(PeerExport.RootId, plus: true).Select(line => line.Name)];
        Assert.IsFalse(listed.Any(name => name == own || name == "self" || name == "thread-self"));
        Assert.Contains(other.Number, listed);
        CollectionAssert.AreEqual(listed, export.List(PeerExport.RootId).Select(line => line.Name).ToArray());

        // What a reader would find its own by is the first process's.
        Assert.AreEqual(0, export.ReadLink(export.Lookup("mounts").nodeid, out string mounts));
        Assert.AreEqual(0, export.ReadLink(export.Lookup("net").nodeid, out string net));
        Assert.AreEqual("1/mounts 1/net", $"{mounts} {net}");
        Assert.AreEqual(0, export.ReadLink(export.Lookup(other.Number + "/exe").nodeid, out string program));
        Assert.AreEqual(File.ResolveLinkTarget($"/proc/{other.Number}/exe", returnFinalTarget: false)!.FullName, program);
    }

    [TestMethod]
    [TestCategory("root")]
    public void Daemon_InATreeBelowTheExport_IsNotShownEither()
    {
        using var export = new PeerExport(o => o with { Root = "/" });
        ulong proc = export.Lookup("proc").nodeid;
        Assert.AreEqual(-errno.ENOENT, export.TryLookup(proc, "self", out _));
        Assert.AreEqual(-errno.ENOENT, export.TryLookup(proc, Environment.ProcessId.ToString(CultureInfo.InvariantCulture), out _));
    }

    // What modes say is checked by the peer's kernel too; a hostile one does not, so that the host must.
    [TestMethod]
    [TestCategory("root")]
    [DataRow("none", 1000u, -errno.EACCES)]
    [DataRow("none", 0u, 0)]
    [DataRow("root", 0u, -errno.EACCES)]
    [DataRow("root", 1000u, -errno.EACCES)]
    [DataRow("all", 0u, -errno.EACCES)]
    [DataRow("map", 1000u, -errno.EACCES)]
    public void Sysctl_OfRoot_IsOpenedForWritingByRootOnly(string squash, uint uid, int expected)
    {
        IdentityPolicy policy = squash == "map"
            ? new IdentityPolicy { Users = new IdMap([new IdMapRange(1000, 2000, 1)]), Groups = new IdMap([new IdMapRange(1000, 2000, 1)]) }
            : new IdentityPolicy { Squash = squash switch { "none" => Squash.None, "all" => Squash.All, _ => Squash.Root } };
        using var export = new PeerExport(o => o with { Root = "/proc", Identity = policy }) { Uid = uid, Gid = uid };
        foreach (string name in new[] { "sys/kernel/pid_max", "sys/net/ipv4/ip_forward", "sys/vm/drop_caches" })
        {
            Assert.AreEqual(expected, export.Open(export.Lookup(name).nodeid, fcntl.O_WRONLY, out _), name);
        }

        // The mode lets everybody read these; what they tell depends on who asks.
        using var other = new Sleeper();
        int own = expected == 0 ? 0 : -errno.EACCES;
        Assert.AreEqual(own, export.Open(export.Lookup(other.Number + "/maps").nodeid, fcntl.O_RDONLY, out _));
        Assert.AreEqual(own, export.ReadLink(export.Lookup(other.Number + "/cwd").nodeid, out _));
        Assert.AreEqual(own, export.Open(export.Lookup(other.Number + "/environ").nodeid, fcntl.O_RDONLY, out _));
        Assert.AreEqual(own, export.OpenDir(export.Lookup(other.Number + "/fd").nodeid, out _));
    }

    [TestMethod]
    [TestCategory("root")]
    public void LocalUser_ComparedWithTheSameUserThroughATrustingMount_MayTheSame()
    {
        const string program = """
            import errno, os, sys
            def attempt(name, f):
                try: f(); print(name, 'OK')
                except OSError as e: print(name, errno.errorcode[e.errno])
            def read(name): return open(name, 'rb').read()
            os.chdir(sys.argv[1])
            for name in ('sys/kernel/pid_max', 'sys/vm/drop_caches', sys.argv[2] + '/oom_score_adj', sys.argv[2] + '/comm', 'sysrq-trigger', 'kmsg', sys.argv[2] + '/clear_refs'):
                attempt('write ' + name, lambda: os.open(name, os.O_WRONLY))
            for name in ('maps', 'environ', 'stat', 'status', 'io', 'auxv', 'stack', 'mountinfo', 'wchan'):
                attempt('read ' + name, lambda: read(sys.argv[2] + '/' + name))
            for name in ('exe', 'cwd', 'root', 'fd', 'fd/0', 'ns/net'):
                attempt('link ' + name, lambda: os.readlink(sys.argv[2] + '/' + name))
            attempt('list fd', lambda: os.listdir(sys.argv[2] + '/fd')); attempt('list ns', lambda: os.listdir(sys.argv[2] + '/ns'))
            print([line.split()[25:28] for line in open(sys.argv[2] + '/stat')], open('kallsyms').readline().split()[0])
            """;
        using var other = new Sleeper();
        string Run(string where) => Shell.Run("setpriv", "--reuid=1234", "--regid=1234", "--clear-groups", "/usr/bin/python3", "-c", program, where, other.Number);
        Assert.AreEqual(Run("/proc"), Mounted("/proc", Run, below: "/tmp"));
    }

    [TestMethod]
    [TestCategory("root")]
    [DataRow("cgroup2", "", "cgroup.procs", "populated")]
    [DataRow("cgroup", "none,name=dpu-test", "tasks", "")]
    [Timeout(60_000, CooperativeCancellation = true)]
    public void ControlGroups_MadeFilledAndRemovedThroughAMount_AreTheHosts(string type, string options, string list, string events)
    {
        using var other = new Sleeper();
        string home = File.ReadAllLines($"/proc/{other.Number}/cgroup").Single(line => line.StartsWith("0::", StringComparison.Ordinal))[3..];
        string tree = Directory.CreateTempSubdirectory("dpu-cgroup-").FullName;
        Shell.Run("mount", ["-t", type, .. options.Length == 0 ? Array.Empty<string>() : ["-o", options], "none", tree]);
        string name = $"dpu-test-{Environment.ProcessId}";
        try
        {
            Mounted(tree, target =>
            {
                string group = Path.Combine(target, name);
                Directory.CreateDirectory(group);
                try
                {
                    string procs = Path.Combine(group, "cgroup.procs");
                    File.WriteAllText(procs, other.Number + "\n");
                    Assert.AreEqual(other.Number + "\n", File.ReadAllText(Path.Combine(tree, name, list)));
                    Assert.AreEqual(other.Number + "\n", File.ReadAllText(procs));
                    Assert.IsTrue(File.ReadAllLines($"/proc/{other.Number}/cgroup").Any(line => line.EndsWith("/" + name, StringComparison.Ordinal)));
                    if (events.Length > 0)
                    {
                        Assert.Contains(events + " 1", File.ReadAllText(Path.Combine(group, "cgroup.events")));
                    }

                    // A group with a process in it cannot go, and its files never do one by one.
                    Assert.Contains("busy", Refused(() => Directory.Delete(group)));
                    Refused(() => File.Delete(procs));

                    // "0" is the writer, which would be the daemon.
                    foreach (string zero in new[] { "0", " 0\n", "00", "0x0", "-0" })
                    {
                        Assert.Contains("process", Refused(() => File.WriteAllText(procs, zero)), zero);
                    }

                    Assert.IsFalse(File.ReadAllLines("/proc/self/cgroup").Any(line => line.EndsWith("/" + name, StringComparison.Ordinal)));
                    Refused(() => File.WriteAllText(procs, "4194304\n"));
                    File.WriteAllText(Path.Combine(target, "cgroup.procs"), other.Number);
                    Assert.AreEqual("", File.ReadAllText(procs));
                    if (events.Length > 0)
                    {
                        // A 0 that means none.
                        File.WriteAllText(Path.Combine(group, "cgroup.max.descendants"), "0");
                        Assert.AreEqual("0\n", File.ReadAllText(Path.Combine(tree, name, "cgroup.max.descendants")));
                    }
                }
                finally
                {
                    File.WriteAllText(Path.Combine(tree, "cgroup.procs"), other.Number);
                    Directory.Delete(group);
                }

                Assert.IsFalse(Directory.Exists(Path.Combine(tree, name)));
                Assert.IsFalse(Directory.Exists(group));
                return "";
            });
        }
        finally
        {
            if (type == "cgroup2")
            {
                File.WriteAllText(Path.Combine(tree + home, "cgroup.procs"), other.Number);
            }

            Shell.Run("umount", tree);
            Directory.Delete(tree);
        }
    }

    [TestMethod]
    [TestCategory("root")]
    [Timeout(120_000, CooperativeCancellation = true)]
    public void WalkOverProcesses_BeyondTheDescriptors_FindsAll_AndKeepsNothing()
    {
        // procfs has no handles by which a node could be opened again, and a peer's kernel keeps thousands of its nodes.
        var window = new DescriptorWindow(64);
        using var export = new PeerExport(o => o with { Root = "/proc", EntryTimeout = TimeSpan.FromHours(1), AttributeTimeout = TimeSpan.FromHours(1), DescriptorWindow = window });
        string target = Directory.CreateTempSubdirectory("dpu-special-").FullName;
        MountedTests.WithMount(export, target, () =>
        {
            using var other = new Sleeper();
            string walk = $"cd \"$1/{other.Number}\"; for again in 1 2 3; do find . -path ./task -prune -o -type f -readable -printf '%p %m\\n' | sort; find net/ task ns fd -maxdepth 1 | sort | head -200; grep . status limits | grep -v ctxt; done; find /$1/sys -type f | wc -l";
            Assert.AreEqual(Shell.Run("bash", "-c", walk, "sh", "/proc"), Shell.Run("bash", "-c", walk, "sh", target));
            Assert.IsGreaterThan(256, export.FileSystem.OpenNodes);
            Assert.IsLessThanOrEqualTo(80, window.Used);
            Assert.IsGreaterThan(20, window.Reopened);

            Assert.AreEqual(File.ReadAllText($"/proc/{other.Number}/oom_score_adj"), File.ReadAllText($"{target}/{other.Number}/oom_score_adj"));
            File.WriteAllText($"/proc/{other.Number}/oom_score_adj", "77");
            Assert.AreEqual("77\n", File.ReadAllText($"{target}/{other.Number}/oom_score_adj"));
            other.Dispose();
            Assert.IsFalse(Path.Exists($"{target}/{other.Number}"));
            return "";
        });
        Directory.Delete(target);
    }

    [TestMethod]
    [TestCategory("unit")]
    [DataRow("0", true)]
    [DataRow("0\n", true)]
    [DataRow(" +0x00\t", true)]
    [DataRow("", false)]
    [DataRow("\n", false)]
    [DataRow("10", false)]
    [DataRow("max", false)]
    public unsafe void IsZero_Text_AsTheKernelReadsIt(string text, bool expected)
    {
        byte[] bytes = PeerExport.Bytes(text);
        fixed (byte* start = bytes)
        {
            // In two pieces, as a writev(2) may give them.
            int half = bytes.Length / 2;
            iovec* pieces = stackalloc iovec[] { new iovec { iov_base = start, iov_len = (nuint)half }, new iovec { iov_base = start + half, iov_len = (nuint)(bytes.Length - half) } };
            Assert.AreEqual(expected, GroupWrites.IsZero(pieces, 2));
        }
    }

    [TestMethod]
    [TestCategory("unit")]
    public void Redirect_OfALink_ChangesTheReadersOwnOnly()
    {
        foreach ((string said, string expected) in ((string, string)[])[("self/mounts", "1/mounts"), ("self/net", "1/net"), ("self", "self"), ("/self/net", "/self/net"), ("selfish/x", "selfish/x"), ("self/", "1/")])
        {
            byte[] text = PeerExport.Bytes(said);
            Assert.AreEqual(expected, System.Text.Encoding.UTF8.GetString(text.AsSpan(0, ProcNames.Redirect(text, text.Length))));
        }
    }

    private static string Refused(Action action)
    {
        try
        {
            action();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return e.Message;
        }

        throw new AssertFailedException("it was not refused");
    }

    private static string Mounted(string tree, Func<string, string> work, string? below = null)
    {
        using var export = new PeerExport(o => o with { Root = tree });
        string target = Directory.CreateTempSubdirectory("dpu-special-").FullName;
        if (below is not null)
        {
            PeerExport.Mode(target, 0x1ed);
        }

        try
        {
            return MountedTests.WithMount(export, target, () => work(target));
        }
        finally
        {
            Directory.Delete(target);
        }
    }

    /// <summary>A process of root's that does nothing.</summary>
    private sealed class Sleeper : IDisposable
    {
        private readonly System.Diagnostics.Process _process = System.Diagnostics.Process.Start("sleep", "600");

        public Sleeper() => Number = _process.Id.ToString(CultureInfo.InvariantCulture);

        public string Number { get; }

        public void Dispose()
        {
            _process.Kill();
            _process.WaitForExit();
        }
    }
}
