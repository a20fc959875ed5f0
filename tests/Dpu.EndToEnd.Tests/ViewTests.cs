using System.Globalization;
using System.Text.Json.Nodes;

namespace Dpu.EndToEnd.Tests;

/// <summary>Views: what a daemon sees that works with a host, and dpu-run, which starts it there.</summary>
[TestClass]
public sealed class ViewTests
{
    [TestMethod]
    [TestCategory("root")]
    public void View_HasWhatItsFileSays_AndNothingOfTheDpusDaemons()
    {
        using var lab = new ViewLab();
        string own = lab.Made("etc");
        string mount = $"{lab.Pair.MountRoot}/data";
        Directory.CreateDirectory($"{lab.Pair.ExportRoot}/sub");
        File.WriteAllText($"{lab.Pair.ExportRoot}/sub/of-host", "host\n");
        File.WriteAllText($"{own}/daemon.conf", "own\n");
        lab.Describe("d1", new JsonObject
        {
            ["hostname"] = "compute-7",
            ["mounts"] = new JsonArray(
                ViewLab.Part("/run", "memory", 1 << 20),
                ViewLab.Part("/run/data/inner", "mount", mount).With("path", "sub"),
                ViewLab.Part("/etc/dbus-1", "folder", own).With("readOnly", true),
                ViewLab.Part("/run/one", "file", $"{own}/daemon.conf")),
            ["stubs"] = new JsonArray(new JsonObject { ["program"] = "/usr/bin/id" }),
        });

        Assert.AreEqual("compute-7", lab.Check("d1", "hostname"));
        Assert.AreEqual("host", lab.Check("d1", "cat /run/data/inner/of-host"));
        Assert.AreEqual("own\nown", lab.Check("d1", "cat /etc/dbus-1/daemon.conf /run/one"));
        lab.Check("d1", "echo changed >/run/data/inner/by-view; mkdir /run/own");
        Assert.AreEqual("changed\n", File.ReadAllText($"{lab.Pair.ExportRoot}/sub/by-view"));
        Assert.IsFalse(Directory.Exists("/run/own"), "/run of the view is its own");
        Assert.AreNotEqual(0, lab.Run("d1", "touch /etc/dbus-1/new").ExitCode, "read-only");

        // Its processes have high numbers, and see each other alone.
        int number = int.Parse(lab.Check("d1", "echo $$"), CultureInfo.InvariantCulture);
        Assert.IsGreaterThanOrEqualTo(int.Parse(File.ReadAllText("/proc/sys/kernel/pid_max"), CultureInfo.InvariantCulture) / 2, number);
        Assert.AreEqual("1", lab.Check("d1", "ls /proc | grep -x 1"));
        Assert.AreEqual("", lab.Check("d1", $"ls -d /proc/{Environment.ProcessId} 2>/dev/null || :"));

        // The stub in a program's place runs the host's.
        Assert.AreEqual("uid=0(root) gid=0(root)", lab.Check("d1", "id").Split(" groups")[0]);
        Assert.Contains("id", lab.Pair.Agent.Log.Split('\n').Last(line => line.Contains("/usr/bin/id", StringComparison.Ordinal)));

        // No keys, configuration, sockets or state of the daemons, and no mount that it was not given.
        foreach (string secret in (string[])[$"{lab.Folder}/dpu1.json", $"{lab.Folder}/dpu1.sock", lab.Pair.Keeper!.Socket, lab.Socket])
        {
            Assert.AreNotEqual(0, lab.Run("d1", $"test -s {secret} || test -S {secret}").ExitCode, secret);
        }

        Assert.AreEqual("stub.sock", lab.Check("d1", "ls /run/dpu"));
        Assert.AreEqual("", lab.Check("d1", $"ls {mount}"));
        Assert.AreEqual("/run/data/inner", lab.Check("d1", "grep fuse.qtfs /proc/self/mounts | cut -d' ' -f2"));

        JsonNode shown = lab.Show("d1");
        Assert.AreEqual("ready", shown["state"]!.GetValue<string>());
        Assert.HasCount(4, shown["mounts"]!.AsArray());
        Assert.Contains("d1", lab.Ctl("list").EnsureSuccess().Output);
    }

