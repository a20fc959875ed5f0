using System.Text.Json.Nodes;

namespace Dpu.EndToEnd.Tests;

/// <summary>
/// What a mount means, down to the errno: named cases of one C program (<c>Semantics/</c>), run on a local directory of the
/// same file system and through the mount. What the program saw, and what the host then holds, must be equal.
/// docs/semantics.md says what differs, and why.
/// </summary>
[TestClass]
public sealed partial class SemanticsTests
{
    private const string Trusting = "data";
    private const string Squashing = "squashed";
    private const string Mapping = "mapped";

    private static Pair s_pair = null!;
    private static string s_program = null!;

    [ClassInitialize]
    public static void Start(TestContext _)
    {
        s_pair = new Pair();
        s_program = Path.Combine(s_pair.Folder, "semantics");
        string[] sources = Directory.GetFiles(Repository.PathOf("tests/Dpu.EndToEnd.Tests/Semantics"), "*.c");
        ExternalProgram.Check("gcc", ["-std=gnu17", "-O1", "-Wall", "-Wextra", "-Werror", "-Wno-missing-field-initializers", "-o", s_program, .. sources], Pair.Limit);

        JsonObject trusting = Pair.Export(Trusting, s_pair.ExportRoot);
        trusting["allowDeviceNodes"] = true;
        JsonObject mapping = Pair.Export(Mapping, HostFolder(Mapping), squash: "root");
        mapping["userMap"] = new JsonArray(new JsonObject { ["dpu"] = 1000, ["host"] = 5000, ["count"] = 3 });
        mapping["groupMap"] = new JsonArray(
            new JsonObject { ["dpu"] = 1000, ["host"] = 6000, ["count"] = 3 }, new JsonObject { ["dpu"] = 3000, ["host"] = 7000, ["count"] = 1 });
        s_pair.AgentConfiguration["exports"] = new JsonArray(trusting, Pair.Export(Squashing, HostFolder(Squashing), squash: "root"), mapping);
        s_pair.StartAgent();
        JsonObject configuration = s_pair.RuntimeConfiguration();
        foreach (string export in new[] { Trusting, Squashing, Mapping })
        {
            Directory.CreateDirectory(HostFolder(export));
            configuration["mounts"]!.AsArray().Add(s_pair.Mount(export, export));
        }

        // Other users must reach the exports and the mounts, which lie in a folder of root's.
        Shell.Check($"chmod 755 {s_pair.Folder} {s_pair.MountRoot} {s_pair.ExportRoot} {HostFolder(Squashing)} {HostFolder(Mapping)}", "/");
        s_pair.StartRuntime(configuration);
        foreach (string export in new[] { Trusting, Squashing, Mapping })
        {
            Pair.WaitMounted(MountFolder(export));
        }
    }

    [ClassCleanup]
    public static void Stop() => s_pair.Dispose();

    private static string HostFolder(string export) => export == Trusting ? s_pair.ExportRoot : Path.Combine(s_pair.Folder, export);

    private static string MountFolder(string export) => Path.Combine(s_pair.MountRoot, export);

    /// <summary>Runs a case on a local directory and through the mount, and compares what was seen and what is left.</summary>
    private static void Compare(string name)
    {
        using var local = new TemporaryDirectory();
        Shell.Check($"chmod 755 {local.FullPath}", "/");
        string onHost = Directory.CreateDirectory(Path.Combine(s_pair.ExportRoot, name)).FullName;
        string there = Path.Combine(MountFolder(Trusting), name);

        string expected = Run(name, local.FullPath);
        string seen = Run(name, there);

        AssertSame(expected, seen, "what the program saw");
        string left = Run("describe", onHost);
        AssertSame(Run("describe", local.FullPath), left, "what the host holds");
        AssertSame(left, Run("describe", there), "what the mount shows of what the host holds");
    }

    /// <summary>Runs a case to its end; its transcript.</summary>
    private static string Run(string name, string where) => ExternalProgram.Check(s_program, [name, where], Pair.Limit);

    private static void AssertSame(string expected, string actual, string what)
    {
        if (expected == actual)
        {
            return;
        }

        string[] first = expected.Split('\n');
        string[] second = actual.Split('\n');
        IEnumerable<string> differences = Enumerable.Range(0, Math.Max(first.Length, second.Length))
            .Where(i => first.ElementAtOrDefault(i) != second.ElementAtOrDefault(i))
            .Select(i => $"line {i + 1}\n  local: {first.ElementAtOrDefault(i)}\n  mount: {second.ElementAtOrDefault(i)}");
        Assert.Fail($"{what} differs:\n{string.Join('\n', differences.Take(20))}");
    }
}
