using System.Text.Json.Nodes;

namespace Dpu.EndToEnd.Tests;

/// <summary>What the host's configuration grants, seen through real mounts: access, identities, device nodes, setuid.</summary>
[TestClass]
public sealed class PolicyTests
{
    [TestMethod]
    [TestCategory("root")]
    public void ReadOnlyExport_EveryModification_IsRefusedWithErofs()
    {
        using var pair = new Pair();
        pair.AgentConfiguration["exports"] = new JsonArray(Pair.Export("data", pair.ExportRoot, access: "read-only"));
        Shell.Check("echo content > f; mkdir d; ln -s f l; mkfifo p; setfattr -n user.x -v 1 f", pair.ExportRoot);
        string before = Shell.Check("find . -printf '%p %y %m %u %s %T@ %C@ %n\\n' | sort; cat f; getfattr -d f", pair.ExportRoot);
        string mount = pair.Up();

        string[] lines = Shell.Python(
            """
            fd = os.open('f', os.O_RDONLY)
            attempt('create', lambda: os.open('new', os.O_CREAT | os.O_WRONLY))
            attempt('tmpfile', lambda: os.open('.', os.O_TMPFILE | os.O_WRONLY, 0o600))
            attempt('open-write', lambda: os.open('f', os.O_WRONLY))
            attempt('open-append', lambda: os.open('f', os.O_WRONLY | os.O_APPEND))
            attempt('open-truncate', lambda: os.open('f', os.O_WRONLY | os.O_TRUNC))
            attempt('truncate', lambda: os.truncate('f', 0))
            attempt('mkdir', lambda: os.mkdir('new'))
            attempt('mknod', lambda: os.mknod('new', stat.S_IFREG | 0o600))
            attempt('mkfifo', lambda: os.mkfifo('new'))
            attempt('mksocket', lambda: socket.socket(socket.AF_UNIX).bind('new'))
            attempt('symlink', lambda: os.symlink('x', 'new'))
            attempt('link', lambda: os.link('f', 'new'))
            attempt('unlink', lambda: os.unlink('f'))
            attempt('rmdir', lambda: os.rmdir('d'))
            attempt('rename', lambda: os.rename('f', 'new'))
            attempt('chmod', lambda: os.chmod('f', 0o777))
            attempt('fchmod', lambda: os.fchmod(fd, 0o777))
            attempt('chown', lambda: os.chown('f', 1, 1))
            attempt('lchown', lambda: os.chown('l', 1, 1, follow_symlinks=False))
            attempt('utimes', lambda: os.utime('f', (1, 1)))
            attempt('setxattr', lambda: os.setxattr('f', 'user.x', b'2'))
            attempt('removexattr', lambda: os.removexattr('f', 'user.x'))
            say('read', os.read(fd, 100) == b'content\n' and sorted(os.listdir('.')) == ['d', 'f', 'l', 'p'])
            """,
            mount);

        Assert.HasCount(23, lines);
        Assert.AreEqual("read True", lines[^1]);
        foreach (string line in lines[..^1])
        {
            Assert.EndsWith(" EROFS", line);
        }

        // Reading may move access times, as on any other file system; nothing else is different.
        Assert.AreEqual(before, Shell.Check("find . -printf '%p %y %m %u %s %T@ %C@ %n\\n' | sort; cat f; getfattr -d f", pair.ExportRoot));
        Assert.Contains("\"readOnly\": true", pair.Runtime.Ctl("mounts", "--json").EnsureSuccess().Output);
    }

    [TestMethod]
    [TestCategory("root")]
    public void ReadOnlyMount_OfWritableExport_RefusesChangesHereOnly()
    {
        using var pair = new Pair();
        string mount = pair.Up(entry => entry["readOnly"] = true);
        Assert.Contains("Read-only file system", Shell.Run("echo x > f", mount).Error);
        File.WriteAllText(Path.Combine(pair.ExportRoot, "f"), "of the host");
        Eventually.True(() => File.Exists(Path.Combine(mount, "f")), Pair.Limit, "the host's new file");
        Assert.AreEqual("of the host", File.ReadAllText(Path.Combine(mount, "f")));
    }

