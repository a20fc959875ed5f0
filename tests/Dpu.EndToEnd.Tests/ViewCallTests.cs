using System.Globalization;
using System.Text.Json.Nodes;

namespace Dpu.EndToEnd.Tests;

/// <summary>Calls of a view's programs that mean a process of the host, by real programs.</summary>
[TestClass]
public sealed class ViewCallTests
{
    private const string Sleep = "/usr/bin/sleep";

    [TestMethod]
    [TestCategory("root")]
    public void Calls_OnAStandIn_AreDoneOnTheHostAsFarAsItsRulesLet_AndOthersAreTheKernels()
    {
        using var lab = new ViewLab(programs: [Sleep], change: rule =>
        {
            rule["cpus"] = "0";
            rule["limits"] = new JsonObject { ["nofile"] = 4096 };
        });
        lab.Describe("d1", new JsonObject { ["hostname"] = "compute-7", ["machine"] = "riscv64", ["stubs"] = new JsonArray(new JsonObject { ["program"] = Sleep, ["host"] = "host1" }) });
        using RunningProgram daemon = lab.Start("d1", $"{Sleep} 1000 & echo $!; wait");
        string number = daemon.WaitForLine(line => line.Length > 0, Pair.Limit);
        (int host, int stub) = lab.StandIn();

        // What the host's process is, and what its stub stays.
        Assert.Contains("current affinity list: 0\n", lab.Run("d1", $"taskset -pc {number}").EnsureSuccess().Output);
        lab.Check("d1", $"taskset -pc 0,1 {number}");
        Assert.AreEqual("0", Status(host, "Cpus_allowed_list:"), "as its rule says");
        Assert.AreNotEqual(0, lab.Run("d1", $"taskset -pc 1 {number}").ExitCode, "nothing of it is allowed");
        lab.Check("d1", $"chrt --batch -p 0 {number}");
        Assert.Contains("SCHED_BATCH", ExternalProgram.Check("chrt", ["-p", Text(host)], Pair.Limit));
        Assert.Contains("SCHED_BATCH", lab.Check("d1", $"chrt -p {number}"));
        Assert.Contains("SCHED_OTHER", ExternalProgram.Check("chrt", ["-p", Text(stub)], Pair.Limit));
        ProgramResult refused = lab.Run("d1", $"chrt --fifo -p 10 {number}");
        Assert.AreNotEqual(0, refused.ExitCode);
        Assert.Contains("Operation not permitted", refused.Error);
        lab.Check("d1", $"prlimit --pid {number} --nofile=100:200");
        Assert.Contains("100                  200", LimitOf(host, "Max open files"));
        Assert.DoesNotContain("100                  200", LimitOf(stub, "Max open files"));
        Assert.AreEqual("100  200", lab.Check("d1", $"prlimit --pid {number} --nofile -o SOFT,HARD --noheadings").Trim());
        Assert.AreNotEqual(0, lab.Run("d1", $"prlimit --pid {number} --nofile=100:5000").ExitCode, "more than its rule says");
        lab.Check("d1", $"renice -n 7 -p {number}");
        Assert.AreEqual("7", NiceOf(host));
        Assert.AreEqual("0", NiceOf(stub));
        Assert.AreNotEqual(0, lab.Run("d1", $"renice -n -5 -p {number}").ExitCode, "nobody goes before the host's own");
        Assert.AreNotEqual(0, lab.Run("d1", $"setpriv --reuid 1234 --clear-groups --bounding-set=-all renice -n 9 -p {number}").ExitCode, "another user's");
        Assert.AreEqual("7", NiceOf(host));

        // Of other processes they are what they are, and of itself they are not even asked for.
        long before = lab.Calls("d1", "setpriority").Done;
        Assert.AreEqual("3", lab.Check("d1", "tail -f /dev/null & child=$!; renice -n 3 -p $child >&2; ps -o ni= -p $child; kill $child").Trim());
        Assert.AreEqual(before, lab.Calls("d1", "setpriority").Done);
        Assert.IsGreaterThan(before, lab.Calls("d1", "setpriority").Intercepted);
        long asked = lab.Calls("d1", "prlimit64").Intercepted;
        lab.Check("d1", "ulimit -n; ulimit -Sn 99; taskset -p $BASHPID >/dev/null");
        Assert.AreEqual(asked, lab.Calls("d1", "prlimit64").Intercepted, "0 is the caller");

        Assert.AreEqual("riscv64 compute-7", lab.Check("d1", "echo $(uname -m) $(uname -n)"));
        Assert.AreEqual("7", lab.Check("d1", $"ps -o ni= -p 1 >/dev/null; python3 -c 'import os; print(os.getpriority(os.PRIO_PROCESS, {number}))'"));
        Assert.Contains("dpu_view_call_intercepted", lab.Metrics());

        // A host that is away is said so, and the caller does not hang.
        lab.Pair.Agent.Kill();
        Eventually.True(() => lab.Pair.Runtime.Ctl("ps").Output.Contains("away", StringComparison.Ordinal), Pair.Limit, "the host's absence");
        ProgramResult away = lab.Run("d1", $"renice -n 8 -p {number}");
        Assert.AreNotEqual(0, away.ExitCode);
        Assert.Contains("No route to host", away.Error);
        lab.Pair.RestartAgent();
        Eventually.True(() => lab.Run("d1", $"renice -n 9 -p {number}").ExitCode == 0, Pair.Limit, "the host's return");
        Assert.AreEqual("9", NiceOf(host));

        // The end of a view is not that of what its stubs stand for.
        lab.Ctl("delete", "--force", "d1").EnsureSuccess();
        Assert.IsTrue(daemon.WaitForExit(Pair.Limit));
        lab.Pair.Runtime.Kill();
        lab.Pair.RestartRuntime();
        Eventually.True(() => lab.Pair.Runtime.Ctl("ps").Output.Contains("running", StringComparison.Ordinal), Pair.Limit, "the process");
        Assert.AreEqual("9", NiceOf(host));
        lab.Pair.Runtime.Ctl("ps", "kill", Text(stub)).EnsureSuccess();
        Eventually.True(() => !Directory.Exists($"/proc/{host}"), Pair.Limit, "its end");

        // Nor is the end of its first process, while one that is killed alone ends what it stands for.
        using RunningProgram killed = lab.Start("d1", $"{Sleep} 1000 & {Sleep} 2000 & echo $!; wait");
        number = killed.WaitForLine(line => line.Length > 0, Pair.Limit);
        Eventually.True(() => lab.HostProcesses().Count == 2, Pair.Limit, "both");
        lab.Check("d1", $"kill -KILL {number}");
        Eventually.True(() => lab.HostProcesses().Count == 1, Pair.Limit, "the end of one");
        ExternalProgram.Check("kill", ["-KILL", Text(lab.InitOf("d1"))], Pair.Limit);
        Assert.IsTrue(killed.WaitForExit(Pair.Limit));
        Eventually.True(() => lab.Show("d1")["state"]!.GetValue<string>() == "absent", Pair.Limit, "the view's end");
        (host, stub) = lab.StandIn();
        Assert.IsTrue(Directory.Exists($"/proc/{host}"));
        lab.Pair.Runtime.Ctl("ps", "kill", Text(stub)).EnsureSuccess();
        Eventually.True(() => !Directory.Exists($"/proc/{host}"), Pair.Limit, "its end");
    }

    private static string Text(int number) => number.ToString(CultureInfo.InvariantCulture);

    private static string Status(int process, string field) => File.ReadLines($"/proc/{process}/status").Single(line => line.StartsWith(field, StringComparison.Ordinal)).Split('\t')[1];

    private static string LimitOf(int process, string name) => File.ReadLines($"/proc/{process}/limits").Single(line => line.StartsWith(name, StringComparison.Ordinal));

    private static string NiceOf(int process)
    {
        string status = File.ReadAllText($"/proc/{process}/stat");
        return status[(status.LastIndexOf(')') + 2)..].Split(' ')[16];
    }
}
