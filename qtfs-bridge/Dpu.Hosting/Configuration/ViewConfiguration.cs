using System.Text.RegularExpressions;

namespace Dpu.Hosting.Configuration;

/// <summary>Calls of a view's programs that are done on a host where they mean something of it.</summary>
[Flags]
public enum ViewCalls
{
    /// <summary>None.</summary>
    None = 0,

    /// <summary>sched_setaffinity(2), sched_setscheduler(2) and their like.</summary>
    Scheduling = 1,

    /// <summary>prlimit(2).</summary>
    Limits = 2,

    /// <summary>getpriority(2) and setpriority(2).</summary>
    Priority = 4,

    /// <summary>uname(2), which is not done on a host: it answers <see cref="ViewConfiguration.Machine"/>.</summary>
    Name = 8,

    /// <summary>mount(2), umount2(2) and their like: what is below a mount of a host is done there.</summary>
    Mounts = 16,
}

/// <summary>A program of a host that a view has in a place of its own.</summary>
/// <param name="Program">Its path, here and on the host.</param>
/// <param name="Host">Which; null where there is one only.</param>
/// <param name="Line">Where in the file it is.</param>
public sealed record ViewStubConfiguration(string Program, string? Host, int Line);

/// <summary>
/// What a daemon sees that works with a host's files and processes: <c>/etc/dpu/views.d/NAME.json</c>. What is not said is as it is on the DPU, but
/// keys, configuration and sockets of the DPU's daemons, which no view has. Immutable.
/// </summary>
/// <param name="Name">The file's name without its end.</param>
/// <param name="File">The file.</param>
/// <param name="Hostname">What the view calls itself; empty for as the DPU does.</param>
/// <param name="Machine">What uname(2) says of its processor; empty for what is so.</param>
/// <param name="OwnNetwork">Whether it has a network of its own, with a loopback interface alone.</param>
/// <param name="FirstPid">The lowest number of a process; 0 for half of the highest.</param>
/// <param name="BelowPid">The first number that is too high; 0 for the kernel's own bound.</param>
/// <param name="Calls">Calls that are done on hosts.</param>
/// <param name="Mounts">Its parts, in the order in which they are mounted.</param>
/// <param name="Stubs">Programs of hosts.</param>
public sealed partial record ViewConfiguration(
    string Name, string File, string Hostname, string Machine, bool OwnNetwork, int FirstPid, int BelowPid, ViewCalls Calls, IReadOnlyList<ViewMountConfiguration> Mounts, IReadOnlyList<ViewStubConfiguration> Stubs)
{
    /// <summary>Where the files are unless the runtime's configuration says otherwise.</summary>
    public const string DefaultFolder = "/etc/dpu/views.d";

    /// <summary>Where dpu-run finds the runtime unless that is said otherwise.</summary>
    public const string DefaultSocket = "/run/dpu/view.sock";

    /// <summary>What a file's name ends with.</summary>
    public const string Suffix = ".json";

    /// <summary>What a name may be: a file's, a host's, and an argument's.</summary>
    public const string NameAllowed = Checks.NameAllowed;

    // Names of processes of a machine: 4 to PID_MAX_LIMIT.
    private const int LowestPid = 300;
    private const int HighestPid = 4 << 20;
    private const int FewestPids = 1000;
    private const int Most = 256;

    private static readonly (string Word, ViewCalls Value)[] s_calls = [("scheduling", ViewCalls.Scheduling), ("limits", ViewCalls.Limits), ("priority", ViewCalls.Priority), ("mounts", ViewCalls.Mounts)];

    /// <summary>Why a text names no view; null where it may.</summary>
    public static string? NameProblem(string text) => Checks.Name(text);

    /// <summary>Reads a file.</summary>
    /// <param name="file">Its path; its name is the view's.</param>
    public static ConfigurationResult<ViewConfiguration> Load(string file)
    {
        byte[] json;
        try
        {
            using FileStream stream = new(file, FileMode.Open, FileAccess.Read, FileShare.Read);
            json = new byte[Math.Min(stream.Length, ConfigurationParser.MaxLength) + 1];
            json = json[..stream.ReadAtLeast(json, json.Length, throwOnEndOfStream: false)];
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or NotSupportedException or ArgumentException)
        {
            // Expected: the file is missing or not for us.
            return new(null, [new(file, 0, "", $"cannot be read: {e.Message}", null)], []);
        }

        return Parse(json, file);
    }

    /// <summary>Reads the text of a file.</summary>
    public static ConfigurationResult<ViewConfiguration> Parse(ReadOnlySpan<byte> json, string file)
    {
        List<ConfigurationError> errors = [];
        List<ConfigurationError> warnings = [];
        string name = Path.GetFileName(file);
        name = name.EndsWith(Suffix, StringComparison.Ordinal) ? name[..^Suffix.Length] : name;
        if (NameProblem(name) is { } problem)
        {
            errors.Add(new(file, 0, "", $"its name is the view's: {problem}", $"{NameAllowed}, and {Suffix} behind"));
        }

        ConfigurationNode? root = ConfigurationParser.Parse(json, file, hasLines: true, errors);
        if (root is null || root.Kind != ConfigurationNodeKind.Object)
        {
            if (errors.Count == 0)
            {
                errors.Add(new(file, root?.Line ?? 1, "", root is null ? "is empty" : $"is {root.KindName}", "a JSON object"));
            }

            return new(null, errors, warnings);
        }

        ViewConfiguration read = Read(new ObjectReader(root, "", errors, warnings), name, file);
        return new(errors.Count == 0 ? read : null, errors, warnings);
    }

    private static ViewConfiguration Read(ObjectReader reader, string name, string file)
    {
        string hostname = reader.OptionalString("hostname", text => HostnamePattern().IsMatch(text) ? null : $"\"{text}\" is no hostname", "letters, digits, '-' and '.', up to 64") ?? "";
        string machine = reader.OptionalString("machine", text => MachinePattern().IsMatch(text) ? null : $"\"{text}\" is no processor's name", "as uname -m says, for example x86_64") ?? "";
        bool network = reader.Choice("network", false, ("dpu", false), ("own", true));
        (int first, int below) = reader.Object("pids") is { } pids ? ReadPids(pids) : (0, 0);
        ViewCalls calls = ViewCalls.Scheduling | ViewCalls.Limits | ViewCalls.Priority | ViewCalls.Mounts;
        if (reader.Has("intercept"))
        {
            calls = reader.Strings("intercept", ToCall, "\"scheduling\", \"limits\", \"priority\", \"mounts\"").Aggregate(ViewCalls.None, (all, one) => all | one.Value);
        }

        List<ViewMountConfiguration> mounts = reader.Objects("mounts", ViewMountConfiguration.Read);
        List<ViewStubConfiguration> stubs = reader.Objects("stubs", ReadStub);
        if (mounts.Count > Most || stubs.Count > Most)
        {
            reader.Error(mounts.Count > Most ? "mounts" : "stubs", $"has {Math.Max(mounts.Count, stubs.Count)} entries", $"at most {Most}");
        }

        CheckOrder(reader, mounts, stubs);
        reader.End();
        return new(name, file, hostname, machine, network, first, below, calls | (machine.Length > 0 ? ViewCalls.Name : 0), mounts, stubs);
    }

    private static (int First, int Below) ReadPids(ObjectReader reader)
    {
        int first = (int)reader.Integer("first", 0, LowestPid, HighestPid - FewestPids);
        int below = (int)reader.Integer("below", 0, LowestPid + FewestPids, HighestPid);
        if (below > 0 && below - first < FewestPids)
        {
            reader.Error("below", $"leaves {below - first} numbers from \"first\" on", $"at least {FewestPids}");
        }

        reader.End();
        return (first, below);
    }

    private static ViewStubConfiguration ReadStub(ObjectReader reader)
    {
        var stub = new ViewStubConfiguration(
            reader.RequiredString("program", text => text == "/" ? "\"/\" is no program" : Checks.AbsolutePath(text) ?? DpuPaths.TargetProblem(text), Checks.AbsolutePathAllowed),
            reader.OptionalString("host", Checks.Name, Checks.NameAllowed),
            reader.Line);
        reader.End();
        return stub;
    }

    // What is mounted later in a place that is hidden then, or hides what was mounted before, was not meant.
    private static void CheckOrder(ObjectReader reader, List<ViewMountConfiguration> mounts, List<ViewStubConfiguration> stubs)
    {
        for (int i = 0; i < mounts.Count; i++)
        {
            for (int j = 0; j < i; j++)
            {
                if (mounts[i].Target == mounts[j].Target)
                {
                    reader.Error("mounts", $"[{i}] (line {mounts[i].Line}) is mounted on \"{mounts[i].Target}\" as [{j}] (line {mounts[j].Line}) is", "each target once");
                }
                else if (DpuPaths.IsIn(mounts[j].Target, mounts[i].Target))
                {
                    reader.Error("mounts", $"[{i}] (line {mounts[i].Line}), on \"{mounts[i].Target}\", hides [{j}] (line {mounts[j].Line}), on \"{mounts[j].Target}\"", "outer ones first: change their order");
                }
            }
        }

        foreach (IGrouping<string, ViewStubConfiguration> same in stubs.GroupBy(stub => stub.Program).Where(group => group.Count() > 1))
        {
            reader.Error("stubs", $"has \"{same.Key}\" {same.Count()} times (lines {string.Join(", ", same.Select(stub => stub.Line))})", "each program once");
        }

        foreach (ViewStubConfiguration stub in stubs.Where(stub => mounts.Exists(mount => DpuPaths.IsIn(mount.Target, stub.Program))))
        {
            reader.Error("stubs", $"has \"{stub.Program}\" (line {stub.Line}), on or above which \"mounts\" has something", "programs that are files");
        }

        if (mounts.Count(mount => mount.Kind == ViewMountKind.Processes) > 1)
        {
            reader.Error("mounts", "has \"processes\" more than once: the view's own processes appear in one", null);
        }

        foreach (ViewMountConfiguration mount in mounts.Where(mount => DpuPaths.IsIn(mount.Target, "/proc") && mount.Target != "/proc"))
        {
            reader.Error("mounts", $"has \"{mount.Target}\" (line {mount.Line}) in /proc, where nothing can be", "\"/proc\" itself, or a place elsewhere");
        }
    }

    private static (Box? Value, string? Problem) ToCall(string text)
    {
        foreach ((string word, ViewCalls value) in s_calls)
        {
            if (word == text)
            {
                return (new Box(value), null);
            }
        }

        string? meant = Suggestion.For(text, s_calls.Select(one => one.Word));
        return (null, $"\"{text}\" is none of them{(meant is null ? "" : $"; did you mean \"{meant}\"?")}");
    }

    [GeneratedRegex(@"^[A-Za-z0-9]([A-Za-z0-9.-]{0,62}[A-Za-z0-9])?\z")]
    private static partial Regex HostnamePattern();

    [GeneratedRegex(@"^[A-Za-z0-9_.-]{1,64}\z")]
    private static partial Regex MachinePattern();

    private sealed record Box(ViewCalls Value);
}