    [TestMethod]
    [TestCategory("root")]
    [DataRow(true)]
    [DataRow(false)]
    public void ReadOnly_SocketsAndFifosAreUsed_AsOnAnyReadOnlyFileSystem(bool ofTheExport)
    {
        using var pair = new Pair();
        JsonObject export = Pair.Export("data", pair.ExportRoot, access: ofTheExport ? "read-only" : "read-write");
        export["sockets"] = new JsonObject { ["connect"] = new JsonArray("*"), ["bind"] = new JsonArray("*") };
        export["fifos"] = new JsonArray(new JsonObject { ["match"] = "*" });
        pair.AgentConfiguration["exports"] = new JsonArray(export);
        string mount = pair.Up(entry => entry["readOnly"] = !ofTheExport);
        using RunningProgram server = Shell.StartPythonServer(
            """
            os.mkfifo('fifo'); s = socket.socket(socket.AF_UNIX); s.bind('a.sock'); s.listen(); say('ready')
            c, _ = s.accept(); say(c.recv(10)); c.send(b'world'); say(open('fifo', 'rb').read())
            """,
            pair.ExportRoot);
        CollectionAssert.AreEqual(
            new[] { "b'world'", "bind EROFS", "fifo EROFS", "write EROFS" },
            Shell.Python(
                """
                s = socket.socket(socket.AF_UNIX); s.settimeout(20); s.connect('a.sock'); s.send(b'hello'); say(s.recv(10))
                f = open('fifo', 'wb'); f.write(b'written'); f.close()
                attempt('bind', lambda: socket.socket(socket.AF_UNIX).bind('own.sock'))
                attempt('fifo', lambda: os.mkfifo('own'))
                attempt('write', lambda: os.open('new', os.O_CREAT | os.O_WRONLY))
                """,
                mount));
        CollectionAssert.AreEqual(new[] { "ready", "b'hello'", "b'written'" }, Shell.End(server));
        Assert.Contains(" ro,", File.ReadLines("/proc/self/mountinfo").Single(line => line.Split(' ')[4] == mount));
    }

    [TestMethod]
    [TestCategory("root")]
    [DataRow("none", "0:0", "1000:1000")]
    [DataRow("root", "4001:4002", "1000:1000")]
    [DataRow("all", "4001:4002", "4001:4002")]
    public void Squash_FilesMadeThroughTheMount_BelongToWhomPolicySays(string squash, string ofRoot, string ofUser)
    {
        using var pair = new Pair();
        JsonObject export = Pair.Export("data", pair.ExportRoot, squash: squash);
        export["anonymousUid"] = 4001;
        export["anonymousGid"] = 4002;
        pair.AgentConfiguration["exports"] = new JsonArray(export);
        Open(pair, pair.ExportRoot);
        string mount = pair.Up();

        Shell.Check(": > root-file && mkdir root-dir && ln -s x root-link && mkfifo root-pipe", mount);
        Shell.Check(": > user-file && mkdir user-dir && ln -s x user-link && mkfifo user-pipe", mount, uid: 1000);

        foreach (string where in new[] { pair.ExportRoot, mount })
        {
            foreach (string kind in new[] { "file", "dir", "link", "pipe" })
            {
                Assert.AreEqual(ofRoot, Shell.Check($"stat -c %u:%g root-{kind}", where), $"root's {kind} seen at {where}");
                Assert.AreEqual(ofUser, Shell.Check($"stat -c %u:%g user-{kind}", where), $"user's {kind} seen at {where}");
            }
        }
    }

    [TestMethod]
    [TestCategory("root")]
    public void SquashRoot_RootOfTheDpu_IsNobodyOnTheHost()
    {
        using var pair = new Pair();
        pair.AgentConfiguration["exports"] = new JsonArray(Pair.Export("data", pair.ExportRoot, squash: "root"));
        Open(pair, pair.ExportRoot);
        Shell.Check("echo secret > key; chmod 600 key; mkdir private; chmod 700 private; echo x > private/f; echo public > readable; chmod 644 readable; echo tool > tool; chmod 4755 tool", pair.ExportRoot);
        string mount = pair.Up();

        string[] lines = Shell.Python(
            """
            attempt('read-key', lambda: os.open('key', os.O_RDONLY))
            attempt('write-readable', lambda: os.open('readable', os.O_WRONLY))
            attempt('list-private', lambda: os.listdir('private'))
            attempt('enter-private', lambda: os.stat('private/f'))
            attempt('chmod', lambda: os.chmod('key', 0o666))
            attempt('chown', lambda: os.chown('key', 65534, 65534))
            attempt('take-root', lambda: (os.open('mine', os.O_CREAT | os.O_WRONLY), os.chown('mine', 0, 0)))
            attempt('setuid-tool', lambda: os.chmod('tool', 0o6777))
            attempt('truncate', lambda: os.truncate('key', 0))
            attempt('unlink', lambda: os.unlink('private/f'))
            attempt('read-readable', lambda: os.open('readable', os.O_RDONLY))
            """,
            mount);

        foreach (string line in lines[..^1])
        {
            Assert.IsTrue(line.EndsWith(" EACCES", StringComparison.Ordinal) || line.EndsWith(" EPERM", StringComparison.Ordinal), line);
        }

        Assert.HasCount(11, lines);
        Assert.AreEqual("read-readable OK", lines[^1]);
        Assert.AreEqual("secret 600 0:0 4755", Shell.Check("echo $(cat key) $(stat -c '%a %u:%g' key) $(stat -c %a tool)", pair.ExportRoot));
    }

