using System.Text.Json.Nodes;

namespace Dpu.EndToEnd.Tests.Lab;

/// <summary>A view <c>d1</c> that has an export at <c>/mnt</c>, below which its programs may mount. <see cref="Dispose"/> takes away what is left of that.</summary>
internal sealed class MountLab : IDisposable
{
    /// <summary>What works on the places of tests: everything that they try.</summary>
    private static readonly string[] s_types = ["tmpfs", "bind", "overlay", "proc"];

    /// <summary>Starts both daemons.</summary>
    /// <param name="cache">As of a mount; "timed" keeps names for a minute.</param>
    /// <param name="rules">Of the export; null for one that permits <c>open/**</c>.</param>
    /// <param name="agent">Changes the agent's configuration.</param>
    /// <param name="proxied">Whether a <see cref="LinkProxy"/> lies between.</param>
    public MountLab(string cache = "coherent", JsonArray? rules = null, Action<JsonObject, string>? agent = null, bool proxied = false)
    {
        View = new ViewLab(
            agent: (configuration, folder) =>
            {
                configuration["exports"]![0]!["mounts"] = rules ?? [Rule("open/**", s_types)];
                agent?.Invoke(configuration, folder);
            },
            runtime: (configuration, folder) =>
            {
                JsonNode mount = configuration["mounts"]![0]!;
                mount["cache"] = cache == "timed" ? "none" : cache;
                if (cache == "timed")
                {
                    mount["cacheTimeout"] = "60s";
                }

                if (proxied)
                {
                    Proxy = new LinkProxy($"{folder}/proxy.sock", $"{folder}/link.sock");
                    configuration["hosts"]![0]!["endpoint"] = $"unix://{folder}/proxy.sock";
                }
            });
        View.Describe("d1", new JsonObject { ["mounts"] = new JsonArray(ViewLab.Part("/mnt", "mount", $"{View.Pair.MountRoot}/data")) });
        Directory.CreateDirectory(Host("open"));
    }

    public ViewLab View { get; }

    public LinkProxy? Proxy { get; private set; }

    /// <summary>A rule of an export.</summary>
    public static JsonObject Rule(string match, params string[] types) => new() { ["match"] = match, ["types"] = new JsonArray([.. types.Select(type => (JsonNode)type)]) };

    /// <summary>A path of the export on the host.</summary>
    public string Host(string path) => $"{View.Pair.ExportRoot}/{path}";

    /// <summary>Makes directories on the host.</summary>
    public void Make(params string[] paths) => Array.ForEach(paths, path => Directory.CreateDirectory(Host(path)));

    /// <summary>What the host has mounted at a path of the export, one over the other; type and options.</summary>
    public string[] Mounted(string path) =>
        [.. File.ReadLines("/proc/self/mountinfo").Select(line => line.Split(' ')).Where(parts => parts[4] == Host(path)).Select(parts => $"{parts[Array.IndexOf(parts, "-") + 1]} {parts[5]}")];

    /// <summary>Runs a shell program in the view.</summary>
    public ProgramResult Run(string program) => View.Run("d1", program);

    /// <summary>As <see cref="Run"/>, of what must succeed, each command by itself; <c>fails</c> before one that must fail.</summary>
    public string Check(string program) => View.Check("d1", "set -e; fails() { if \"$@\" 2>/dev/null; then echo \"$* did not fail\"; exit 1; fi; }; " + program);

    /// <summary>Runs mount(2) and umount2(2) in the view as Python has them: <c>m(source, target, type, flags, data)</c>, <c>u(target, flags)</c> and <c>say</c>; its lines.</summary>
    public string[] Python(string program)
    {
        string file = $"{View.Folder}/calls.py";
        File.WriteAllText(file, Calls + program);
        return Check($"python3 {file}").Split('\n');
    }

    /// <summary>What <see cref="Python"/> has before a program.</summary>
    public const string Calls = """
        import ctypes, errno, os, sys
        c = ctypes.CDLL(None, use_errno=True)
        RDONLY, NOSUID, NODEV, REMOUNT, BIND, MOVE, REC, SHARED, PRIVATE = 1, 2, 4, 32, 4096, 8192, 16384, 1 << 20, 1 << 18
        def b(text): return text.encode() if isinstance(text, str) else text
        def say(*words): print(' '.join(map(str, words)) + '\n', end='', flush=True)
        def result(done): return 'OK' if done == 0 else errno.errorcode[ctypes.get_errno()]
        def m(source, target, type=None, flags=0, data=None): return result(c.mount(b(source), b(target), b(type), ctypes.c_ulong(flags), b(data)))
        def u(target, flags=0): return result(c.umount2(b(target), flags))

        """;

    public void Dispose()
    {
        string root = View.Pair.ExportRoot;
        string[] left = [.. File.ReadLines("/proc/self/mountinfo").Select(line => line.Split(' ')[4]).Where(point => point.StartsWith(root + "/", StringComparison.Ordinal)).Reverse()];
        Array.ForEach(left, point => ExternalProgram.Run("umount", ["-l", point], TimeSpan.FromSeconds(10)));
        View.Dispose();
        Proxy?.Dispose();
    }
}
