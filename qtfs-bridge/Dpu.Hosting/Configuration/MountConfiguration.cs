using System.Text.Json;

namespace Dpu.Hosting.Configuration;

/// <summary>A directory of a host that is mounted at start and whenever the host comes back. Immutable.</summary>
/// <param name="Host">The host's name.</param>
/// <param name="Export">The export's name, or the path that it exports.</param>
/// <param name="Target">The directory on the DPU.</param>
/// <param name="ReadOnly">Whether to mount read-only.</param>
/// <param name="AllowSuid">Whether setuid bits of the host count on the DPU.</param>
/// <param name="AllowDev">Whether device nodes of the host work on the DPU.</param>
/// <param name="Coherent">Whether what was read is kept until the host tells of a change.</param>
/// <param name="CacheTimeout">How long names and attributes may be believed without asking.</param>
/// <param name="Lanes">Connections that carry its requests.</param>
/// <param name="GiveUpAfter">How long an operation waits for a host that is away before it ends with EIO.</param>
/// <param name="Locks">Who keeps its locks; null is the host where it can, else the DPU.</param>
/// <param name="OwnProcesses">Whether the DPU's own processes are put into a mount of a host's procfs.</param>
/// <param name="ProcessFolder">Where the procfs of their pid namespace is mounted; null for /proc, by sessions.</param>
/// <param name="IoUring">Whether the kernel's requests come by io_uring, where that can be had.</param>
/// <param name="StaleAfter">How long what is kept is believed while the host cannot tell of changes; null for <see cref="DefaultStaleAfter"/>.</param>
public sealed record MountConfiguration(
    string Host,
    string Export,
    string Target,
    bool ReadOnly,
    bool AllowSuid,
    bool AllowDev,
    bool Coherent,
    TimeSpan CacheTimeout,
    int Lanes,
    TimeSpan GiveUpAfter,
    LockKeeper? Locks = null,
    bool OwnProcesses = false,
    string? ProcessFolder = null,
    bool IoUring = false,
    TimeSpan? StaleAfter = null)
{
    /// <summary>Lanes where nothing is said: one can carry data while the other answers metadata.</summary>
    public const int DefaultLanes = 2;

    /// <summary>Lanes at most: what a host allows one mount, which leaves a peer's other connections room.</summary>
    public const int MaxLanes = 32;

    /// <summary>The wait where nothing is said: long enough for an agent's restart, short of most watchdogs.</summary>
    public static readonly TimeSpan DefaultGiveUpAfter = TimeSpan.FromSeconds(60);

    /// <summary>How long a kept file is believed without its host where nothing is said: an agent's restart is not noticed.</summary>
    public static readonly TimeSpan DefaultStaleAfter = TimeSpan.FromSeconds(1);

    internal static MountConfiguration Read(ObjectReader reader, IReadOnlyCollection<string> hosts)
    {
        var mount = new MountConfiguration(
            reader.RequiredString("host", text => Unknown(text, hosts), "a name of \"hosts\""),
            reader.RequiredString("export", ExportProblem, "an export's name, or an absolute path"),
            reader.RequiredString("target", TargetProblem, Checks.AbsolutePathAllowed),
            reader.Boolean("readOnly", false),
            reader.Boolean("allowSuid", false),
            reader.Boolean("allowDev", false),
            reader.Choice("cache", false, ("none", false), ("coherent", true)),
            reader.Duration("cacheTimeout", TimeSpan.Zero, TimeSpan.Zero, TimeSpan.FromDays(1)),
            (int)reader.Integer("lanes", DefaultLanes, 1, MaxLanes),
            reader.Duration("giveUpAfter", DefaultGiveUpAfter, TimeSpan.FromSeconds(1), TimeSpan.FromDays(1)),
            reader.Choice<LockKeeper?>("locks", null, ("host", LockKeeper.Host), ("local", LockKeeper.Local)),
            reader.Choice("kind", false, ("plain", false), ("proc", true)),
            reader.OptionalString("processes", Checks.AbsolutePath, Checks.AbsolutePathAllowed),
            reader.Choice("transport", false, ("fuse", false), ("io_uring", true)),
            reader.Duration("staleAfter", DefaultStaleAfter, TimeSpan.Zero, TimeSpan.FromDays(1)));
        mount.Advise(reader);
        if (mount.Coherent && mount.CacheTimeout > TimeSpan.Zero)
        {
            reader.Warn("cacheTimeout", "has no effect: \"cache\" is \"coherent\"");
        }

        reader.End();
        return mount;
    }

    internal void WriteTo(Utf8JsonWriter writer)
    {
        writer.WriteStartObject();
        writer.WriteString("host", Host);
        writer.WriteString("export", Export);
        writer.WriteString("target", Target);
        writer.WriteBoolean("readOnly", ReadOnly);
        writer.WriteBoolean("allowSuid", AllowSuid);
        writer.WriteBoolean("allowDev", AllowDev);
        writer.WriteString("cache", Coherent ? "coherent" : "none");
        writer.WriteString("cacheTimeout", DurationText.Format(CacheTimeout));
        writer.WriteNumber("lanes", Lanes);
        writer.WriteString("giveUpAfter", DurationText.Format(GiveUpAfter));
        writer.WriteString("staleAfter", DurationText.Format(StaleAfter ?? DefaultStaleAfter));
        writer.WriteString("transport", IoUring ? "io_uring" : "fuse");
        if (Locks is { } keeper)
        {
            writer.WriteString("locks", keeper == LockKeeper.Host ? "host" : "local");
        }

        writer.WriteString("kind", OwnProcesses ? "proc" : "plain");
        if (ProcessFolder is { } folder)
        {
            writer.WriteString("processes", folder);
        }

        writer.WriteEndObject();
    }

    private void Advise(ObjectReader reader)
    {
        if (OwnProcesses && CacheTimeout > TimeSpan.Zero)
        {
            reader.Warn("cacheTimeout", "has no effect: nothing is kept of a mount of kind \"proc\"");
        }

        if (ProcessFolder is not null && !OwnProcesses)
        {
            reader.Warn("processes", "has no effect: \"kind\" is not \"proc\"");
        }
    }

    private static string? Unknown(string text, IReadOnlyCollection<string> hosts)
    {
        if (hosts.Contains(text))
        {
            return null;
        }

        string? meant = Suggestion.For(text, hosts);
        return meant is null ? $"\"{text}\" is none of \"hosts\"" : $"\"{text}\" is none of \"hosts\"; did you mean \"{meant}\"?";
    }

    private static string? ExportProblem(string text) =>
        text.StartsWith('/') ? Checks.AbsolutePath(text) : Checks.ExportName(text);

    private static string? TargetProblem(string text) =>
        text == "/" ? "\"/\" would hide the whole machine" : Checks.AbsolutePath(text);
}
