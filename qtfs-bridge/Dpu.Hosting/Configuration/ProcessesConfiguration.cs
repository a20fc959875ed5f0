using System.Text.Json;
using System.Text.RegularExpressions;

namespace Dpu.Hosting.Configuration;

/// <summary>What the processes that DPUs have run are put into, so that all that comes of one can be found and killed.</summary>
public enum ProcessScopes
{
    /// <summary>A scope of systemd's where that runs the machine, else a cgroup of the agent's own.</summary>
    Auto,

    /// <summary>A scope, wherever <see cref="ProcessesConfiguration.Bus"/> leads.</summary>
    Systemd,

    /// <summary>A cgroup of the agent's own.</summary>
    Cgroup,
}

/// <summary>The groups of the processes that DPUs have run. Immutable.</summary>
/// <param name="Scopes">Whose they are.</param>
/// <param name="Bus">Where systemd is asked; null for the machine's bus, and then systemd's own socket.</param>
/// <param name="Slice">The slice that scopes are in.</param>
/// <param name="AnswerWithin">Within which time systemd must have made a scope.</param>
public sealed partial record ProcessesConfiguration(ProcessScopes Scopes, string? Bus, string Slice, TimeSpan AnswerWithin)
{
    private const string DefaultSlice = "dpu.slice";
    private const string Auto = "auto";

    // Of a unit's name (UNIT_NAME_MAX), and of sun_path.
    private const int MaxSlice = 255;
    private const int MaxSocketPath = 107;

    private static readonly TimeSpan s_answerWithin = TimeSpan.FromSeconds(5);

    internal static ProcessesConfiguration Read(ObjectReader? reader)
    {
        if (reader is null)
        {
            return new(ProcessScopes.Auto, null, DefaultSlice, s_answerWithin);
        }

        ProcessScopes scopes = reader.Choice("scopes", ProcessScopes.Auto, (Auto, ProcessScopes.Auto), ("systemd", ProcessScopes.Systemd), ("cgroup", ProcessScopes.Cgroup));
        string bus = reader.OptionalString("bus", BusProblem, $"\"{Auto}\", or an address of D-Bus such as unix:path=/run/dbus/system_bus_socket") ?? Auto;
        string slice = reader.OptionalString("slice", SliceProblem, "the name of a slice, such as dpu.slice") ?? DefaultSlice;
        TimeSpan within = reader.Duration("answerWithin", s_answerWithin, TimeSpan.FromMilliseconds(100), TimeSpan.FromSeconds(20));
        reader.End();
        return new(scopes, bus == Auto ? null : bus, slice, within);
    }

    internal void WriteTo(Utf8JsonWriter writer)
    {
        writer.WriteStartObject("processes");
        writer.WriteString("scopes", Scopes switch { ProcessScopes.Systemd => "systemd", ProcessScopes.Cgroup => "cgroup", _ => Auto });
        writer.WriteString("bus", Bus ?? Auto);
        writer.WriteString("slice", Slice);
        writer.WriteString("answerWithin", DurationText.Format(AnswerWithin));
        writer.WriteEndObject();
    }

    private static string? BusProblem(string text)
    {
        const string ByPath = "unix:path=";
        if (text == Auto)
        {
            return null;
        }

        if (!text.StartsWith(ByPath, StringComparison.Ordinal) || text.AsSpan(ByPath.Length).ContainsAny(",;"))
        {
            return $"\"{text}\" is no address of a unix socket";
        }

        string path = text[ByPath.Length..];
        return Checks.AbsolutePath(path) ?? (path.Length > MaxSocketPath ? $"\"{path}\" is too long for a unix socket" : null);
    }

    private static string? SliceProblem(string text) => text.Length <= MaxSlice && SlicePattern().IsMatch(text) ? null : $"\"{text}\" is no slice";

    // A dash leads from a slice to one within it: none may be empty (systemd.slice(5)).
    [GeneratedRegex(@"^[A-Za-z0-9:_.\\]+(-[A-Za-z0-9:_.\\]+)*\.slice\z")]
    private static partial Regex SlicePattern();
}
