using System.Globalization;
using System.Text.Json;

namespace Dpu.TestSupport;

/// <summary>
/// A private dbus-daemon with an org.freedesktop.systemd1 of python3-dbusmock, whose methods are a test's choice. Processes that it puts into a scope are
/// in cgroups of that name, in a folder of its own. <see cref="Dispose"/> ends what is in these.
/// </summary>
public sealed class MockSystemd : IDisposable
{
    /// <summary>Puts the process into a cgroup of the unit's name, which <c>args[0]</c> is.</summary>
    public const string Enter =
        """
        import os
        process = [int(value[0]) for name, value in args[2] if name == 'PIDs'][0]
        folder = os.path.join(os.environ['MOCK_CGROUP'], args[0])
        os.makedirs(folder, exist_ok=True)
        open(folder + '/cgroup.procs', 'w').write(str(process))

        """;

    private const string Name = "org.freedesktop.systemd1";
    private const string Manager = Name + ".Manager";
    private const string Object = "/org/freedesktop/systemd1";
    private static readonly TimeSpan s_limit = TimeSpan.FromSeconds(20);

    private readonly TemporaryDirectory _folder = new();
    private readonly string _configuration;
    private readonly Dictionary<string, string[]> _methods = [];
    private RunningProgram? _bus;
    private RunningProgram? _mock;

    /// <summary>Starts both; <see cref="Serve"/> changes what they do.</summary>
    public MockSystemd()
    {
        Cgroup = Path.Combine(Hierarchy(), $"dpu-mock-{Environment.ProcessId.ToString(CultureInfo.InvariantCulture)}-{Path.GetFileName(_folder.FullPath)}");
        Directory.CreateDirectory(Cgroup);
        _configuration = _folder.WriteFile(
            "bus.conf",
            $"""
            <!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN" "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
            <busconfig><type>system</type><listen>{Address}</listen><auth>EXTERNAL</auth>
            <policy context="default"><allow user="*"/><allow own="*"/><allow send_destination="*"/><allow receive_sender="*"/></policy></busconfig>
            """);
        _folder.WriteFile(
            "template.py",
            $"""
            BUS_NAME, MAIN_OBJ, MAIN_IFACE, SYSTEM_BUS = '{Name}', '{Object}', '{Manager}', True
            def load(mock, parameters): mock.AddMethods(MAIN_IFACE, [(name, *method) for name, method in parameters.items()])
            """);
        StartBus();
        Serve();
        StartMock();
    }

    /// <summary>The bus.</summary>
    public string Address => $"unix:path={_folder["bus"]}";

    /// <summary>Where <see cref="Enter"/> makes cgroups.</summary>
    public string Cgroup { get; }

    /// <summary>dbus-daemon.</summary>
    public RunningProgram Bus => _bus!;

    /// <summary>What stands for systemd.</summary>
    public RunningProgram Mock => _mock!;

    /// <summary>Starts dbus-daemon, again where it was killed.</summary>
    public void StartBus()
    {
        _bus?.Dispose();
        File.Delete(_folder["bus"]);
        _bus = RunningProgram.Start("dbus-daemon", ["--config-file=" + _configuration, "--nofork", "--nopidfile"]);
        Eventually.True(() => File.Exists(_folder["bus"]), s_limit, "the private bus");
    }

    /// <summary>Starts what stands for systemd, again where it was killed, with what was last defined.</summary>
    public void StartMock()
    {
        _mock?.Dispose();
        _mock = RunningProgram.Start(
            "/usr/bin/python3",
            ["-u", "-m", "dbusmock", "--template", _folder["template.py"], "--parameters", JsonSerializer.Serialize(_methods)],
            environment: new Dictionary<string, string?> { ["DBUS_SYSTEM_BUS_ADDRESS"] = Address, ["MOCK_CGROUP"] = Cgroup });
        Eventually.True(() => _mock.HasExited || Busctl("status", Name).ExitCode == 0, s_limit, "the mock of systemd");
        if (_mock.HasExited)
        {
            throw new RequirementException($"python3-dbusmock did not start: {_mock.Error}");
        }
    }

    /// <summary>Defines the methods that are used here, from now on.</summary>
    /// <param name="start">In Python, of StartTransientUnit, before it answers and the job is over; <c>args</c> are its arguments.</param>
    /// <param name="result">How the job ends; empty where nobody tells.</param>
    /// <param name="kill">In Python, of KillUnit.</param>
    public void Serve(string start = Enter, string result = "done", string kill = "")
    {
        Define("Subscribe", "", "", "");
        Define("KillUnit", "ssi", "", kill);
        string told = result.Length == 0 ? "" :
            $"""
            from gi.repository import GLib
            def over(self=self, name=args[0]): self.EmitSignal('{Manager}', 'JobRemoved', 'uoss', [7, '/org/freedesktop/systemd1/job/7', name, '{result}'])
            GLib.idle_add(over)

            """;
        Define("StartTransientUnit", "ssa(sv)a(sa(sv))", "o", $"{start}\n{told}ret = '/org/freedesktop/systemd1/job/7'");
    }

    /// <summary>Calls of a method, each as busctl shows its arguments.</summary>
    public string Calls(string method) => Busctl("call", Name, Object, "org.freedesktop.DBus.Mock", "GetMethodCalls", "s", method).EnsureSuccess().Output.Trim();

    /// <summary>Runs busctl on the bus.</summary>
    public ProgramResult Busctl(params string[] arguments) => ExternalProgram.Run("busctl", ["--address=" + Address, "--no-pager", .. arguments], s_limit);

    /// <summary>A hierarchy whose groups only group, as systemd has one: of v2, or its own of v1.</summary>
    public static string Hierarchy() => MountOf("cgroup2") ?? MountOf("name=systemd") ?? throw new RequirementException("Neither cgroup2 nor a v1 hierarchy named systemd is mounted: systemd needs one of them.");

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (string unit in Directory.GetDirectories(Cgroup))
        {
            foreach (string process in File.ReadAllLines(Path.Combine(unit, "cgroup.procs")))
            {
                ExternalProgram.Run("kill", ["-KILL", process], s_limit);
            }

            Eventually.True(() => TryRemove(unit), s_limit, $"the end of {unit}");
        }

        Directory.Delete(Cgroup);
        _mock?.Dispose();
        _bus?.Dispose();
        _folder.Dispose();
    }

    private static bool TryRemove(string folder)
    {
        try
        {
            Directory.Delete(folder);
            return true;
        }
        catch (IOException)
        {
            // Expected while something in it ends.
            return false;
        }
    }

    private static string? MountOf(string kind) => File.ReadLines("/proc/self/mounts").Select(line => line.Split(' '))
        .Where(parts => parts[2] == kind || parts[3].Split(',').Contains(kind)).Select(parts => parts[1]).FirstOrDefault();

    private void Define(string method, string takes, string gives, string code)
    {
        _methods[method] = [takes, gives, code];
        if (_mock is { HasExited: false })
        {
            Busctl("call", Name, Object, "org.freedesktop.DBus.Mock", "AddMethod", "sssss", Manager, method, takes, gives, code).EnsureSuccess();
        }
    }
}
