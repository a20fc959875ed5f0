using System.Text.Json;
using Dpu.Hosting.Machine;

namespace Dpu.Hosting.Configuration;

/// <summary>What becomes of a process whose DPU stays away.</summary>
public enum LinkDownAction
{
    /// <summary>It goes on; its output waits, within the pipes' bounds.</summary>
    Keep,

    /// <summary>SIGTERM, and after the grace SIGKILL to all of its cgroup.</summary>
    Terminate,
}

/// <summary>A program of the host that DPUs may have run. Immutable.</summary>
/// <param name="Peers">Who.</param>
/// <param name="Path">The program: its absolute path, exactly.</param>
/// <param name="Sha256">What its file must be, in lower-case hexadecimal; null for whatever is there.</param>
/// <param name="Arguments">Patterns, of which each argument must match one; a lone <c>*</c> allows any. None: no arguments.</param>
/// <param name="Environment">Patterns of the names of variables that are passed on; others are dropped.</param>
/// <param name="Directories">Patterns of working directories.</param>
/// <param name="Capabilities">What it may have at most, by name; null for what its user has.</param>
/// <param name="Limits">Hard limits at most, by the resource's name.</param>
/// <param name="Cpus">The processors that it may use; null for all, or for those of <paramref name="Nodes"/>.</param>
/// <param name="Nodes">The NUMA nodes of which it may have memory; null for any.</param>
/// <param name="Squash">Who acts as nobody.</param>
/// <param name="AnonymousUid">The uid of nobody.</param>
/// <param name="AnonymousGid">The gid of nobody.</param>
/// <param name="UserMap">User ids that differ.</param>
/// <param name="GroupMap">Group ids that differ.</param>
/// <param name="OnLinkDown">What becomes of it where its DPU stays away.</param>
/// <param name="LinkDownFor">For how long.</param>
/// <param name="Grace">Between SIGTERM and SIGKILL.</param>
/// <param name="PidFiles">Options, each followed by the name of a file in which a daemon says its number.</param>
public sealed record ProgramConfiguration(
    IReadOnlyList<string> Peers,
    string Path,
    string? Sha256,
    IReadOnlyList<string> Arguments,
    IReadOnlyList<string> Environment,
    IReadOnlyList<string> Directories,
    IReadOnlyList<string>? Capabilities,
    IReadOnlyList<(string Resource, long Most)> Limits,
    string? Cpus,
    string? Nodes,
    SquashMode Squash,
    uint AnonymousUid,
    uint AnonymousGid,
    IReadOnlyList<IdMapping> UserMap,
    IReadOnlyList<IdMapping> GroupMap,
    LinkDownAction OnLinkDown,
    TimeSpan LinkDownFor,
    TimeSpan Grace,
    IReadOnlyList<string> PidFiles)
{
    /// <summary>Names of limits, by the kernel's numbers (RLIMIT_CPU is 0).</summary>
    public static readonly IReadOnlyList<string> LimitNames =
        ["cpu", "fsize", "data", "stack", "core", "rss", "nproc", "nofile", "memlock", "as", "locks", "sigpending", "msgqueue", "nice", "rtprio", "rttime"];

    // QEMU's, and what most daemons have.
    private static readonly IReadOnlyList<string> s_pidFiles = ["-pidfile", "--pidfile", "--pid-file"];

    private const uint Nobody = 65534;
    private const int MaxPatternSize = 4096;

    /// <inheritdoc/>
    public bool Equals(ProgramConfiguration? other) => other is not null
        && Peers.SequenceEqual(other.Peers) && Path == other.Path && Sha256 == other.Sha256 && Arguments.SequenceEqual(other.Arguments)
        && Environment.SequenceEqual(other.Environment) && Directories.SequenceEqual(other.Directories)
        && (Capabilities ?? [""]).SequenceEqual(other.Capabilities ?? [""]) && Limits.SequenceEqual(other.Limits) && Cpus == other.Cpus && Nodes == other.Nodes
        && Squash == other.Squash && AnonymousUid == other.AnonymousUid && AnonymousGid == other.AnonymousGid
        && UserMap.SequenceEqual(other.UserMap) && GroupMap.SequenceEqual(other.GroupMap)
        && OnLinkDown == other.OnLinkDown && LinkDownFor == other.LinkDownFor && Grace == other.Grace && PidFiles.SequenceEqual(other.PidFiles);

    /// <inheritdoc/>
    public override int GetHashCode() => HashCode.Combine(Path, Peers.Count, Arguments.Count, OnLinkDown);

    internal static ProgramConfiguration Read(ObjectReader reader, IReadOnlyCollection<string> peers)
    {
        string path = reader.RequiredString("path", Checks.AbsolutePath, "the absolute path of a program");
        string? sha = reader.OptionalString("sha256", text => text.Length == 64 && text.All(char.IsAsciiHexDigitLower) ? null : $"\"{text}\" is no SHA-256", "64 lower-case hexadecimal digits");
        List<string> directories = reader.Strings("directories", Directory, "a pattern of absolute paths, such as /var/lib/libvirt/**");
        var rule = new ProgramConfiguration(
            reader.Strings<string>("peers", text => peers.Contains(text) ? (text, null) : (null, $"\"{text}\" is none of \"peers\""), "a name of \"peers\""),
            path,
            sha,
            reader.Strings("arguments", Pattern, "a pattern of one argument; * and ? stand for any letters"),
            reader.Strings("environment", Name, "a pattern of names of variables, such as LC_*"),
            directories.Count == 0 && !reader.Has("directories") ? ["/**"] : directories,
            reader.Has("capabilities") ? reader.Strings("capabilities", Capability, "a name such as CAP_NET_ADMIN") : null,
            ReadLimits(reader.Object("limits")),
            reader.OptionalString("cpus", text => ListProblem(text, NumberList.MaxProcessors, "processors"), $"a list of processors below {NumberList.MaxProcessors}, such as 0-3,8"),
            reader.OptionalString("nodes", text => ListProblem(text, NumberList.MaxNodes, "NUMA nodes"), $"a list of NUMA nodes below {NumberList.MaxNodes}, such as 0 or 0-1"),
            reader.Choice("squash", SquashMode.Root, ("root", SquashMode.Root), ("all", SquashMode.All), ("none", SquashMode.None)),
            (uint)reader.Integer("anonymousUid", Nobody, 0, Checks.MaxId),
            (uint)reader.Integer("anonymousGid", Nobody, 0, Checks.MaxId),
            IdMapping.ReadList(reader, "userMap"),
            IdMapping.ReadList(reader, "groupMap"),
            reader.Choice("onLinkDown", LinkDownAction.Keep, ("keep", LinkDownAction.Keep), ("terminate", LinkDownAction.Terminate)),
            reader.Duration("linkDownFor", TimeSpan.FromMinutes(5), TimeSpan.FromMilliseconds(100), TimeSpan.FromDays(30)),
            reader.Duration("grace", TimeSpan.FromSeconds(10), TimeSpan.Zero, TimeSpan.FromHours(1)),
            reader.Has("pidFiles") ? reader.Strings("pidFiles", Option, "an option, such as --pid-file") : s_pidFiles);
        reader.End();
        return rule;
    }

    internal void WriteTo(Utf8JsonWriter writer)
    {
        writer.WriteStartObject();
        writer.WriteStrings("peers", Peers);
        writer.WriteString("path", Path);
        if (Sha256 is not null)
        {
            writer.WriteString("sha256", Sha256);
        }

        writer.WriteStrings("arguments", Arguments);
        writer.WriteStrings("environment", Environment);
        writer.WriteStrings("directories", Directories);
        if (Capabilities is not null)
        {
            writer.WriteStrings("capabilities", Capabilities);
        }

        writer.WriteStartObject("limits");
        foreach ((string resource, long most) in Limits)
        {
            writer.WriteNumber(resource, most);
        }

        writer.WriteEndObject();
        if (Cpus is not null)
        {
            writer.WriteString("cpus", Cpus);
        }

        if (Nodes is not null)
        {
            writer.WriteString("nodes", Nodes);
        }

        writer.WriteString("squash", Squash switch { SquashMode.All => "all", SquashMode.None => "none", _ => "root" });
        writer.WriteNumber("anonymousUid", AnonymousUid);
        writer.WriteNumber("anonymousGid", AnonymousGid);
        IdMapping.WriteList(writer, "userMap", UserMap);
        IdMapping.WriteList(writer, "groupMap", GroupMap);
        writer.WriteString("onLinkDown", OnLinkDown == LinkDownAction.Keep ? "keep" : "terminate");
        writer.WriteString("linkDownFor", DurationText.Format(LinkDownFor));
        writer.WriteString("grace", DurationText.Format(Grace));
        writer.WriteStrings("pidFiles", PidFiles);
        writer.WriteEndObject();
    }

    private static List<(string Resource, long Most)> ReadLimits(ObjectReader? reader)
    {
        List<(string Resource, long Most)> limits = [];
        if (reader is not null)
        {
            foreach (string name in LimitNames)
            {
                if (reader.OptionalInteger(name, 0, long.MaxValue) is { } most)
                {
                    limits.Add((name, most));
                }
            }

            reader.End();
        }

        return limits;
    }

    private static string? ListProblem(string text, int end, string what) =>
        text.Length == 0 ? $"is empty, and a program needs some {what}" : NumberList.TryParse(text, end) is null ? $"\"{text}\" is no list of {what}" : null;

    private static (string? Value, string? Problem) Pattern(string text) =>
        text.Length > MaxPatternSize ? (null, $"\"{text[..32]}...\" is longer than {MaxPatternSize}") : (text, null);

    private static (string? Value, string? Problem) Name(string text) =>
        text.Length is 0 or > MaxPatternSize || text.Contains('=', StringComparison.Ordinal) ? (null, $"\"{text}\" is no pattern of names") : (text, null);

    private static (string? Value, string? Problem) Option(string text) => text.Length is < 2 or > 256 || text[0] != '-' ? (null, $"\"{text}\" is no option") : (text, null);

    private static (string? Value, string? Problem) Capability(string text) => text.StartsWith("CAP_", StringComparison.Ordinal) ? (text, null) : (null, $"\"{text}\" is no capability");

    private static (string? Value, string? Problem) Directory(string text) =>
        text.Length == 0 || text[0] != '/' || text.Length > MaxPatternSize ? (null, $"\"{text}\" does not begin with /") : (text, null);
}
