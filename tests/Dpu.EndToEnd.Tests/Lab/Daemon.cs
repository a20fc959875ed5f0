using System.Diagnostics;
using System.Net.Sockets;
using System.Text;
using Dpu.TestSupport;

namespace Dpu.EndToEnd.Tests.Lab;

/// <summary>A daemon of the build as a process, and dpuctl on its control socket.</summary>
public sealed class Daemon : IDisposable
{
    // Below the daemon's own limit of 15 s for a stop, so that a stop that hangs is seen, with what hangs.
    private static readonly TimeSpan StopLimit = TimeSpan.FromSeconds(12);

    private readonly RunningProgram _program;
    private readonly bool _isInside;

    /// <summary>Starts it and waits until it serves.</summary>
    /// <param name="project">Where it is built.</param>
    /// <param name="program">Its name.</param>
    /// <param name="configuration">The file.</param>
    /// <param name="socket">Its control socket.</param>
    /// <param name="quick">It serves when its control socket takes connections; else when it tells its service manager so (sd_notify(3)).</param>
    /// <param name="environment">What its environment has besides.</param>
    /// <param name="inside">Where it runs; null for here.</param>
    /// <param name="build">The repository that it is built in; null for this one.</param>
    public Daemon(
        string project, string program, string configuration, string socket, bool quick = false, IReadOnlyDictionary<string, string?>? environment = null, PidNamespace? inside = null, string? build = null)
    {
        string path = Repository.Program(project, program, build);
        Socket = socket;
        _isInside = inside is not null;
        using Socket manager = ListenForReady(socket + ".notify");
        _program = RunningProgram.Start(
            inside is null ? path : PidNamespace.Enter,
            inside is null ? ["--config", configuration] : [.. inside.Arguments, path, "--config", configuration],
            environment: new Dictionary<string, string?>(environment ?? new Dictionary<string, string?>()) { ["NOTIFY_SOCKET"] = socket + ".notify" });
        try
        {
            Eventually.True(() => _program.HasExited || (quick ? Listens() : IsReady(manager)), Pair.Limit, $"the start of {program}");
            ReadyAt = Stopwatch.GetTimestamp();
            Assert.IsFalse(_program.HasExited, $"{program} ended at once: {_program.Error}");
        }
        catch (Exception e)
        {
            string log = _program.Error;
            _program.Dispose();
            throw new InvalidOperationException($"{program} did not start: {e.Message}\n{log}", e);
        }
    }

    /// <summary>When it served, of the clock of Stopwatch.</summary>
    public long ReadyAt { get; }

    public int Id => _isInside ? PidNamespace.ChildOf(_program.Id) : _program.Id;

    public string Socket { get; }

    /// <summary>What it has logged so far.</summary>
    public string Log => _program.Error;

    public bool HasExited => _program.HasExited;

    /// <summary>The number of its open descriptors.</summary>
    public int Descriptors => Directory.GetFiles($"/proc/{Id}/fd").Length;

    /// <summary>The number of its threads.</summary>
    public int Threads => Directory.GetDirectories($"/proc/{Id}/task").Length;

    /// <summary>Its resident memory in KiB.</summary>
    public long ResidentKiB
    {
        get
        {
            string line = File.ReadLines($"/proc/{Id}/status").First(text => text.StartsWith("VmRSS:", StringComparison.Ordinal));
            return long.Parse(line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[1], System.Globalization.CultureInfo.InvariantCulture);
        }
    }

    /// <summary>Runs dpuctl on its socket.</summary>
    public ProgramResult Ctl(params string[] arguments) =>
        ExternalProgram.Run(Repository.Program("Dpu.Ctl", "dpuctl"), ["--socket", Socket, .. arguments], Pair.Limit);

    /// <summary>Sends a signal by name.</summary>
    public void Signal(string name) => ExternalProgram.Check("kill", ["-" + name, Id.ToString(System.Globalization.CultureInfo.InvariantCulture)], Pair.Limit);

    /// <summary>Ends it as kill -9 does, and waits for its end.</summary>
    public void Kill() => Assert.IsTrue(TryKill(Pair.Limit), "a killed daemon did not end");

    /// <summary>As <see cref="Kill"/>; false where it has not ended in time: a thread of it is in the kernel.</summary>
    public bool TryKill(TimeSpan limit)
    {
        using (var process = Process.GetProcessById(Id))
        {
            process.Kill();
        }

        return _program.WaitForExit(limit);
    }

    /// <summary>Whether it ends in time.</summary>
    public bool Ends(TimeSpan limit) => _program.WaitForExit(limit);

    /// <summary>Stops it as systemd does; returns its exit code.</summary>
    public int Stop()
    {
        Signal("TERM");
        Assert.IsTrue(_program.WaitForExit(Pair.Limit), $"{_program.CommandLine} did not stop on SIGTERM; its log: {Log}");
        return _program.ExitCode;
    }

    public void Dispose()
    {
        if (!_program.HasExited)
        {
            Signal("CONT");
            Signal("TERM");
            if (!_program.WaitForExit(StopLimit))
            {
                string state = Describe();
                _program.Kill();
                string log = Log;
                _program.Dispose();
                throw new InvalidOperationException($"{_program.CommandLine} did not stop within {StopLimit.TotalSeconds} s of SIGTERM.\n{state}\n{log}");
            }
        }

        _program.Dispose();
    }

    private static Socket ListenForReady(string path)
    {
        File.Delete(path);
        var manager = new Socket(AddressFamily.Unix, SocketType.Dgram, ProtocolType.Unspecified);
        manager.Bind(new UnixDomainSocketEndPoint(path));
        return manager;
    }

    private static bool IsReady(Socket manager)
    {
        Span<byte> message = stackalloc byte[4096];
        return manager.Poll(TimeSpan.FromMilliseconds(50), SelectMode.SelectRead)
            && Encoding.UTF8.GetString(message[..manager.Receive(message)]).Contains("READY=1", StringComparison.Ordinal);
    }

    // A daemon that was killed has left its socket's file, which refuses.
    private bool Listens()
    {
        using var probe = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            probe.Connect(new UnixDomainSocketEndPoint(Socket));
            return true;
        }
        catch (SocketException)
        {
            // Expected until it listens.
            return false;
        }
    }

    /// <summary>What each thread does, as the kernel says: name, where it sleeps, system call.</summary>
    public string Describe() => HasExited ? "it has ended" : string.Join('\n', Directory.GetDirectories($"/proc/{Id}/task").Select(task =>
        $"{File.ReadAllText(task + "/comm").Trim()}: {File.ReadAllText(task + "/wchan")} {File.ReadAllText(task + "/syscall").Trim()}{Stack(task)}"));

    // Of a thread that nothing can end: where in the kernel it is.
    private static string Stack(string task) =>
        File.ReadLines(task + "/status").Any(line => line.StartsWith("State:\tD", StringComparison.Ordinal)) && File.Exists(task + "/stack")
            ? "\n  " + File.ReadAllText(task + "/stack").TrimEnd().Replace("\n", "\n  ", StringComparison.Ordinal)
            : "";
}
