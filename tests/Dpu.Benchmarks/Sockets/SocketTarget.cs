using System.Globalization;
using Dpu.Benchmarks.Harness;
using Dpu.Benchmarks.Targets;
using Dpu.TestSupport;

namespace Dpu.Benchmarks.Sockets;

/// <summary>A way to a program that listens on a unix socket.</summary>
internal abstract class SocketTarget(string name, string store) : IContender
{
    private protected static readonly TimeSpan StartLimit = TimeSpan.FromSeconds(30);

    private readonly HashSet<string> warmed = [];
    private RunningProgram? server;

    public string Name { get; } = name;

    /// <summary>This target's own folder.</summary>
    public string Folder { get; } = Path.Combine(store, "sockets-" + name.Replace(' ', '-').Replace(",", "", StringComparison.Ordinal));

    /// <summary>Where to connect.</summary>
    public abstract string Address { get; }

    /// <summary>How many connections are opened to see what each takes.</summary>
    public virtual int IdleConnections => 1000;

    /// <summary>The processes that lie in between.</summary>
    private protected abstract IEnumerable<int> Processes { get; }

    /// <summary>Where the program listens.</summary>
    private protected abstract string Served { get; }

    public void Start()
    {
        Directory.CreateDirectory(Folder);
        StartWay();
        server = RunningProgram.Start(Environment.ProcessPath!, [SocketPeer.Verb, Served]);
        server.WaitForLine(line => line == "ready", StartLimit);
        StartForwarder();
        bool there = Eventually.Within(() => File.Exists(Address), StartLimit);
        if (!there)
        {
            throw new ProgramException($"'{Address}' did not come to be: {server.Error}");
        }
    }

    /// <summary>The memory of the processes in between, in KiB: what is theirs alone, and their share of the rest.</summary>
    public double MemoryKiB() => Processes.Sum(ProportionalMemory.KiB);

    /// <summary>True once for each work, before its first run that counts: programs that compile as they run are to have done so.</summary>
    public bool TryWarmUp(string work) => warmed.Add(work);

    public virtual void Abort() => server?.Kill();

    public virtual void Dispose() => server?.Dispose();

    /// <summary>What must be there before the program listens.</summary>
    private protected virtual void StartWay()
    {
    }

    /// <summary>What needs the program to listen.</summary>
    private protected virtual void StartForwarder()
    {
    }
}

/// <summary>Nothing in between.</summary>
internal sealed class DirectTarget(string name, string store) : SocketTarget(name, store)
{
    public override string Address => Path.Combine(Folder, "x.sock");

    private protected override string Served => Address;

    private protected override IEnumerable<int> Processes => [];
}

/// <summary>socat, which copies between two unix sockets, with a process for each connection.</summary>
internal sealed class SocatTarget(string name, string store) : SocketTarget(name, store)
{
    private RunningProgram? socat;

    public override string Address => Path.Combine(Folder, "x.sock");

    public override int IdleConnections => 100;

    private protected override string Served => Path.Combine(Folder, "served.sock");

    private protected override IEnumerable<int> Processes =>
        [socat!.Id, .. ExternalProgram.Run("pgrep", ["-P", socat.Id.ToString(CultureInfo.InvariantCulture)], StartLimit).Output
            .Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => int.Parse(line, CultureInfo.InvariantCulture))];

    public override void Abort()
    {
        socat?.Kill();
        base.Abort();
    }

    public override void Dispose()
    {
        socat?.Dispose();
        base.Dispose();
    }

    // The larger buffer is for its best: by default it copies 8 KiB at once.
    private protected override void StartForwarder() =>
        socat = RunningProgram.Start("socat", ["-b", "131072", $"UNIX-LISTEN:{Address},fork,backlog=4096", $"UNIX-CONNECT:{Served}"]);
}

/// <summary>ssh -L from one unix socket to the other, by a daemon of its own on the loopback interface: encrypted and authenticated.</summary>
internal sealed class SshTarget(string name, string store) : SocketTarget(name, store)
{
    private PrivateSshd? daemon;
    private RunningProgram? client;

    public override string Address => Path.Combine(Folder, "x.sock");

    public override int IdleConnections => 100;

    private protected override string Served => Path.Combine(Folder, "served.sock");

    // The daemon has a process for the connection, which carries all.
    private protected override IEnumerable<int> Processes =>
        [client!.Id, .. ExternalProgram.Run("pgrep", ["-P", daemon!.Daemon.Id.ToString(CultureInfo.InvariantCulture)], StartLimit).Output
            .Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => int.Parse(line, CultureInfo.InvariantCulture))];

    public override void Abort()
    {
        client?.Kill();
        daemon?.Daemon.Kill();
        base.Abort();
    }

    public override void Dispose()
    {
        client?.Dispose();
        daemon?.Dispose();
        base.Dispose();
    }

    private protected override void StartForwarder()
    {
        daemon = PrivateSshd.Start(Folder, StartLimit);
        client = RunningProgram.Start(Requires.Tool("ssh"), [.. daemon.ClientOptions, "-o", "ExitOnForwardFailure=yes", "-p", daemon.Port, "-N", "-L", $"{Address}:{Served}", "127.0.0.1"]);
    }
}

/// <summary>Our daemons: the program listens on the host and is reached through the mount, or listens below the mount and is reached on the host.</summary>
internal sealed class RelayTarget(string name, string store, bool tls = false, bool bound = false) : SocketTarget(name, store)
{
    private readonly DaemonsTarget daemons = new(store, tls, name: name.Replace(",", "", StringComparison.Ordinal), sockets: true);

    public override string Address => Path.Combine(bound ? daemons.Backing : daemons.Seen, "x.sock");

    private protected override string Served => Path.Combine(bound ? daemons.Seen : daemons.Backing, "x.sock");

    private protected override IEnumerable<int> Processes => daemons.Processes;

    public override void Abort()
    {
        daemons.Abort();
        base.Abort();
    }

    public override void Dispose()
    {
        base.Dispose();
        daemons.Dispose();
    }

    private protected override void StartWay() => daemons.Start();
}
