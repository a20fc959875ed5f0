using System.Diagnostics;
using System.Text;

namespace Dpu.TestSupport;

/// <summary>A program in the background whose output is collected. Killed with its children on <see cref="Dispose"/>. Thread-safe.</summary>
public sealed class RunningProgram : IDisposable
{
    // After its end a program's pipes close at once, unless a grandchild that outlived it still holds them.
    private static readonly TimeSpan DrainLimit = TimeSpan.FromSeconds(5);

    private readonly Process process;
    private readonly Collector output = new();
    private readonly Collector error = new();

    private RunningProgram(Process process, string commandLine)
    {
        this.process = process;
        CommandLine = commandLine;
        process.OutputDataReceived += (_, e) => output.Add(e.Data);
        process.ErrorDataReceived += (_, e) => error.Add(e.Data);
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
    }

    /// <summary>What was run, for messages.</summary>
    public string CommandLine { get; }

    /// <summary>Its process id.</summary>
    public int Id => process.Id;

    /// <summary>Whether it has ended.</summary>
    public bool HasExited => process.HasExited;

    /// <summary>Its exit code once it has ended.</summary>
    public int ExitCode => process.ExitCode;

    /// <summary>What it has written to standard output so far, in whole lines.</summary>
    public string Output => output.Text;

    /// <summary>What it has written to standard error so far, in whole lines.</summary>
    public string Error => error.Text;

    /// <summary>Starts a program; parameters as of <see cref="ExternalProgram.Run"/>.</summary>
    public static RunningProgram Start(
        string name,
        IEnumerable<string> arguments,
        string? input = null,
        string? directory = null,
        IReadOnlyDictionary<string, string?>? environment = null)
    {
        string path = name.Contains('/', StringComparison.Ordinal) ? name : Requires.Tool(name);

        // env(1) goes into the directory, and runs the program. Process.Start would wait for that, under a lock that every other start and
        // exit of a program needs: one directory on a mount that hangs, and nothing could be started that ends the hang.
        ProcessStartInfo start = new(directory is null ? path : "/usr/bin/env")
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            UseShellExecute = false,
        };
        foreach (string argument in directory is null ? arguments : ["-C", directory, path, .. arguments])
        {
            start.ArgumentList.Add(argument);
        }

        foreach ((string variable, string? value) in environment ?? new Dictionary<string, string?>())
        {
            if (value is null)
            {
                start.Environment.Remove(variable);
            }
            else
            {
                start.Environment[variable] = value;
            }
        }

        Process process = Process.Start(start) ?? throw new ProgramException($"'{path}' did not start.");
        RunningProgram program = new(process, string.Join(' ', arguments.Prepend(path)));
        try
        {
            process.StandardInput.Write(input);
            process.StandardInput.Close();
        }
        catch (IOException)
        {
            // Expected where the program ends without reading its input (EPIPE): its exit code tells the rest.
        }

        return program;
    }

    /// <summary>Waits for its end; false where it still runs after <paramref name="limit"/>.</summary>
    public bool WaitForExit(TimeSpan limit)
    {
        if (!process.WaitForExit(limit))
        {
            return false;
        }

        output.WaitForEnd(DrainLimit);
        error.WaitForEnd(DrainLimit);
        return true;
    }

    /// <summary>Waits until a line of either output satisfies <paramref name="condition"/>, and returns it.</summary>
    /// <exception cref="ProgramException">The program ended first, or the time did; the message has all it wrote.</exception>
    public string WaitForLine(Func<string, bool> condition, TimeSpan limit)
    {
        string? found = null;
        bool Look()
        {
            bool ended = process.HasExited && output.Ended && error.Ended;
            found = output.Find(condition) ?? error.Find(condition);
            return found is not null || ended;
        }

        Eventually.Within(Look, limit);
        return found ?? throw new ProgramException(
            $"'{CommandLine}' {(process.HasExited ? "ended" : $"ran for {limit.TotalSeconds:0.#} s")} without the awaited line.\n--- standard output:\n{Output}\n--- standard error:\n{Error}");
    }

    /// <summary>Kills it and its children now and waits for their end.</summary>
    public void Kill()
    {
        try
        {
            process.Kill(entireProcessTree: true);
        }
        catch (InvalidOperationException)
        {
            // Expected: it ended by itself in the meantime.
        }

        WaitForExit(DrainLimit);
    }

    /// <summary>Kills it where it still runs.</summary>
    public void Dispose()
    {
        if (!process.HasExited)
        {
            Kill();
        }

        process.Dispose();
    }

    private sealed class Collector
    {
        private readonly Lock gate = new();
        private readonly List<string> lines = [];
        private readonly ManualResetEventSlim end = new();

        public string Text
        {
            get
            {
                lock (gate)
                {
                    return lines.Aggregate(new StringBuilder(), (text, line) => text.Append(line).Append('\n')).ToString();
                }
            }
        }

        public bool Ended => end.IsSet;

        public void Add(string? line)
        {
            if (line is null)
            {
                end.Set();
                return;
            }

            lock (gate)
            {
                lines.Add(line);
            }
        }

        public string? Find(Func<string, bool> condition)
        {
            lock (gate)
            {
                return lines.Find(l => condition(l));
            }
        }

        public void WaitForEnd(TimeSpan limit) => end.Wait(limit);
    }
}
