using System.Text.Json.Nodes;

namespace Dpu.EndToEnd.Tests;

/// <summary>An unmodified dbus-daemon as a service of a real systemd, started in a view by dpu-run, with real clients on both machines.</summary>
[TestClass]
public sealed class ViewServiceTests
{
    private const string Configuration =
        """
        <!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN" "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
        <busconfig><listen>unix:path=ADDRESS</listen><auth>EXTERNAL</auth>
        <policy context="default"><allow user="*"/><allow own="*"/><allow send_destination="*"/><allow receive_sender="*"/></policy></busconfig>
        """;

    // Has a name, and says who the bus takes it for.
    private const string Client =
        "import dbus, signal, sys; bus = dbus.bus.BusConnection('unix:path=' + sys.argv[1]); bus.request_name(sys.argv[2]); print('ready', bus.get_unix_user(bus.get_unique_name()), flush=True); signal.pause()";

    [TestMethod]
    [TestCategory("interop")]
    public void DbusDaemon_AsANotifyingServiceInAView_IsReadyAndReached_FromTheViewAndFromItsHost()
    {
        _ = Requires.Tool("dbus-send");
        using var pair = new Pair(keeper: true);
        pair.AgentConfiguration["exports"]![0]!["sockets"] = new JsonObject { ["connect"] = new JsonArray("bus/of-host"), ["bind"] = new JsonArray("bus/of-view") };
        using var machine = new SystemdMachine(CgroupKind.Two);
        string bus = Directory.CreateDirectory($"{pair.ExportRoot}/bus").FullName;
        foreach (string folder in (string[])[pair.Folder, pair.ExportRoot, bus])
        {
            File.SetUnixFileMode(folder, (UnixFileMode)0x1ed);
        }

        using RunningProgram hosts = RunningProgram.Start("dbus-daemon", ["--nofork", "--nopidfile", "--print-address=1", "--config-file=" + Written(pair, "host.conf", $"{bus}/of-host")]);
        hosts.WaitForLine(line => line.StartsWith("unix:", StringComparison.Ordinal), Pair.Limit);
        string mount = machine.Up(pair, configuration =>
        {
            configuration["viewsFolder"] = Directory.CreateDirectory($"{pair.Folder}/views.d").FullName;
            configuration["viewSocket"] = "/run/dpu/view.sock";
        });

        // Its /run is its own, with the host's folder, and the manager's socket, in it.
        File.WriteAllText($"{pair.Folder}/views.d/bus.json", new JsonObject
        {
            ["mounts"] = new JsonArray(
                ViewLab.Part("/run", "memory", 1 << 20),
                ViewLab.Part("/run/dbus", "mount", mount).With("path", "bus"),
                ViewLab.Part("/run/systemd/notify", "file", "/run/systemd/notify")),
        }.ToJsonString());
        string run = $"{ViewLab.Program} --socket /run/dpu/view.sock bus --";
        machine.Add("in-view.service", $"[Unit]\nDefaultDependencies=no\n[Service]\nType=notify\nNotifyAccess=all\nTimeoutStartSec=20s\nExecStart={run} /usr/bin/dbus-daemon --nofork --nopidfile --config-file={Written(pair, "view.conf", "/run/dbus/of-view")}\n");

        // systemctl waits for READY=1, which dbus-daemon sends when it listens.
        _ = machine.CheckCtl("start", "in-view.service");
        Assert.AreEqual("active", machine.Show("in-view.service", "ActiveState"));
        Assert.AreEqual("0", machine.Check($"{run} bash -c 'test -S /run/dbus/of-view; echo $?'"));

        // In the view, by both libraries.
        const string Names = "org.freedesktop.DBus /org/freedesktop/DBus org.freedesktop.DBus ListNames";
        Assert.StartsWith("as ", machine.Check($"{run} busctl --address=unix:path=/run/dbus/of-view call {Names}"));
        Assert.Contains("string \"org.freedesktop.DBus\"", machine.Check($"{run} dbus-send --bus=unix:path=/run/dbus/of-view --print-reply --dest=org.freedesktop.DBus / org.freedesktop.DBus.ListNames"));

        // From its host: a user of that (1 is known to every Debian, which the bus asks for) is who it is, and what has a name there is found in the view.
        using RunningProgram client = RunningProgram.Start("setpriv", ["--reuid", "1", "--regid", "1", "--clear-groups", "/usr/bin/python3", "-c", Client, $"{bus}/of-view", "org.example.Host"]);
        client.WaitForLine(line => line == "ready 1", Pair.Limit);
        Assert.AreEqual("u 1", machine.Check($"{run} busctl --address=unix:path=/run/dbus/of-view call org.freedesktop.DBus /org/freedesktop/DBus org.freedesktop.DBus GetConnectionUnixUser s org.example.Host"));
        Assert.Contains("org.example.Host", ExternalProgram.Check("setpriv", ["--reuid", "1", "--regid", "1", "--clear-groups", "busctl", $"--address=unix:path={bus}/of-view", "call", .. Names.Split(' ')], Pair.Limit));

        // And the host's own bus in the view, where its policy lets one connect.
        Assert.Contains("\"org.freedesktop.DBus\"", machine.Check($"{run} busctl --address=unix:path=/run/dbus/of-host call {Names}"));
        using RunningProgram guest = machine.Start($"exec {run} /usr/bin/python3 -c \"{Client}\" /run/dbus/of-host org.example.View");
        guest.WaitForLine(line => line == "ready 0", Pair.Limit);
        Assert.Contains("\"org.example.View\"", ExternalProgram.Check("busctl", [$"--address=unix:path={bus}/of-host", "call", .. Names.Split(' ')], Pair.Limit));

        // A stop of the service ends it, as if it were the unit's own process.
        _ = machine.CheckCtl("stop", "in-view.service");
        Assert.AreEqual("inactive success", $"{machine.Show("in-view.service", "ActiveState")} {machine.Show("in-view.service", "Result")}");
        guest.Kill();
        Assert.AreEqual(0, machine.Ctl(pair, "view", "delete", "--force", "bus").ExitCode);
        machine.Check($"umount {mount}");
    }

    private static string Written(Pair pair, string name, string address)
    {
        File.WriteAllText($"{pair.Folder}/{name}", Configuration.Replace("ADDRESS", address, StringComparison.Ordinal));
        return $"{pair.Folder}/{name}";
    }
}
