using Dpu.TestSupport;

namespace Dpu.EndToEnd.Tests.Lab;

/// <summary>A daemon of the build as a process, and dpuctl on its control socket.</summary>
public sealed class Daemon : IDisposable
{
    // Below the daemon's own limit of 15 s for a stop, so that a stop that hangs is seen, with what hangs.
    private static readonly TimeSpan StopLimit = TimeSpan.FromSeconds(12);

    private readonly RunningProgram _program;

    public Daemon(string project, string program, string configuration, string socket)
    {
        Socket = socket;
        _program = RunningProgram.Start(Repository.Program(project, program), ["--config", configuration]);
        try
        {
            Eventually.True(() => File.Exists(socket) || _program.HasExited, Pair.Limit, $"the control socket of {program}");
            Eventually.True(() => _program.HasExited || Ctl("health").ExitCode == 0, Pair.Limit, $"the health of {program}");
            Assert.IsFalse(_program.HasExited, $"{program} ended at once: {_program.Error}");
        }
        catch (Exception e)
        {
            string log = _program.Error;
            _program.Dispose();
            throw new InvalidOperationException($"{program} did not start: {e.Message}\n{log}", e);
        }
    }

    public int Id => _program.Id;

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
    public void Kill()
    {
        Signal("KILL");
        Assert.IsTrue(_program.WaitForExit(Pair.Limit), "a killed daemon did not end");
    }

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

    /// <summary>What each thread does, as the kernel says: name, where it sleeps, system call.</summary>
    private string Describe() => string.Join('\n', Directory.GetDirectories($"/proc/{Id}/task").Select(task =>
        $"{File.ReadAllText(task + "/comm").Trim()}: {File.ReadAllText(task + "/wchan")} {File.ReadAllText(task + "/syscall").Trim()}"));
}
