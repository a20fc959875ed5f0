using System.Net.Sockets;
using System.Text;
using Dpu.Systemd;
using Dpu.TestSupport;
using Microsoft.Extensions.Logging.Abstractions;

namespace Dpu.Hosting.Tests.Systemd;

[TestClass]
public sealed class SystemdTests
{
    [TestMethod]
    [TestCategory("unit")]
    [DataRow(false)]
    [DataRow(true)]
    public void Notifier_EachNotice_ReachesTheManager(bool isAbstract)
    {
        using var folder = new TemporaryDirectory();
        string path = isAbstract ? "@dpu-test-" + Guid.NewGuid().ToString("N") : folder["notify"];
        using Socket manager = Listen(path);
        var clock = new ManualClock();
        clock.Advance(TimeSpan.FromSeconds(3));
        using var notifier = new SystemdNotifier(path, null, clock);
        Assert.IsTrue(notifier.IsEnabled);
        notifier.Ready("two\nlines=1");
        Assert.AreEqual("READY=1\nSTATUS=two lines=1", Receive(manager));
        notifier.Reloading();
        Assert.AreEqual("RELOADING=1\nMONOTONIC_USEC=3000000\nSTATUS=Reloading the configuration", Receive(manager));
        notifier.Status("x");
        Assert.AreEqual("STATUS=x", Receive(manager));
        notifier.Watchdog();
        Assert.AreEqual("WATCHDOG=1", Receive(manager));
        notifier.Stopping("bye");
        Assert.AreEqual("STOPPING=1\nSTATUS=bye", Receive(manager));
        Assert.AreEqual(0, notifier.Failures);
    }

    [TestMethod]
    [TestCategory("unit")]
    public void MonotonicTime_OfTheSystem_IsTheKernels()
    {
        using var folder = new TemporaryDirectory();
        using Socket manager = Listen(folder["notify"]);
        using var notifier = new SystemdNotifier(folder["notify"], null, TimeProvider.System);
        notifier.Reloading();
        double told = double.Parse(Receive(manager).Split('\n')[1]["MONOTONIC_USEC=".Length..], System.Globalization.CultureInfo.InvariantCulture) / 1e6;
        // proc_uptime(5) counts suspended time too, CLOCK_MONOTONIC does not: a test machine does not suspend.
        double uptime = double.Parse(File.ReadAllText("/proc/uptime").Split(' ')[0], System.Globalization.CultureInfo.InvariantCulture);
        Assert.AreEqual(uptime, told, 5.0);
    }

    [TestMethod]
    [TestCategory("unit")]
    [DataRow(null)]
    [DataRow("")]
    [DataRow("vsock:2:1")]
    [DataRow("/")]
    public void Notifier_NoManager_DoesNothing(string? path)
    {
        using var notifier = new SystemdNotifier(path, TimeSpan.FromSeconds(1), TimeProvider.System);
        Assert.IsFalse(notifier.IsEnabled);
        Assert.IsNull(notifier.WatchdogInterval);
        notifier.Ready("x");
        Assert.AreEqual(0, notifier.Failures);
    }

    [TestMethod]
    [TestCategory("unit")]
    public void Notifier_ManagerGone_CountsAndGoesOn()
    {
        using var notifier = new SystemdNotifier("/nonexistent/notify", null, TimeProvider.System);
        notifier.Ready("x");
        Assert.AreEqual(1, notifier.Failures);
    }

    [TestMethod]
    [TestCategory("unit")]
    [DataRow("30000000", null, 30.0)]
    [DataRow("30000000", "42", 30.0)]
    [DataRow("30000000", "43", null)]
    [DataRow("0", null, null)]
    [DataRow("-5", null, null)]
    [DataRow("x", null, null)]
    [DataRow(null, null, null)]
    [DataRow("99999999999999999999", null, null)]
    public void Watchdog_OfEnvironment_IsRead(string? usec, string? pid, double? seconds) =>
        Assert.AreEqual(seconds, SystemdNotifier.ParseWatchdog(usec, pid, 42)?.TotalSeconds);

