using System.Text;
using System.Text.Json;

namespace Dpu.Hosting.Configuration;

/// <summary>Which callers act as nobody.</summary>
public enum SquashMode
{
    /// <summary>Root acts as nobody.</summary>
    Root,

    /// <summary>Everyone does.</summary>
    All,

    /// <summary>No one does: the DPU's root is the host's root below this path.</summary>
    None,
}

/// <summary>A directory that DPUs may mount. Immutable.</summary>
/// <param name="Name">What a DPU asks for.</param>
/// <param name="Path">The directory on the host.</param>
/// <param name="Peers">Who may mount it.</param>
/// <param name="ReadOnly">Whether nothing can be changed through it.</param>
/// <param name="Squash">Who acts as nobody.</param>
/// <param name="AnonymousUid">The uid of nobody.</param>
/// <param name="AnonymousGid">The gid of nobody.</param>
/// <param name="UserMap">User ids that differ; empty means the same ids at both ends.</param>
/// <param name="GroupMap">Group ids that differ; empty means the same ids at both ends.</param>
/// <param name="AllowDeviceNodes">Whether device nodes may be made.</param>
/// <param name="Cacheable">Whether DPUs may cache what they read, to be told of changes.</param>
/// <param name="Strict">Patterns of files that they may not cache all the same.</param>
/// <param name="Connect">Patterns of sockets that they may connect to.</param>
/// <param name="Bind">Patterns of sockets that they may bind.</param>
/// <param name="Fifos">FIFOs whose bytes may cross.</param>
/// <param name="Processes">Whether it is the host's procfs, into which a DPU may put its own processes.</param>
public sealed record ExportConfiguration(
    string Name,
    string Path,
    IReadOnlyList<string> Peers,
    bool ReadOnly,
    SquashMode Squash,
    uint AnonymousUid,
    uint AnonymousGid,
    IReadOnlyList<IdMapping> UserMap,
    IReadOnlyList<IdMapping> GroupMap,
    bool AllowDeviceNodes,
    bool Cacheable,
    IReadOnlyList<string> Strict,
    IReadOnlyList<string> Connect,
    IReadOnlyList<string> Bind,
    IReadOnlyList<FifoConfiguration> Fifos,
    bool Processes = false)
{
    /// <summary>Interfaces of the host that programs get which the DPU's programs pass an interface of that name to.</summary>
    public InterfaceRules Interfaces { get; init; } = InterfaceRules.None;

    /// <summary>What programs in views of DPUs may mount below it.</summary>
    public IReadOnlyList<MountRuleConfiguration> Mounts { get; init; } = [];

    /// <summary>nobody and nogroup on Debian, nobody on openEuler; also the kernel's overflow id.</summary>
    private const uint Nobody = 65534;

    private const int MaxPatterns = 64;
    private const int MaxPatternSize = 1024;

    internal static ExportConfiguration Read(ObjectReader reader, IReadOnlyCollection<string> peers)
    {
        (List<string> connect, List<string> bind) = ReadSockets(reader.Object("sockets"));
        var export = new ExportConfiguration(
            reader.RequiredString("name", Checks.ExportName, Checks.ExportNameAllowed),
            reader.RequiredString("path", Checks.AbsolutePath, Checks.AbsolutePathAllowed),
            reader.Strings<string>("peers", text => Peer(text, peers), "a name of \"peers\""),
            reader.Choice("access", true, ("read-only", true), ("read-write", false)),
            reader.Choice("squash", SquashMode.Root, ("root", SquashMode.Root), ("all", SquashMode.All), ("none", SquashMode.None)),
            (uint)reader.Integer("anonymousUid", Nobody, 0, Checks.MaxId),
            (uint)reader.Integer("anonymousGid", Nobody, 0, Checks.MaxId),
            IdMapping.ReadList(reader, "userMap"),
            IdMapping.ReadList(reader, "groupMap"),
            reader.Boolean("allowDeviceNodes", false),
            reader.Choice("cache", true, ("coherent", true), ("none", false)),
            reader.Strings<string>("strict", Pattern, "a pattern of names (*.img) or of paths below the export (images/**)"),
            connect,
            bind,
            FifoConfiguration.ReadList(reader, "fifos"),
            reader.Choice("kind", false, ("plain", false), ("proc", true)))
        { Interfaces = InterfaceRules.Read(reader, "interfaces"), Mounts = MountRuleConfiguration.ReadList(reader, "mounts") };
        export.Advise(reader);
        reader.End();
        return export;
    }

    internal void WriteTo(Utf8JsonWriter writer)
    {
        writer.WriteStartObject();
        writer.WriteString("name", Name);
        writer.WriteString("path", Path);
        writer.WriteStrings("peers", Peers);
        writer.WriteString("access", ReadOnly ? "read-only" : "read-write");
        writer.WriteString("squash", Squash switch { SquashMode.All => "all", SquashMode.None => "none", _ => "root" });
        writer.WriteNumber("anonymousUid", AnonymousUid);
        writer.WriteNumber("anonymousGid", AnonymousGid);
        IdMapping.WriteList(writer, "userMap", UserMap);
        IdMapping.WriteList(writer, "groupMap", GroupMap);
        writer.WriteBoolean("allowDeviceNodes", AllowDeviceNodes);
        writer.WriteString("cache", Cacheable ? "coherent" : "none");
        writer.WriteStrings("strict", Strict);
        writer.WriteStartObject("sockets");
        writer.WriteStrings("connect", Connect);
        writer.WriteStrings("bind", Bind);
        writer.WriteEndObject();
        FifoConfiguration.WriteList(writer, "fifos", Fifos);
        Interfaces.WriteTo(writer, "interfaces");
        MountRuleConfiguration.WriteList(writer, "mounts", Mounts);
        writer.WriteString("kind", Processes ? "proc" : "plain");
        writer.WriteEndObject();
    }

    private static (List<string> Connect, List<string> Bind) ReadSockets(ObjectReader? reader)
    {
        if (reader is null)
        {
            return ([], []);
        }

        List<string> connect = ReadSockets(reader, "connect");
        List<string> bind = ReadSockets(reader, "bind");
        reader.End();
        return (connect, bind);
    }

    private static List<string> ReadSockets(ObjectReader reader, string key)
    {
        List<string> patterns = reader.Strings<string>(key, Pattern, "a pattern of names (*.sock) or of paths below the export (run/**)");
        if (patterns.Count > MaxPatterns)
        {
            reader.Error(key, $"has {patterns.Count} patterns", $"at most {MaxPatterns}");
        }

        return patterns;
    }

    // A look-up tries them all, so that they are few and short.
    internal static (string? Value, string? Problem) Pattern(string text)
    {
        string? problem = text.Trim('/').Length == 0 || text.Contains("//", StringComparison.Ordinal) ? "has an empty part"
            : Encoding.UTF8.GetByteCount(text) > MaxPatternSize ? $"has more than {MaxPatternSize} bytes"
            : text.Contains('\0', StringComparison.Ordinal) ? "has a NUL, which no name has"
            : text.Split('/').Any(part => part is "." or "..") ? "has a part \".\" or \"..\", which no name is"
            : null;
        return problem is null ? (text, null) : (null, $"\"{text}\" {problem}");
    }

    private void Advise(ObjectReader reader)
    {
        if (!Cacheable && Strict.Count > 0)
        {
            reader.Warn("strict", "has no effect: \"cache\" is \"none\", and nothing is cached");
        }

        if (Strict.Count > MaxPatterns)
        {
            reader.Error("strict", $"has {Strict.Count} patterns", $"at most {MaxPatterns}");
        }

        if (Peers.Count == 0)
        {
            reader.Warn("peers", $"export \"{Name}\" is given to nobody");
        }

        if (Squash == SquashMode.None && !ReadOnly)
        {
            reader.Warn("squash", $"root on the DPU can do what root on the host can do below {Path}");
        }

        if (Bind.Count > 0 && ReadOnly)
        {
            reader.Warn("sockets", "\"bind\" has no effect: the export is read-only");
        }

        if (Mounts.Count > 0 && (ReadOnly || Processes))
        {
            reader.Warn("mounts", ReadOnly ? "has no effect: the export is read-only" : "has no effect: nothing is mounted in an export of kind \"proc\"");
        }

        if (AllowDeviceNodes && ReadOnly)
        {
            reader.Warn("allowDeviceNodes", "has no effect: the export is read-only");
        }
    }

    private static (string? Value, string? Problem) Peer(string text, IReadOnlyCollection<string> peers)
    {
        if (peers.Contains(text))
        {
            return (text, null);
        }

        string? meant = Suggestion.For(text, peers);
        return (null, meant is null
            ? $"\"{text}\" is none of \"peers\""
            : $"\"{text}\" is none of \"peers\"; did you mean \"{meant}\"?");
    }
}