    [TestMethod]
    [TestCategory("root")]
    public void DpuRun_IsItsDaemonToWhoeverStartedIt()
    {
        using var lab = new ViewLab();
        lab.Describe("d1", []);
        Assert.AreEqual(7, lab.Run("d1", "exit 7").ExitCode);
        Assert.AreEqual(128 + 10, lab.Run("d1", "kill -USR1 $$").ExitCode, ".NET says 128 and the signal");
        Assert.AreEqual(127, ExternalProgram.Run(ViewLab.Program, ["--socket", lab.Socket, "d1", "no-such-program"], Pair.Limit).ExitCode);
        Assert.AreEqual("in\nx y", ExternalProgram.Run("bash", ["-c", $"cd /usr/bin; echo in | A='x y' {ViewLab.Program} --socket {lab.Socket} d1 sh -c 'cat; echo $A'"], Pair.Limit).EnsureSuccess().Output.TrimEnd('\n'));
        Assert.AreEqual("/usr/bin", ExternalProgram.Run("bash", ["-c", $"cd /usr/bin; {ViewLab.Program} --socket {lab.Socket} d1 pwd"], Pair.Limit).EnsureSuccess().Output.TrimEnd('\n'));

        // What it inherits is exact: ignored and blocked signals, limits, descriptors.
        const string Inherited = "grep -E '^Sig(Ign|Blk)' /proc/self/status; ulimit -Sn; ls /proc/self/fd | wc -l";
        string prepared = "trap '' USR2 PIPE; ulimit -Sn 333; exec 9</dev/null; ";
        string local = ExternalProgram.Run("bash", ["-c", prepared + $"exec bash -c \"{Inherited}\""], Pair.Limit).EnsureSuccess().Output;
        Assert.AreEqual(local, ExternalProgram.Run("bash", ["-c", prepared + $"exec {ViewLab.Program} --socket {lab.Socket} d1 bash -c \"{Inherited}\""], Pair.Limit).EnsureSuccess().Output);

        // A signal of a service manager reaches it, and its end is ours; a kill of ours is its own.
        using (RunningProgram daemon = lab.Start("d1", "trap 'echo stopping; exit 3' TERM; echo up; while :; do sleep 0.05; done"))
        {
            daemon.WaitForLine(line => line == "up", Pair.Limit);
            ExternalProgram.Check("kill", ["-TERM", daemon.Id.ToString(CultureInfo.InvariantCulture)], Pair.Limit);
            Assert.IsTrue(daemon.WaitForExit(Pair.Limit));
            Assert.AreEqual((3, "up\nstopping"), (daemon.ExitCode, daemon.Output.TrimEnd('\n')));
        }

        using (RunningProgram daemon = lab.Start("d1", "echo up; exec sleep 1000"))
        {
            daemon.WaitForLine(line => line == "up", Pair.Limit);
            daemon.Kill();
            Assert.IsTrue(daemon.WaitForExit(Pair.Limit));
            Eventually.True(() => lab.Show("d1")["processes"]!.GetValue<int>() == 0, Pair.Limit, "the daemon's end");
        }

        // One that goes into the background is left to the view.
        Assert.AreEqual("begun", lab.Check("d1", "setsid sleep 1000 >/dev/null 2>&1 </dev/null & echo begun"));
        Assert.AreEqual(1, lab.Show("d1")["processes"]!.GetValue<int>());
        ProgramResult refused = lab.Ctl("delete", "d1");
        Assert.AreNotEqual(0, refused.ExitCode);
        Assert.Contains("(sleep)", refused.Error);
        lab.Ctl("delete", "d1", "--force").EnsureSuccess();
        Assert.AreEqual("absent", lab.Show("d1")["state"]!.GetValue<string>());
        Assert.IsFalse(Directory.Exists($"{lab.Folder}/state/views/d1"));
    }

