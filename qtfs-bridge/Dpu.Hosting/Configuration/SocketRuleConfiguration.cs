using System.Text.Json;

namespace Dpu.Hosting.Configuration;

/// <summary>Sockets of the host outside of exports that DPUs may reach. Immutable.</summary>
/// <param name="Peers">Who.</param>
/// <param name="Connect">Patterns of absolute paths, or of abstract names with an @, that they may connect to.</param>
/// <param name="Listen">Patterns of those where the agent listens for them.</param>
/// <param name="Squash">Who acts as nobody.</param>
/// <param name="AnonymousUid">The uid of nobody.</param>
/// <param name="AnonymousGid">The gid of nobody.</param>
/// <param name="UserMap">User ids that differ.</param>
/// <param name="GroupMap">Group ids that differ.</param>
public sealed record SocketRuleConfiguration(
    IReadOnlyList<string> Peers,
    IReadOnlyList<string> Connect,
    IReadOnlyList<string> Listen,
    SquashMode Squash,
    uint AnonymousUid,
    uint AnonymousGid,
    IReadOnlyList<IdMapping> UserMap,
    IReadOnlyList<IdMapping> GroupMap)
{
    private const string Allowed = "a pattern of absolute paths (/run/libvirt/*.sock) or of abstract names (@docker/*)";
    private const uint Nobody = 65534;
    private const int MaxPatternSize = 1024;

    /// <inheritdoc/>
    public bool Equals(SocketRuleConfiguration? other) => other is not null
        && Peers.SequenceEqual(other.Peers) && Connect.SequenceEqual(other.Connect) && Listen.SequenceEqual(other.Listen) && Squash == other.Squash
        && AnonymousUid == other.AnonymousUid && AnonymousGid == other.AnonymousGid && UserMap.SequenceEqual(other.UserMap) && GroupMap.SequenceEqual(other.GroupMap);

    /// <inheritdoc/>
    public override int GetHashCode() => HashCode.Combine(Peers.Count, Connect.Count, Listen.Count, Squash);

    internal static SocketRuleConfiguration Read(ObjectReader reader, IReadOnlyCollection<string> peers)
    {
        var rule = new SocketRuleConfiguration(
            reader.Strings<string>("peers", text => peers.Contains(text) ? (text, null) : (null, $"\"{text}\" is none of \"peers\""), "a name of \"peers\""),
            reader.Strings<string>("connect", Pattern, Allowed),
            reader.Strings<string>("listen", Pattern, Allowed),
            reader.Choice("squash", SquashMode.Root, ("root", SquashMode.Root), ("all", SquashMode.All), ("none", SquashMode.None)),
            (uint)reader.Integer("anonymousUid", Nobody, 0, Checks.MaxId),
            (uint)reader.Integer("anonymousGid", Nobody, 0, Checks.MaxId),
            IdMapping.ReadList(reader, "userMap"),
            IdMapping.ReadList(reader, "groupMap"));
        reader.End();
        return rule;
    }

    internal void WriteTo(Utf8JsonWriter writer)
    {
        writer.WriteStartObject();
        writer.WriteStrings("peers", Peers);
        writer.WriteStrings("connect", Connect);
        writer.WriteStrings("listen", Listen);
        writer.WriteString("squash", Squash switch { SquashMode.All => "all", SquashMode.None => "none", _ => "root" });
        writer.WriteNumber("anonymousUid", AnonymousUid);
        writer.WriteNumber("anonymousGid", AnonymousGid);
        IdMapping.WriteList(writer, "userMap", UserMap);
        IdMapping.WriteList(writer, "groupMap", GroupMap);
        writer.WriteEndObject();
    }

    private static (string? Value, string? Problem) Pattern(string text) =>
        text.Length < 2 || text[0] is not ('/' or '@') ? (null, $"\"{text}\" begins with neither / nor @")
        : text.Length > MaxPatternSize ? (null, $"\"{text[..32]}...\" is longer than {MaxPatternSize}")
        : text[0] == '/' && Checks.AbsolutePath(text) is { } problem ? (null, problem)
        : (text, null);
}
