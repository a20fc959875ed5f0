using System.Globalization;
using System.Text.Json.Nodes;

namespace Dpu.EndToEnd.Tests.Lab;

/// <summary>Which hierarchies of control groups a host has.</summary>
public enum CgroupKind
{
    /// <summary>systemd's own of v1.</summary>
    One,

    /// <summary>v2 alone, on /sys/fs/cgroup.</summary>
    Two,

    /// <summary>systemd's own of v1, and v2 beside it.</summary>
    Hybrid,
}

/// <summary>
/// A host, or a DPU, whose process 1 is a real systemd, in pid, mount, cgroup, host-name and IPC namespaces of its own, with a real dbus-daemon, and with
/// dpu-keeper and a daemon as services by their real units. <see cref="Dispose"/> ends it with all that is in it.
/// </summary>
internal sealed class SystemdMachine : IDisposable
{
    /// <summary>The keeper's service.</summary>
    public const string Keeper = "dpu-keeper";

    /// <summary>The host agent's service.</summary>
    public const string Agent = "dpu-host-agent";

    /// <summary>The runtime's service.</summary>
    public const string Runtime = "dpu-runtime";

    private const string KeeperSocket = "/run/dpu/keeper.sock";
    private static readonly string[] s_hierarchies = ["/sys/fs/cgroup/systemd", "/sys/fs/cgroup/unified", "/sys/fs/cgroup"];

    private readonly TemporaryDirectory _folder = new();
    private readonly List<string> _cgroups = [];
    private readonly RunningProgram _program;
    private readonly string _init;

    /// <summary>Boots it; the services are started by <see cref="StartAgent"/> or <see cref="StartRuntime"/>.</summary>
    public SystemdMachine(CgroupKind kind)
    {
        _folder.CreateDirectory("run/dbus");
        _folder.CreateDirectory("run/systemd");
        Unit("default.target", "Requires=dbus.socket dbus.service\nAllowIsolate=yes");
        Unit("dbus.socket", "", "[Socket]\nListenStream=/run/dbus/system_bus_socket");
        Unit("dbus.service", "Requires=dbus.socket", $"[Service]\nType=notify\nExecStart=/usr/bin/dbus-daemon --config-file={_folder["bus.conf"]} --nofork --nopidfile --systemd-activation --address=systemd:");
        foreach (string target in (string[])["sysinit", "basic", "shutdown", "umount", "sockets", "timers", "paths", "slices", "exit", "multi-user", "network-online"])
        {
            Unit(target + ".target", "");
        }

        _folder.WriteFile(
            "bus.conf",
            """
            <!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN" "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
            <busconfig><type>system</type><listen>unix:path=/run/dbus/system_bus_socket</listen><auth>EXTERNAL</auth>
            <policy context="default"><allow user="*"/><allow own="*"/><allow send_destination="*"/><allow receive_sender="*"/></policy></busconfig>
            """);

        // In groups of its own, which its cgroup namespace makes its roots.
        string group = $"dpu-host-{Environment.ProcessId.ToString(CultureInfo.InvariantCulture)}-{Path.GetFileName(_folder.FullPath)}";
        foreach (string hierarchy in s_hierarchies.Where(root => File.Exists(root + "/cgroup.procs")))
        {
            _cgroups.Add(Directory.CreateDirectory(Path.Combine(hierarchy, group)).FullName);
        }

        string mounts = kind == CgroupKind.Two
            ? "mount -t cgroup2 cgroup2 /sys/fs/cgroup"
            : "mount -t tmpfs -o mode=755 tmpfs /sys/fs/cgroup; mkdir /sys/fs/cgroup/systemd; mount -t cgroup -o none,name=systemd cgroup /sys/fs/cgroup/systemd"
                + (kind == CgroupKind.Hybrid ? "; mkdir /sys/fs/cgroup/unified; mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified" : "");
        string start = _folder.WriteFile(
            "init.sh",
            $"""
            set -e
            mount --make-rprivate /
            mount --bind {_folder["run"]} /run
            umount -R -l /sys/fs/cgroup
            {mounts}
            exec env -i container=lab SYSTEMD_UNIT_PATH={_folder["units"]} SYSTEMD_LOG_TARGET=console PATH=/usr/sbin:/usr/bin:/sbin:/bin \
                /usr/lib/systemd/systemd --system --unit=default.target{(kind == CgroupKind.One ? " systemd.legacy_systemd_cgroup_controller=1" : "")}
            """);
        string enter = string.Concat(_cgroups.Select(folder => $"echo $$ > {folder}/cgroup.procs; "));
        _program = RunningProgram.Start("bash", ["-c", $"{enter} exec setsid unshare --cgroup --mount --pid --uts --ipc --fork --mount-proc --kill-child bash {start}"]);

        // Once, and never this machine's own: programs there name processes by their numbers there.
        string own = _program.Id.ToString(CultureInfo.InvariantCulture);
        string init = "";
        Assert.IsTrue(Eventually.Within(() => (init = Children(own)).Length > 0 || _program.HasExited, Pair.Limit) && init.Length > 0, "the host did not start: " + Log);
        _init = init;
        Assert.IsTrue(Eventually.Within(() => Ctl("is-system-running").Output.Trim() == "running", Pair.Limit), "systemd did not start: " + Log);
    }

    /// <summary>What systemd, and all services, have written.</summary>
    public string Log => _program.Output + _program.Error;

    /// <summary>Starts dpu-keeper and dpu-host-agent, with a pair's configuration of that one, and waits until they are ready.</summary>
    public void StartAgent(Pair pair)
    {
        pair.AgentConfiguration["keeper"]!["socket"] = KeeperSocket;
        StartServices(Agent, Repository.Program("Dpu.HostAgent", Agent), pair.WriteAgentConfiguration());
    }