    [TestMethod]
    [TestCategory("root")]
    public void Enter_AndCreate_AreThereForPeople()
    {
        using var lab = new ViewLab();
        string file = lab.Describe("d1", new JsonObject { ["hostname"] = "v" });
        lab.Ctl("create", "d1").EnsureSuccess();
        int init = lab.InitOf("d1");
        lab.Ctl("create", "d1").EnsureSuccess();
        Assert.AreEqual(init, lab.InitOf("d1"), "it was there already");
        ProgramResult entered = lab.Ctl("enter", "d1", "--", "bash", "-c", "hostname; exit 5");
        Assert.AreEqual((5, "v\n"), (entered.ExitCode, entered.Output));

        File.WriteAllText(file, """{ "hostname": "w" }""");
        Assert.Contains("delete and create it", lab.Ctl("create", "d1").EnsureSuccess().Output);
        Assert.IsTrue(lab.Show("d1")["changed"]!.GetValue<bool>());
        Assert.AreEqual("v", lab.Check("d1", "hostname"));
        lab.Ctl("delete", "d1").EnsureSuccess();
        Assert.AreEqual("w", lab.Check("d1", "hostname"));

        // Its end is noticed, however it came about.
        ExternalProgram.Check("kill", ["-KILL", lab.InitOf("d1").ToString(CultureInfo.InvariantCulture)], Pair.Limit);
        Eventually.True(() => lab.Show("d1")["state"]!.GetValue<string>() == "absent", Pair.Limit, "the view's end");
        Assert.AreEqual(125, lab.Run("d1", "true", "--socket", $"{lab.Folder}/nobody").ExitCode);
    }

    [TestMethod]
    [TestCategory("root")]
    public void Runtime_Killed_LeavesViewsAndDaemons_AndTheNextOneHasThem()
    {
        using var lab = new ViewLab();
        lab.Describe("d1", new JsonObject { ["machine"] = "vax", ["mounts"] = new JsonArray(ViewLab.Part("/mnt", "mount", $"{lab.Pair.MountRoot}/data")) });
        string orders = $"{lab.Folder}/orders";
        ExternalProgram.Check("mkfifo", [orders], Pair.Limit);
        using RunningProgram daemon = lab.Start("d1", $"exec 5<>{orders}; echo up; while read line <&5; do uname -m; cat /mnt/word; done");
        File.WriteAllText($"{lab.Pair.ExportRoot}/word", "one\n");
        daemon.WaitForLine(line => line == "up", Pair.Limit);
        File.AppendAllText(orders, "go\n");
        daemon.WaitForLine(line => line == "one", Pair.Limit);
        int init = lab.InitOf("d1");

        // Its calls wait for the next runtime, they do not fail.
        lab.Pair.Runtime.Kill();
        File.AppendAllText(orders, "go\n");
        Assert.IsFalse(daemon.WaitForExit(TimeSpan.FromMilliseconds(300)));
        lab.Pair.RestartRuntime();
        Eventually.True(() => daemon.Output.Split('\n').Count(line => line == "one") == 2, Pair.Limit, "the call's end");
        Assert.AreEqual("up\nvax\none\nvax\none", daemon.Output.TrimEnd('\n'));
        Assert.AreEqual(init, lab.InitOf("d1"));

        // As one that is stopped in order, and a keeper's death.
        Assert.AreEqual(0, lab.Pair.Runtime.Stop());
        lab.Pair.RestartRuntime();
        File.AppendAllText(orders, "go\n");
        Eventually.True(() => daemon.Output.Split('\n').Count(line => line == "vax") == 3, Pair.Limit, "the third call");
        ExternalProgram.Check("kill", ["-KILL", lab.Pair.Keeper!.Running.Id.ToString(CultureInfo.InvariantCulture)], Pair.Limit);
        Assert.IsTrue(lab.Pair.Keeper.Running.WaitForExit(Pair.Limit));
        Assert.AreEqual("1", lab.Check("d1", "ls /proc | grep -x 1"));
        lab.Pair.Keeper.Start();
        Eventually.True(() => lab.Pair.Runtime.Log.Contains("holds what this daemon has", StringComparison.Ordinal), Pair.Limit, "the keeper's return");
        lab.Ctl("delete", "--force", "d1").EnsureSuccess();
        Assert.IsTrue(daemon.WaitForExit(Pair.Limit));
    }

