namespace Dpu.TestSupport;

/// <summary>ovs-vswitchd with a bridge "br0" on its dummy data path, and its database, in a folder of their own.</summary>
public sealed class VirtualSwitch : IDisposable
{
    private static readonly TimeSpan _limit = TimeSpan.FromSeconds(30);
    private readonly TemporaryDirectory _folder = new();
    private readonly List<RunningProgram> _programs = [];

    /// <summary>Starts it, and waits until the bridge is there.</summary>
    public VirtualSwitch()
    {
        try
        {
            Start();
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>What ovs-ofctl takes as the switch.</summary>
    public string Address => $"unix:{_folder["br0.mgmt"]}";

    /// <summary>What ovs-appctl takes as the target.</summary>
    public string ControlSocket => _folder["vswitchd.ctl"];

    /// <summary>A command of ovs-appctl(8), and what it says.</summary>
    public string Control(params string[] arguments) => Run("ovs-appctl", ["-t", ControlSocket, .. arguments]);

    /// <summary>Changes the database, as ovs-vsctl(8) has it.</summary>
    public string Configure(params string[] arguments) => Run("ovs-vsctl", [$"--db=unix:{_folder["db.sock"]}", "--timeout=20", .. arguments]);

    /// <summary>A command of ovs-ofctl(8) on the bridge.</summary>
    public string OpenFlow(string verb, params string[] arguments) => Run("ovs-ofctl", ["-O", "OpenFlow14", verb, Address, .. arguments]);

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (RunningProgram program in _programs.AsEnumerable().Reverse())
        {
            program.Dispose();
        }

        _folder.Dispose();
    }

    private void Start()
    {
        string database = _folder["conf.db"], socket = _folder["db.sock"];
        _ = Run("ovsdb-tool", ["create", database, Requires.Exists("/usr/share/openvswitch/vswitch.ovsschema", "install openvswitch-switch")]);
        Background("ovsdb-server", database, $"--remote=punix:{socket}", $"--unixctl={_folder["ovsdb.ctl"]}");
        Eventually.True(() => File.Exists(socket), _limit, "the database listens");
        _ = Run("ovs-vsctl", [$"--db=unix:{socket}", "--no-wait", "init"]);
        Background("ovs-vswitchd", $"unix:{socket}", "--enable-dummy", "--disable-system", $"--unixctl={_folder["vswitchd.ctl"]}", "-vconsole:off");
        Eventually.True(() => File.Exists(_folder["vswitchd.ctl"]), _limit, "the switch listens");
        _ = Run("ovs-vsctl", [$"--db=unix:{socket}", "--timeout=20", "add-br", "br0", "--", "set", "bridge", "br0", "datapath_type=dummy", "fail-mode=secure"]);
        Eventually.True(() => File.Exists(_folder["br0.mgmt"]), _limit, "the bridge listens");
    }

    private void Background(string name, params string[] arguments) => _programs.Add(RunningProgram.Start(Requires.Tool(name), arguments, null, null, Places()));

    private string Run(string name, string[] arguments) => ExternalProgram.Check(Requires.Tool(name), arguments, _limit, null, null, Places());

    private Dictionary<string, string?> Places() => new()
    {
        ["OVS_RUNDIR"] = _folder.FullPath,
        ["OVS_LOGDIR"] = _folder.FullPath,
        ["OVS_DBDIR"] = _folder.FullPath,
        ["OVS_SYSCONFDIR"] = _folder.FullPath,
    };
}
