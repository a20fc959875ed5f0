using System.Text.Json.Nodes;

namespace Dpu.EndToEnd.Tests.Lab;

/// <summary>JSON as tests write it.</summary>
internal static class JsonParts
{
    /// <summary>The same object with one more member.</summary>
    public static JsonObject With(this JsonObject of, string name, JsonNode? value)
    {
        of[name] = value;
        return of;
    }
}

/// <summary>A pair of daemons with a folder of views. <see cref="Dispose"/> ends the views.</summary>
internal sealed class ViewLab : IDisposable
{
    /// <summary>Starts both.</summary>
    /// <param name="programs">As of <see cref="ExecPair"/>.</param>
    /// <param name="change">Changes each rule of those.</param>
    /// <param name="agent">Changes the agent's configuration.</param>
    /// <param name="runtime">Changes the runtime's.</param>
    public ViewLab(string[]? programs = null, Action<JsonObject>? change = null, Action<JsonObject, string>? agent = null, Action<JsonObject, string>? runtime = null)
    {
        Exec = new ExecPair(programs: programs, change: change, prepare: pair =>
        {
            Directory.CreateDirectory($"{pair.Folder}/views.d");
            agent?.Invoke(pair.AgentConfiguration, pair.Folder);
        }, runtime: (configuration, folder) =>
        {
            configuration["viewsFolder"] = $"{folder}/views.d";
            configuration["viewSocket"] = $"{folder}/state/view.sock";
            configuration["metrics"] = new JsonObject { ["listen"] = $"127.0.0.1:{_port}" };
            runtime?.Invoke(configuration, folder);
        });
    }

    private readonly int _port = FreePort.Take();

    public ExecPair Exec { get; }

    public Pair Pair => Exec.Pair;

    public string Folder => Pair.Folder;

    public string Socket => $"{Folder}/state/view.sock";

    /// <summary>dpu-run of the build.</summary>
    public static string Program => Path.Combine(AppContext.BaseDirectory, "dpu-run");

    /// <summary>Describes a view.</summary>
    public string Describe(string name, JsonObject view)
    {
        string file = $"{Folder}/views.d/{name}.json";
        File.WriteAllText(file, view.ToJsonString());
        return file;
    }

    /// <summary>A part of a view.</summary>
    public static JsonObject Part(string target, string kind, JsonNode what) => new() { ["target"] = target, [kind] = what };

    /// <summary>An empty directory of the DPU.</summary>
    public string Made(string name) => Directory.CreateDirectory(Path.Combine(Folder, "dpu", name)).FullName;

    /// <summary>Runs a shell program in a view.</summary>
    public ProgramResult Run(string view, string program, params string[] options) =>
        ExternalProgram.Run(Program, ["--socket", Socket, .. options, view, "--", "bash", "-c", program], Pair.Limit);

    /// <summary>As <see cref="Run"/>, of what must succeed; its output without the last line's end.</summary>
    public string Check(string view, string program)
    {
        ProgramResult result = Run(view, program);
        Assert.IsFalse(result.TimedOut, $"'{program}' hung; its output: {result.Output}{result.Error}");
        Assert.AreEqual(0, result.ExitCode, $"'{program}' failed: {result.Output}{result.Error}\n{Pair.Runtime.Log}\n{Pair.Agent.Log}\n{string.Join('\n', File.ReadLines("/proc/self/mountinfo").Where(line => line.Contains(Pair.ExportRoot, StringComparison.Ordinal)))}");
        return result.Output.TrimEnd('\n');
    }

    /// <summary>Starts a shell program in a view.</summary>
    public RunningProgram Start(string view, string program) => RunningProgram.Start(Program, ["--socket", Socket, view, "--", "bash", "-c", program]);

    /// <summary>Runs dpuctl view.</summary>
    public ProgramResult Ctl(params string[] arguments) => Pair.Runtime.Ctl(["view", .. arguments]);

    /// <summary>A view as dpuctl shows it.</summary>
    public JsonNode Show(string name) => JsonNode.Parse(Pair.Runtime.Ctl("view", "show", name, "--json").EnsureSuccess().Output)!;

    /// <summary>The number of its first process.</summary>
    public int InitOf(string name) => Show(name)["initPid"]!.GetValue<int>();

    /// <summary>How often a call was intercepted, and done in the kernel's place.</summary>
    public (long Intercepted, long Done) Calls(string view, string call) =>
        Show(view)["calls"]!.AsArray().FirstOrDefault(one => one!["name"]!.GetValue<string>() == call) is { } found ? (found["intercepted"]!.GetValue<long>(), found["done"]!.GetValue<long>()) : (0, 0);

    /// <summary>The one process of the host that runs, and its stub, by their numbers here.</summary>
    public (int Host, int Stub) StandIn()
    {
        JsonNode? found = null;
        Eventually.True(() => (found = HostProcesses().FirstOrDefault()) is not null, Pair.Limit, "a process of the host");
        return (found!["hostPid"]!.GetValue<int>(), found["pid"]!.GetValue<int>());
    }

    /// <summary>Processes of the host that run.</summary>
    public JsonArray HostProcesses() => JsonNode.Parse(Pair.Runtime.Ctl("ps", "--json").EnsureSuccess().Output)!["processes"]!.AsArray();

    /// <summary>The runtime's metrics.</summary>
    public string Metrics()
    {
        using var client = new HttpClient();
        return client.GetStringAsync(new Uri($"http://127.0.0.1:{_port}/metrics")).GetAwaiter().GetResult();
    }

    public void Dispose()
    {
        if (Pair.Runtime is { HasExited: false })
        {
            foreach (string file in Directory.GetFiles($"{Folder}/views.d"))
            {
                _ = Ctl("delete", "--force", Path.GetFileNameWithoutExtension(file));
            }
        }

        Exec.Dispose();
    }
}