    [TestMethod]
    [TestCategory("root")]
    public void UserMap_Owners_AreTranslatedBothWays()
    {
        using var pair = new Pair();
        JsonObject export = Pair.Export("data", pair.ExportRoot, squash: "root");
        export["userMap"] = new JsonArray(new JsonObject { ["dpu"] = 1000, ["host"] = 2000, ["count"] = 2 });
        export["groupMap"] = new JsonArray(new JsonObject { ["dpu"] = 1000, ["host"] = 3000, ["count"] = 2 });
        pair.AgentConfiguration["exports"] = new JsonArray(export);
        Open(pair, pair.ExportRoot);
        Shell.Check("touch hosts; chown 2001:3001 hosts; chmod 600 hosts; touch strangers; chown 1000:1000 strangers", pair.ExportRoot);
        string mount = pair.Up();

        Shell.Check(": > a", mount, uid: 1000);
        Shell.Check(": > b; echo written > hosts", mount, uid: 1001);
        Shell.Check(": > c", mount, uid: 1002);

        Assert.AreEqual("2000:3000 2001:3001 65534:65534 2001:3001 1000:1000", Shell.Check("echo $(stat -c %u:%g a b c hosts strangers)", pair.ExportRoot), "on the host");
        Assert.AreEqual("1000:1000 1001:1001 65534:65534 1001:1001 65534:65534", Shell.Check("echo $(stat -c %u:%g a b c hosts strangers)", mount), "on the DPU");
        Assert.AreNotEqual(0, Shell.Run("cat hosts", mount, uid: 1000).ExitCode, "another's file");

        // The number that owns the file on the host is a stranger's number here, and must not open it.
        Assert.AreNotEqual(0, Shell.Run("cat hosts", mount, uid: 2001).ExitCode, "the host's uid is not the DPU's");
    }

    [TestMethod]
    [TestCategory("root")]
    public void DeviceNodes_UnlessAllowed_AreNotMade_AndAreNeverOpened()
    {
        using var pair = new Pair();
        string other = Directory.CreateDirectory(Path.Combine(pair.Folder, "devices")).FullName;
        JsonObject allowing = Pair.Export("devices", other);
        allowing["allowDeviceNodes"] = true;
        pair.AgentConfiguration["exports"]!.AsArray().Add(allowing);
        string mount = pair.Up();
        string allowed = Directory.CreateDirectory(Path.Combine(pair.MountRoot, "devices")).FullName;
        pair.Runtime.Ctl("mount", "host1:devices", allowed).EnsureSuccess();

        foreach (string kind in new[] { "c 1 3", "b 7 0" })
        {
            ProgramResult refused = Shell.Run($"mknod node {kind}", mount);
            Assert.AreNotEqual(0, refused.ExitCode);
            Assert.Contains("Operation not permitted", refused.Error);
            Assert.IsFalse(File.Exists(Path.Combine(pair.ExportRoot, "node")));
        }

        Shell.Check("mkfifo pipe; python3 -c 'import os; os.mknod(\"sock\", 0o140600)'", mount);

        // Made by policy, or by the host itself: a device node of the mount opens nothing.
        Shell.Check("mknod node c 1 3", allowed);
        Assert.AreEqual("character special file 1:3", Shell.Check("stat -c '%F %t:%T' node", other));
        Shell.Check("mknod null c 1 3; chmod 666 null; cat null", pair.ExportRoot);
        Assert.Contains("Permission denied", Shell.Run("cat null", mount).Error);
        Assert.Contains("Permission denied", Shell.Run("cat node", allowed).Error);
    }

    [TestMethod]
    [TestCategory("root")]
    public void SetuidProgram_OnTheHost_HasNoEffectOnTheDpu()
    {
        using var pair = new Pair();
        Open(pair, pair.ExportRoot);
        Shell.Check("cp /usr/bin/id id; chown 0:0 id; chmod 6755 id", pair.ExportRoot);
        string mount = pair.Up();
        string suid = Directory.CreateDirectory(Path.Combine(pair.MountRoot, "suid")).FullName;
        pair.Runtime.Ctl("mount", "--allow-suid", "host1:data", suid).EnsureSuccess();

        // Where it may work it does, so that the refusal below is seen to be one.
        Assert.AreEqual("0", Shell.Check("./id -u", pair.ExportRoot, uid: 1000), "the temporary folder must honour setuid for this test");
        Assert.AreEqual("0", Shell.Check("./id -u", suid, uid: 1000));
        Assert.AreEqual("1000", Shell.Check("./id -u", mount, uid: 1000));
        Assert.AreEqual("1000", Shell.Check("./id -g", mount, uid: 1000));
        string options = Shell.Check($"findmnt -n -o OPTIONS {mount}", "/");
        Assert.Contains("nosuid", options);
        Assert.Contains("nodev", options);
    }

    // Other users must reach the export and the mount, which lie in a folder of root's.
    private static void Open(Pair pair, string root) =>
        Shell.Check($"chmod 755 {pair.Folder} {pair.MountRoot}; chmod 1777 {root}", "/");
}