    [TestMethod]
    [TestCategory("root")]
    public void Processes_OfTheHostAndTheView_AreInOneProc()
    {
        using var lab = new ViewLab(agent: (agent, _) => agent["exports"]!.AsArray().Add(Pair.Export("proc", "/proc").With("kind", "proc")));
        lab.Describe("d1", new JsonObject { ["mounts"] = new JsonArray(ViewLab.Part("/proc", "processes", new JsonObject { ["host"] = "host1", ["export"] = "proc" })) });
        Assert.AreEqual("bash", lab.Check("d1", "cat /proc/self/comm /proc/$$/comm | sort -u | grep -v cat"));
        Assert.AreEqual("dpu-view", lab.Check("d1", "cat /proc/1/comm"), "the view's first process");
        Assert.AreEqual(File.ReadAllText($"/proc/{Environment.ProcessId}/comm").TrimEnd('\n'), lab.Check("d1", $"cat /proc/{Environment.ProcessId}/comm"), "a process of the host");
        lab.Pair.Runtime.Kill();
        lab.Pair.RestartRuntime();
        Assert.AreEqual("dpu-view", lab.Check("d1", "cat /proc/1/comm"));
        Assert.AreEqual("ready", lab.Show("d1")["state"]!.GetValue<string>());
        lab.Ctl("delete", "d1").EnsureSuccess();
        Assert.IsFalse(Directory.Exists($"{lab.Folder}/state/views/d1"));
        Assert.IsEmpty(MountTable.Targets().Where(target => target.StartsWith($"{lab.Folder}/state/", StringComparison.Ordinal)));
    }

    [TestMethod]
    [TestCategory("root")]
    public void View_ThatWouldShowOrHideTooMuch_IsRefusedWithWhatToDo()
    {
        using var lab = new ViewLab();
        string mount = $"{lab.Pair.MountRoot}/data";
        string own = lab.Made("own");
        Directory.CreateDirectory($"{lab.Pair.ExportRoot}/real/deep");
        File.CreateSymbolicLink($"{lab.Pair.ExportRoot}/to-secrets", "/etc");
        File.CreateSymbolicLink($"{own}/to-secrets", "/etc");
        foreach ((JsonObject part, string said) in ((JsonObject, string)[])
            [
                (ViewLab.Part("/mnt", "folder", "/etc/dpu"), "is in /etc/dpu, which is the DPU's own"),
                (ViewLab.Part("/mnt", "folder", "/"), "holds /etc/dpu"),
                (ViewLab.Part("/mnt", "folder", lab.Folder), "which is the DPU's own and in no view"),
                (ViewLab.Part("/mnt", "file", $"{lab.Folder}/dpu1.json"), "which is the DPU's own and in no view"),
                (ViewLab.Part("/etc/dpu", "folder", own), "is in /etc/dpu, which a view has for itself"),
                (ViewLab.Part("/mnt", "mount", own), $"no mount of a host is at \"{own}\"; there are: {mount}"),
                (ViewLab.Part("/mnt", "mount", mount).With("path", "absent"), "No such file"),
                (ViewLab.Part("/mnt", "mount", mount).With("path", "../real"), "is no plain relative path"),

                // A host names what lies in its trees: none of its links is followed.
                (ViewLab.Part("/mnt", "mount", mount).With("path", "to-secrets/dpu"), "a symbolic link is on the way"),
                (ViewLab.Part("/mnt", "folder", $"{own}/to-secrets"), "a symbolic link is on the way"),
                (ViewLab.Part("/no/such/place", "folder", own), "make it on this DPU"),
                (ViewLab.Part("/etc/passwd", "folder", own), "one of it and its source is a file"),
            ])
        {
            lab.Describe("d1", new JsonObject { ["mounts"] = new JsonArray(part) });
            ProgramResult refused = lab.Run("d1", "true");
            Assert.AreEqual(126, refused.ExitCode, part.ToJsonString());
            Assert.Contains(said, refused.Error, part.ToJsonString());
        }

        // Nor is one of them where something is to be mounted in its tree.
        lab.Describe("d1", new JsonObject { ["mounts"] = new JsonArray(ViewLab.Part("/mnt", "mount", mount), ViewLab.Part("/mnt/to-secrets/ssl", "folder", own)) });
        Assert.Contains("a symbolic link is on the way", lab.Run("d1", "true").Error);
        Assert.AreEqual("absent", lab.Show("d1")["state"]!.GetValue<string>());
        lab.Describe("d1", new JsonObject { ["mounts"] = new JsonArray(ViewLab.Part("/mnt", "mount", mount), ViewLab.Part("/mnt/real/deep", "memory", 8192)) });
        Assert.AreEqual("tmpfs", lab.Check("d1", "stat -f -c %T /mnt/real/deep"));

        // One that its runtime has lost since is said to be stale.
        lab.Pair.Runtime.Ctl("umount", "--lazy", mount).EnsureSuccess();
        Assert.AreEqual("stale", lab.Show("d1")["state"]!.GetValue<string>());
        Assert.Contains("nothing is mounted at", lab.Ctl("show", "d1").EnsureSuccess().Output);
    }
}
