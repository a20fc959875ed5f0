using System.Diagnostics;
using System.Globalization;
using Dpu.Systemd.Scopes;
using Dpu.TestSupport;

namespace Dpu.Hosting.Tests.Systemd;

/// <summary>Scopes that systemd makes, or does not: a private dbus-daemon with python3-dbusmock in systemd's place.</summary>
[TestClass]
[TestCategory("interop")]
public sealed class TransientScopesTests
{
    private static readonly TimeSpan s_limit = TimeSpan.FromSeconds(20);

    [TestMethod]
    public void Start_SaysWhatItIs_AndTheProcessIsInIt_AndIsKilledByTheUnitsName()
    {
        using var lab = new Lab();
        lab.Systemd.Serve(kill: "import os\nfolder = os.path.join(os.environ['MOCK_CGROUP'], args[0])\nfor one in open(folder + '/cgroup.procs'): os.kill(int(one), args[2])");
        ScopeResult result = lab.Start("dpu-1.scope");
        Assert.AreEqual(Path.Combine(lab.Systemd.Cgroup, "dpu-1.scope"), result.Folder, result.Problem);
        Assert.IsFalse(result.MayCome);

        // As busctl shows variants: a type, and the value.
        string call = lab.Systemd.Calls("StartTransientUnit");
        Assert.Contains("s \"dpu-1.scope\" s \"fail\" a(sv) 6 ", call);
        string process = lab.Process.Id.ToString(CultureInfo.InvariantCulture);
        foreach (string property in (string[])["\"Description\" s \"what it runs\"", "\"Slice\" s \"dpu-test.slice\"", "\"DelegateControllers\" as 0", "\"TasksMax\" t 18446744073709551615", $"\"PIDs\" au 1 {process}"])
        {
            Assert.Contains(property, call);
        }

        // Processor 9, and nodes 0 and 1.
        Assert.DoesNotContain("Allowed", call);
        Assert.IsNotNull(lab.Scopes.Start("dpu-2.scope", lab.Process.Id, "bound", [0, 2, 0, 0, 0, 0, 0, 0], [3, 0, 0, 0, 0, 0, 0, 0]).Folder);
        call = lab.Systemd.Calls("StartTransientUnit");
        Assert.Contains("\"AllowedCPUs\" ay 8 0 2 0 0 0 0 0 0", call);
        Assert.Contains("\"AllowedMemoryNodes\" ay 8 3 0 0 0 0 0 0 0", call);
        Assert.IsNotNull(lab.Start("dpu-1.scope").Folder);

        Assert.IsNull(lab.Scopes.Kill("dpu-1.scope", 9));
        Assert.Contains("\"dpu-1.scope\" s \"all\" i 9", lab.Systemd.Calls("KillUnit"));
        Assert.IsTrue(lab.Process.WaitForExit(s_limit));
        Assert.AreEqual("there: scopes in dpu-test.slice", lab.Told);
    }

    [TestMethod]
    [DataRow("raise dbus.exceptions.DBusException('Unit dpu-1.scope already exists.', name='org.freedesktop.systemd1.UnitExists')", "done", "already exists")]
    [DataRow("", "failed", "'failed'")]
    [DataRow("", "canceled", "'canceled'")]
    [DataRow("", "done", "the process is in another cgroup")]
    public void Refused_IsSaid_AndNothingComesLater(string start, string result, string problem)
    {
        using var lab = new Lab();
        lab.Systemd.Serve(start, result);
        ScopeResult refused = lab.Start("dpu-1.scope");
        Assert.IsNull(refused.Folder);
        Assert.Contains(problem, refused.Problem);
        Assert.IsFalse(refused.MayCome);

        // It was that unit alone.
        lab.Systemd.Serve();
        Assert.IsNotNull(lab.Start("dpu-2.scope").Folder);
    }

    [TestMethod]
    public void SignalThatIsLost_TheScopeIsFoundAllTheSame()
    {
        using var lab = new Lab(limit: TimeSpan.FromMilliseconds(300));
        lab.Systemd.Serve(result: "");
        Assert.AreEqual(Path.Combine(lab.Systemd.Cgroup, "dpu-1.scope"), lab.Start("dpu-1.scope").Folder);
    }

    [TestMethod]
    public void DoesNotAnswer_CostsTheLimitOnce_AndIsAskedAgainLater()
    {
        using var lab = new Lab(limit: TimeSpan.FromMilliseconds(400), pause: TimeSpan.FromSeconds(2));
        lab.Systemd.Serve();
        Assert.IsNotNull(lab.Start("dpu-1.scope").Folder);
        ExternalProgram.Check("kill", ["-STOP", lab.Systemd.Mock.Id.ToString(CultureInfo.InvariantCulture)], s_limit);
        long since = Stopwatch.GetTimestamp();
        ScopeResult late = lab.Start("dpu-2.scope");
        Assert.IsNull(late.Folder);
        Assert.IsTrue(late.MayCome);
        Assert.Contains("has not answered within 0.4 s", late.Problem);
        Assert.IsLessThan(2, Stopwatch.GetElapsedTime(since).TotalSeconds);
        since = Stopwatch.GetTimestamp();
        ScopeResult none = lab.Start("dpu-3.scope");
        Assert.IsNull(none.Folder);
        Assert.IsFalse(none.MayCome, "it was not even asked");
        Assert.IsNotNull(lab.Scopes.Kill("dpu-1.scope", 9));
        Assert.IsLessThan(0.3, Stopwatch.GetElapsedTime(since).TotalSeconds);
        ExternalProgram.Check("kill", ["-CONT", lab.Systemd.Mock.Id.ToString(CultureInfo.InvariantCulture)], s_limit);
        Eventually.True(() => lab.Start("dpu-4.scope").Folder is not null, s_limit, "scopes once more");
        Assert.Contains("gone: systemd has not answered within 0.4 s\nthere: ", lab.Told);
    }

