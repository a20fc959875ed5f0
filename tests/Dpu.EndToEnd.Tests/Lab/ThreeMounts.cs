using System.Text.Json.Nodes;

namespace Dpu.EndToEnd.Tests.Lab;

/// <summary>One export on three mounts: one that caches nothing, and two that cache coherently. All users may reach them.</summary>
internal sealed class ThreeMounts : IDisposable
{
    /// <summary>The mode without caches, as a mount's option.</summary>
    public const string None = "none";

    /// <summary>The mode with caches that the host keeps right.</summary>
    public const string Coherent = "coherent";

    private const string Second = "second";
    private readonly Pair _pair = new();

    /// <summary>Starts both daemons and waits for the mounts.</summary>
    /// <param name="changeAgent">What the host's configuration has besides.</param>
    public ThreeMounts(Action<JsonObject>? changeAgent = null)
    {
        _pair.AgentConfiguration["exports"]![0]!["allowDeviceNodes"] = true;
        _pair.AgentConfiguration["log"]!["level"] = "Information";
        changeAgent?.Invoke(_pair.AgentConfiguration);
        _pair.StartAgent();
        JsonObject configuration = _pair.RuntimeConfiguration();
        configuration["log"]!["level"] = "Information";
        foreach ((string target, string cache) in ((string, string)[])[(None, None), (Coherent, Coherent), (Second, Coherent)])
        {
            JsonObject mount = _pair.Mount("data", target);
            mount["cache"] = cache;
            configuration["mounts"]!.AsArray().Add(mount);
        }

        // Other users must reach the export and the mounts, which lie in a folder of root's.
        Shell.Check($"chmod 755 {_pair.Folder} {_pair.MountRoot} {_pair.ExportRoot}", "/");
        Runtime = _pair.StartRuntime(configuration);
        foreach (string target in (string[])[None, Coherent, Second])
        {
            Pair.WaitMounted(Path.Combine(_pair.MountRoot, target));
        }

        AwaitCache(MountOf(Coherent));
        AwaitCache(SecondMount);
    }

    /// <summary>A folder beside export and mounts, removed at the end.</summary>
    public string Folder => _pair.Folder;

    /// <summary>The host's directory.</summary>
    public string HostRoot => _pair.ExportRoot;

    public Daemon Agent => _pair.Agent;

    public Daemon Runtime { get; }

    /// <summary>Another mount that caches coherently.</summary>
    public string SecondMount => Path.Combine(_pair.MountRoot, Second);

    /// <summary>The mount of a mode.</summary>
    public string MountOf(string cache) => Path.Combine(_pair.MountRoot, cache);

    /// <summary>A new folder of the export: where a mode's mount has it, and where the host has it.</summary>
    public (string There, string OnHost) Place(string cache, string name)
    {
        string onHost = Directory.CreateDirectory(Path.Combine(HostRoot, $"{name}-{cache}")).FullName;
        string there = Path.Combine(MountOf(cache), Path.GetFileName(onHost));
        Eventually.True(() => Directory.Exists(there), Pair.Limit, "the new folder on the mount");
        return (there, onHost);
    }

    /// <summary>References to files that the DPU's kernel holds at the host, of all mounts.</summary>
    public long Nodes() => JsonNode.Parse(Agent.Ctl("status", "--json").EnsureSuccess().Output)!["sessions"]!.AsArray()
        .Sum(session => session!["openNodes"]!.GetValue<long>());

    public void Dispose() => _pair.Dispose();

    // Until then nothing is kept, and a test would not test what it says.
    private void AwaitCache(string mount) => Eventually.True(
        () =>
        {
            string absent = Path.Combine(mount, "never-there");
            _ = File.Exists(absent);
            long before = Requests(mount);
            _ = File.Exists(absent);
            return Requests(mount) == before;
        },
        Pair.Limit,
        "the cache of the mount");

    private long Requests(string target) =>
        JsonNode.Parse(Runtime.Ctl("mounts", "--json").EnsureSuccess().Output)!["mounts"]!.AsArray()
            .Single(mount => mount!["target"]!.GetValue<string>() == target)!["counters"]!["requests"]!.GetValue<long>();
}
