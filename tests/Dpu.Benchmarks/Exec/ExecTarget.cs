using System.Globalization;
using Dpu.Benchmarks.Harness;
using Dpu.Benchmarks.Targets;
using Dpu.TestSupport;

namespace Dpu.Benchmarks.Exec;

/// <summary>A way to have a program run.</summary>
internal abstract class ExecTarget(string name, string store) : IContender
{
    private protected static readonly TimeSpan StartLimit = TimeSpan.FromSeconds(30);

    public string Name { get; } = name;

    /// <summary>This target's own folder.</summary>
    public string Folder { get; } = Path.Combine(store, "exec-" + name.Replace(' ', '-').Replace(",", "", StringComparison.Ordinal));

    /// <summary>What stands before a program in a shell's command; empty for nothing.</summary>
    public abstract string Prefix { get; }

    /// <summary>What stands before a program that is to run in a view; empty for nothing, as where there are none.</summary>
    public virtual string ViewPrefix => "";

    /// <summary>The processes of the machine that starts programs, without the program's own stand-ins there.</summary>
    public virtual IEnumerable<int> Near => [];

    /// <summary>The processes of the machine on which programs run, without the programs.</summary>
    public virtual IEnumerable<int> Far => [];

    public void Start()
    {
        Directory.CreateDirectory(Folder);
        StartCore();

        // What is made or compiled at first use.
        for (int i = 0; i < 10; i++)
        {
            _ = Shell($"{Prefix} /bin/true");
        }
    }

    /// <summary>Runs a shell program that must succeed; what it wrote.</summary>
    public string Shell(string program) => ExternalProgram.Check("bash", ["-c", program], StartLimit, environment: Environment);

    /// <summary>Starts a shell program.</summary>
    public RunningProgram Begin(string program) => RunningProgram.Start("bash", ["-c", program], environment: Environment);

    public virtual void Abort()
    {
    }

    public virtual void Dispose()
    {
    }

    private protected virtual Dictionary<string, string?> Environment => [];

    private protected virtual void StartCore()
    {
    }

    private protected static IEnumerable<int> ChildrenOf(int process) =>
        ExternalProgram.Run("pgrep", ["-P", process.ToString(CultureInfo.InvariantCulture)], StartLimit).Output
            .Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => int.Parse(line, CultureInfo.InvariantCulture));
}

/// <summary>fork(2) and execve(2), here.</summary>
internal sealed class LocalTarget(string name, string store) : ExecTarget(name, store)
{
    public override string Prefix => "";
}

/// <summary>ssh to a daemon of its own on the loopback interface, on one connection that is there already (ControlMaster).</summary>
internal sealed class SshExecTarget(string name, string store) : ExecTarget(name, store)
{
    private PrivateSshd? daemon;
    private RunningProgram? master;

    public override string Prefix => $"ssh {string.Join(' ', daemon!.ClientOptions)} -o ControlPath={Control} -p {daemon.Port} 127.0.0.1";

    public override IEnumerable<int> Near => [master!.Id];

    // The connection has a process, and on it the user's.
    public override IEnumerable<int> Far => ChildrenOf(daemon!.Daemon.Id).SelectMany(child => (IEnumerable<int>)[child, .. ChildrenOf(child).Where(one => File.ReadAllText($"/proc/{one}/comm").StartsWith("sshd", StringComparison.Ordinal))]);

    private string Control => Path.Combine(Folder, "control");

    public override void Abort()
    {
        master?.Kill();
        daemon?.Daemon.Kill();
    }

    public override void Dispose()
    {
        master?.Dispose();
        daemon?.Dispose();
    }

    private protected override void StartCore()
    {
        daemon = PrivateSshd.Start(Folder, StartLimit);
        master = RunningProgram.Start(Requires.Tool("ssh"), [.. daemon.ClientOptions, "-M", "-S", Control, "-p", daemon.Port, "-N", "127.0.0.1"]);
        if (!Eventually.Within(() => File.Exists(Control), StartLimit))
        {
            throw new ProgramException($"ssh made no master connection: {master.Error}");
        }
    }
}

/// <summary>Our daemons, and a stub for each program.</summary>
internal sealed class StubTarget(string name, string store, bool tls = false) : ExecTarget(name, store)
{
    private readonly DaemonsTarget daemons = new(store, tls, name: "exec daemons" + (tls ? " tls" : ""), keeper: true, programs: ["/bin/true", "/bin/echo", "/usr/bin/head", "/bin/sleep", "/usr/bin/cat"], view: "/usr/bin/cat");

    public override string Prefix => $"{Folder}/rexec --";

    // In a view stubs find their runtime by themselves.
    public override string ViewPrefix => $"env -u DPU_STUB_SOCKET {Path.Combine(AppContext.BaseDirectory, "dpu-run")} --socket {daemons.ViewSocket} bench --";

    public override IEnumerable<int> Near => [daemons.Processes.Last(), daemons.Keepers.Last()];

    public override IEnumerable<int> Far => [daemons.Processes.First(), daemons.Keepers.First()];

    public override void Abort() => daemons.Abort();

    public override void Dispose() => daemons.Dispose();

    private protected override Dictionary<string, string?> Environment => new() { ["DPU_STUB_SOCKET"] = daemons.StubSocket };

    private protected override void StartCore()
    {
        daemons.Start();
        File.CreateSymbolicLink($"{Folder}/rexec", Path.Combine(AppContext.BaseDirectory, "dpu-stub"));
    }
}