    [TestMethod]
    [DataRow("mock")]
    [DataRow("bus")]
    public void GoneInTheMiddle_IsAskedAgain_AndTheProcessIsInItsScope(string what)
    {
        using var lab = new Lab(limit: TimeSpan.FromSeconds(10));
        lab.Systemd.Serve();
        Assert.IsNotNull(lab.Start("dpu-1.scope").Folder);

        // It dies while it is asked, as systemd is not there while it is executed anew.
        lab.Systemd.Serve("import time\ntime.sleep(30)");
        Task<ScopeResult> asked = Task.Factory.StartNew(() => lab.Start("dpu-2.scope"), CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
        Assert.IsFalse(asked.Wait(TimeSpan.FromMilliseconds(300)));
        lab.Systemd.Mock.Kill();
        if (what == "bus")
        {
            lab.Systemd.Bus.Kill();
            Assert.IsTrue(lab.Systemd.Bus.WaitForExit(s_limit));
            lab.Systemd.StartBus();
        }

        lab.Systemd.Serve();
        lab.Systemd.StartMock();
        Assert.IsTrue(asked.Wait(s_limit));
        Assert.AreEqual(Path.Combine(lab.Systemd.Cgroup, "dpu-2.scope"), asked.Result.Folder, asked.Result.Problem);
    }

    [TestMethod]
    public void NobodyThere_IsSaidAtOnce_AndTheNextAddressCounts()
    {
        using var lab = new Lab();
        lab.Systemd.Serve();
        using (var none = new TransientScopes(new TransientScopeOptions(["unix:path=/nonexistent/bus"], "dpu.slice", TimeSpan.FromSeconds(5)), TimeProvider.System, (_, _) => { }))
        {
            long since = Stopwatch.GetTimestamp();
            ScopeResult result = none.Start("dpu-1.scope", lab.Process.Id, "?");
            Assert.IsNull(result.Folder);
            Assert.IsFalse(result.MayCome);
            Assert.Contains("/nonexistent/bus: No such file or directory", result.Problem);
            Assert.IsLessThan(2, Stopwatch.GetElapsedTime(since).TotalSeconds);
        }

        using var second = new TransientScopes(
            new TransientScopeOptions(["unix:path=/nonexistent/bus", lab.Systemd.Address], "dpu.slice", TimeSpan.FromSeconds(5)), TimeProvider.System, (_, _) => { });
        Assert.IsNotNull(second.Start("dpu-2.scope", lab.Process.Id, "?").Folder);
    }

    [TestMethod]
    public void ManyAtOnce_HaveTheirOwn_OverOneConnection()
    {
        using var lab = new Lab();
        lab.Systemd.Serve();
        ScopeResult[] results = new ScopeResult[16];
        Parallel.For(0, results.Length, new ParallelOptions { MaxDegreeOfParallelism = 8 }, i =>
        {
            using RunningProgram sleep = RunningProgram.Start("sleep", ["1000"]);
            results[i] = lab.Scopes.Start($"dpu-{i}.scope", sleep.Id, "?");
        });
        for (int i = 0; i < results.Length; i++)
        {
            Assert.AreEqual(Path.Combine(lab.Systemd.Cgroup, $"dpu-{i}.scope"), results[i].Folder, results[i].Problem);
        }
    }

    private sealed class Lab : IDisposable
    {
        private readonly List<string> _told = [];

        public Lab(TimeSpan? limit = null, TimeSpan? pause = null) => Scopes = new TransientScopes(
            new TransientScopeOptions([Systemd.Address], "dpu-test.slice", limit ?? TimeSpan.FromSeconds(10)) { Pause = pause ?? TimeSpan.FromSeconds(30) },
            TimeProvider.System,
            (there, what) =>
            {
                lock (_told)
                {
                    _told.Add($"{(there ? "there" : "gone")}: {what}");
                }
            });

        public MockSystemd Systemd { get; } = new();

        public TransientScopes Scopes { get; }

        public RunningProgram Process { get; } = RunningProgram.Start("sleep", ["1000"]);

        public string Told
        {
            get
            {
                lock (_told)
                {
                    return string.Join('\n', _told);
                }
            }
        }

        public ScopeResult Start(string unit) => Scopes.Start(unit, Process.Id, "what it runs");

        public void Dispose()
        {
            Scopes.Dispose();
            Process.Dispose();
            Systemd.Dispose();
        }
    }
}