    /// <summary>Starts dpu-keeper and dpu-runtime, as <see cref="StartAgent"/>.</summary>
    public void StartRuntime(Pair pair, JsonObject configuration)
    {
        configuration["keeper"]!["socket"] = KeeperSocket;
        StartServices(Runtime, Repository.Program("Dpu.Runtime", Runtime), pair.WriteRuntimeConfiguration(configuration));
    }

    /// <summary>Adds a unit, by its name and its text.</summary>
    public void Add(string unit, string text)
    {
        _folder.WriteFile("units/" + unit, text);
        _ = CheckCtl("daemon-reload");
    }

    /// <summary>Has a service's process killed, and waits until systemd has started the next one.</summary>
    public void KillService(string name)
    {
        string before = MainProcess(name);
        Check($"kill -9 {before}");
        Eventually.True(() => MainProcess(name) is var now && now != before && now != "0" && Show(name + ".service", "ActiveState") == "active", Pair.Limit, $"the next {name}");
    }

    /// <summary>The process of a service, by its number there; "0" where there is none.</summary>
    public string MainProcess(string name) => Show(name + ".service", "MainPID");

    /// <summary>Runs systemctl there.</summary>
    public ProgramResult Ctl(params string[] arguments) => Run("systemctl", ["--no-pager", .. arguments]);

    /// <summary>As <see cref="Ctl"/>, which must succeed; its output.</summary>
    public string CheckCtl(params string[] arguments)
    {
        ProgramResult result = Ctl(arguments);
        Assert.AreEqual(0, result.ExitCode, $"systemctl {string.Join(' ', arguments)}: {result.Error}\n{Log}");
        return result.Output.TrimEnd('\n');
    }

    /// <summary>A property of a unit there.</summary>
    public string Show(string unit, string property) => CheckCtl("show", "--value", "--property=" + property, unit);

    /// <summary>Runs a program there, as root.</summary>
    public ProgramResult Run(string program, params string[] arguments)
    {
        Assert.IsFalse(_program.HasExited, "the host has ended: " + Log);
        return ExternalProgram.Run("nsenter", ["--target", _init, "--mount", "--pid", "--wdns=/", program, .. arguments], Pair.Limit);
    }

    /// <summary>The agent here, the runtime there; the mount.</summary>
    public string Up(Pair pair, Action<JsonObject>? change = null)
    {
        pair.StartAgent();
        JsonObject configuration = pair.RuntimeConfiguration();
        JsonObject mount = pair.Mount("data", "data");
        configuration["mounts"]!.AsArray().Add(mount);
        change?.Invoke(configuration);
        StartRuntime(pair, configuration);
        string target = (string)mount["target"]!;
        Eventually.True(() => Run("mountpoint", "-q", target).ExitCode == 0, Pair.Limit, "the mount: " + LogOf(Runtime));
        return target;
    }

    /// <summary>Runs dpuctl there, for the runtime.</summary>
    public ProgramResult Ctl(Pair pair, params string[] arguments) => Run(Repository.Program("Dpu.Ctl", "dpuctl"), ["--socket", $"{pair.Folder}/dpu1.sock", .. arguments]);

    /// <summary>Starts a shell program there.</summary>
    public RunningProgram Start(string program) => RunningProgram.Start("nsenter", ["--target", _init, "--mount", "--pid", "--wdns=/", "bash", "-c", program]);

    /// <summary>Runs a shell program there, which must succeed; its output.</summary>
    public string Check(string program) => Run("bash", "-euc", program).EnsureSuccess().Output.TrimEnd('\n');

    public void Dispose()
    {
        _program.Kill();
        Assert.IsTrue(_program.WaitForExit(Pair.Limit), "the host did not end");
        _program.Dispose();
        foreach (string group in _cgroups)
        {
            Eventually.True(() => ExternalProgram.Run("find", [group, "-depth", "-type", "d", "-exec", "rmdir", "{}", ";"], Pair.Limit).ExitCode == 0 && !Directory.Exists(group), Pair.Limit, $"the end of {group}");
        }

        _folder.Dispose();
    }

    private static string Children(string process)
    {
        try
        {
            return File.ReadAllText($"/proc/{process}/task/{process}/children").Trim();
        }
        catch (IOException)
        {
            // Expected: it has ended.
            return "";
        }
    }

    private void Unit(string name, string unit, string rest = "") => _folder.WriteFile("units/" + name, $"[Unit]\nDefaultDependencies=no\n{unit}\n{rest}\n");

    private void StartServices(string name, string program, string file)
    {
        Service(Keeper, $"{KeeperProcess.Program} --launcher {Path.Combine(AppContext.BaseDirectory, "dpu-launch")}");
        Service(name, $"{program} --config {file}");
        _ = CheckCtl("daemon-reload");
        _ = CheckCtl("start", Keeper + ".service", name + ".service");
    }

    // The unit that packages have, with other paths alone.
    private void Service(string name, string command)
    {
        _folder.WriteFile($"units/{name}.service", File.ReadAllText(Repository.PathOf($"cross-build/systemd/{name}.service")));
        _folder.WriteFile($"units/{name}.service.d/test.conf", $"[Service]\nExecStart=\nExecStart={command}\nStandardOutput=append:{_folder[name]}\nStandardError=append:{_folder[name]}\nRestartSec=100ms\n");
    }

    /// <summary>What a service has logged.</summary>
    public string LogOf(string name) => File.Exists(_folder[name]) ? File.ReadAllText(_folder[name]) : "";
}