    [TestMethod]
    [TestCategory("unit")]
    public async Task WatchdogService_ProbeUnwell_StopsFeeding()
    {
        using var folder = new TemporaryDirectory();
        using Socket manager = Listen(folder["notify"]);
        var clock = new ManualClock();
        using var notifier = new SystemdNotifier(folder["notify"], TimeSpan.FromSeconds(10), clock);
        var probe = new Probe();
        using var service = new WatchdogService(notifier, [probe], clock, NullLogger<WatchdogService>.Instance);
        await service.StartAsync(CancellationToken.None);
        Assert.AreEqual("WATCHDOG=1", Receive(manager));
        clock.Advance(TimeSpan.FromSeconds(5));
        Assert.AreEqual("WATCHDOG=1", Receive(manager), "half the interval has passed");
        probe.Trouble = "stuck";
        Assert.IsFalse(service.Feed());
        probe.Throws = true;
        Assert.IsFalse(service.Feed());
        Assert.IsFalse(manager.Poll(TimeSpan.Zero, SelectMode.SelectRead), "nothing was fed");
        (probe.Trouble, probe.Throws) = (null, false);
        Assert.IsTrue(service.Feed());
        Assert.AreEqual("WATCHDOG=1", Receive(manager));
        await service.StopAsync(CancellationToken.None);
    }

    [TestMethod]
    [TestCategory("interop")]
    [DataRow("dpu-host-agent")]
    [DataRow("dpu-runtime")]
    [DataRow("dpu-keeper")]
    public void Unit_Verified_HasNoProblemAndNoMountNamespace(string name)
    {
        string analyze = Requires.Tool("systemd-analyze");
        using var folder = new TemporaryDirectory();
        string unit = File.ReadAllText(Repository.PathOf($"cross-build/systemd/{name}.service"));
        // The programs are not installed here; verify wants them to be.
        string path = folder.WriteFile($"{name}.service", unit.Replace($"/usr/sbin/{name}", "/bin/true", StringComparison.Ordinal));
        ProgramResult result = ExternalProgram.Run(analyze, ["verify", "--man=no", path], TimeSpan.FromSeconds(60));
        Assert.AreEqual(0, result.ExitCode, result.Error);
        Assert.AreEqual(string.Empty, result.Error.Trim());
        if (name == "dpu-keeper")
        {
            // The processes that it runs are the host's own.
            Assert.Contains("\nKillMode=process\n", unit);
            foreach (string setting in (string[])["CapabilityBoundingSet=", "NoNewPrivileges=", "SystemCallFilter=", "Restrict", "Private", "Protect", "MemoryDenyWriteExecute=", "LockPersonality="])
            {
                Assert.DoesNotContain('\n' + setting, unit);
            }
        }

        foreach (string setting in (string[])
            ["ProtectSystem=", "ProtectHome=", "PrivateTmp=", "PrivateDevices=", "PrivateMounts=", "ReadOnlyPaths=", "BindPaths=", "ProtectKernelTunables=", "MountFlags="])
        {
            Assert.DoesNotContain('\n' + setting, unit);
        }
    }

    private static Socket Listen(string path)
    {
        var socket = new Socket(AddressFamily.Unix, SocketType.Dgram, ProtocolType.Unspecified) { ReceiveTimeout = 10_000 };
        socket.Bind(new UnixDomainSocketEndPoint(path[0] == '@' ? '\0' + path[1..] : path));
        return socket;
    }

    private static string Receive(Socket socket)
    {
        byte[] buffer = new byte[4096];
        return Encoding.UTF8.GetString(buffer, 0, socket.Receive(buffer));
    }

    private sealed class Probe : IHealthProbe
    {
        public string? Trouble { get; set; }

        public bool Throws { get; set; }

        public string Name => "probe";

        public string? Problem() => Throws ? throw new InvalidOperationException("broken") : Trouble;
    }
}
