using System.Text.Json.Nodes;

namespace Dpu.EndToEnd.Tests.Lab;

/// <summary>What a program said, and how it ended.</summary>
internal sealed record Said(int Code, string Output, string Error);

/// <summary>A pair of daemons whose host lets its DPU run some programs.</summary>
internal sealed class ExecPair : IDisposable
{
    /// <summary>Starts both.</summary>
    /// <param name="kind">The link.</param>
    /// <param name="programs">Paths that may be run, with any arguments and variables; null for those that tests use.</param>
    /// <param name="change">Changes each rule.</param>
    /// <param name="cuts">Whether a <see cref="LinkProxy"/> lies between.</param>
    /// <param name="prepare">Called before anything starts.</param>
    /// <param name="runtime">Changes the runtime's configuration, where nothing lies between.</param>
    /// <param name="host">Where the host's processes are; null for here.</param>
    /// <param name="sockets">Whether sockets of the export can be connected to.</param>
    /// <param name="agent">Changes the agent's configuration.</param>
    public ExecPair(
        LinkKind kind = LinkKind.Unix, string[]? programs = null, Action<JsonObject>? change = null, bool cuts = false, Action<Pair>? prepare = null, Action<JsonObject, string>? runtime = null, PidNamespace? host = null, bool sockets = false,
        Action<JsonObject>? agent = null)
    {
        Pair = new Pair(kind, keeper: true, host);
        var rules = new JsonArray();
        foreach (string path in programs ?? ["/bin/echo", "/bin/sh", "/bin/cat", "/bin/true", "/usr/bin/tr", "/usr/bin/yes", "/usr/bin/python3", "/bin/sleep", "/usr/bin/env", "/usr/bin/id"])
        {
            JsonObject rule = Rule(path);
            change?.Invoke(rule);
            rules.Add(rule);
        }

        Pair.AgentConfiguration["programs"] = rules;
        if (sockets)
        {
            Pair.AgentConfiguration["exports"]![0]!["sockets"] = new JsonObject { ["connect"] = new JsonArray("**") };
        }

        agent?.Invoke(Pair.AgentConfiguration);
        prepare?.Invoke(Pair);
        if (cuts)
        {
            Proxy = LinkProxy.Up(Pair, out _);
        }
        else
        {
            _ = Pair.Up(changeRuntime: configuration => runtime?.Invoke(configuration, Pair.Folder));
        }

        Environment = new Dictionary<string, string?> { ["DPU_STUB_SOCKET"] = Pair.StubSocket, ["REXEC"] = $"{Pair.Folder}/rexec --" };
        File.CreateSymbolicLink($"{Pair.Folder}/rexec", Stub);
    }

    /// <summary>dpu-stub of the build.</summary>
    public static string Stub => Path.Combine(AppContext.BaseDirectory, "dpu-stub");

    public Pair Pair { get; }

    /// <summary>What lies between the daemons; null where nothing does.</summary>
    public LinkProxy? Proxy { get; }

    /// <summary>What programs of the DPU need to find the runtime.</summary>
    public Dictionary<string, string?> Environment { get; }

    /// <summary>A rule for any use of a program.</summary>
    public static JsonObject Rule(string path) => new()
    {
        ["peers"] = new JsonArray("dpu1"),
        ["path"] = path,
        ["arguments"] = new JsonArray("*"),
        ["environment"] = new JsonArray("*"),
        ["squash"] = "none",
    };

    /// <summary>Has a program run on the host, from a shell.</summary>
    public Said Rexec(string program)
    {
        ProgramResult result = ExternalProgram.Run("bash", ["-c", $"$REXEC {program}"], Pair.Limit, environment: Environment);
        Assert.IsFalse(result.TimedOut, $"'{program}' hung; its output: {result.Output}{result.Error}");
        return new(result.ExitCode, result.Output, result.Error);
    }

    /// <summary>Runs a shell program on the DPU that must succeed; its output without the last line's end.</summary>
    public string Check(string program)
    {
        ProgramResult result = ExternalProgram.Run("bash", ["-c", program], Pair.Limit, environment: Environment);
        Assert.IsFalse(result.TimedOut, $"'{program}' hung; its output: {result.Output}{result.Error}");
        return result.EnsureSuccess().Output.TrimEnd('\n');
    }

    /// <summary>Starts a shell program on the DPU.</summary>
    public RunningProgram Start(string program) => RunningProgram.Start("bash", ["-c", "exec " + program], environment: Environment);

    /// <summary>Starts a Python program on the host, by a stub.</summary>
    public RunningProgram StartPython(string program) => RunningProgram.Start($"{Pair.Folder}/rexec", ["--", "/usr/bin/python3", "-c", program], environment: Environment);

    /// <summary>The process of the host for a stub, as the agent's log names it.</summary>
    public int ProcessOf(RunningProgram stub)
    {
        int found = 0;
        Eventually.True(
            () => (found = Pair.Runtime.Log.Split('\n').Select(line => System.Text.RegularExpressions.Regex.Match(line, $@"process (\d+) of host 'host1' runs for stub {stub.Id},"))
                .Where(match => match.Success).Select(match => int.Parse(match.Groups[1].Value, System.Globalization.CultureInfo.InvariantCulture)).FirstOrDefault()) != 0,
            Pair.Limit, "the process's start");
        return found;
    }

    public void Dispose()
    {
        Proxy?.Dispose();
        Pair.Dispose();
    }
}
