using System.Globalization;
using System.Text.Json;

namespace Dpu.Hosting.Configuration;

/// <summary>Flows that are kept in step. Immutable.</summary>
/// <param name="History">The file that keeps what passes find; null for none.</param>
/// <param name="Keep">How long.</param>
/// <param name="Passes">How many passes it keeps at most.</param>
/// <param name="Pairs">What is compared with what.</param>
public sealed record ReconcileConfiguration(string? History, TimeSpan Keep, int Passes, IReadOnlyList<ReconcilePairConfiguration> Pairs)
{
    /// <summary>Nothing is compared.</summary>
    public static ReconcileConfiguration None { get; } = new(null, TimeSpan.FromDays(30), 10_000, []);

    internal static ReconcileConfiguration Read(ObjectReader? reader)
    {
        if (reader is null)
        {
            return None;
        }

        ReconcileConfiguration configuration = new(
            reader.OptionalString("history", Checks.AbsolutePath, "an absolute path"),
            reader.Duration("keep", None.Keep, TimeSpan.FromMinutes(1), TimeSpan.FromDays(3650)),
            (int)reader.Integer("passes", None.Passes, 1, 10_000_000),
            reader.Objects("pairs", ReconcilePairConfiguration.Read));
        Endpoints.ReportDuplicates(reader, "pairs", configuration.Pairs.Select(p => p.Name));
        reader.End();
        return configuration;
    }

    internal void WriteTo(Utf8JsonWriter writer)
    {
        writer.WriteStartObject("reconcile");
        if (History is not null)
        {
            writer.WriteString("history", History);
        }

        writer.WriteString("keep", DurationText.Format(Keep));
        writer.WriteNumber("passes", Passes);
        writer.WriteStartArray("pairs");
        foreach (ReconcilePairConfiguration pair in Pairs)
        {
            pair.WriteTo(writer);
        }

        writer.WriteEndArray();
        writer.WriteEndObject();
    }

    /// <inheritdoc/>
    public bool Equals(ReconcileConfiguration? other) =>
        other is not null && History == other.History && Keep == other.Keep && Passes == other.Passes && Pairs.SequenceEqual(other.Pairs);

    /// <inheritdoc/>
    public override int GetHashCode() => HashCode.Combine(History, Keep, Passes, Pairs.Count);
}

/// <summary>One side, and another one that is to be as it. Immutable.</summary>
/// <param name="Name">What metrics and commands call it.</param>
/// <param name="Desired">What should be, as <c>dpuctl reconcile</c> names targets.</param>
/// <param name="Actual">What is.</param>
/// <param name="Interval">From the end of one pass to the next.</param>
/// <param name="OnEvents">Passes begin also when the runtime's table changes, where it is a side.</param>
/// <param name="Apply">Repair what is found; without it nothing is changed.</param>
/// <param name="ExpectOffload">A flow that is not in hardware is a difference.</param>
/// <param name="Owner">Bits of our cookies and their mask, as 0x10/0xf0; null where all flows are ours.</param>
/// <param name="Ports">Ports and interfaces for traffic control, as 1=eth0.</param>
/// <param name="Timeout">A pass that takes longer is given up.</param>
/// <param name="MaxDeletes">Deletes of one pass.</param>
/// <param name="ChangesPerSecond">Changes a second on average; 0 for no bound.</param>
/// <param name="ConfirmAfter">A difference must be there for so long before it counts.</param>
/// <param name="CounterDelay">Counters that stand still while packets pass are differences: how late the actual side tells them; zero to leave them alone.</param>
public sealed record ReconcilePairConfiguration(
    string Name, string Desired, string Actual, TimeSpan Interval, bool OnEvents, bool Apply, bool ExpectOffload, string? Owner, IReadOnlyList<string> Ports, TimeSpan Timeout, int MaxDeletes, int ChangesPerSecond, TimeSpan ConfirmAfter, TimeSpan CounterDelay)
{
    private const string TargetAllowed = "\"runtime\", \"bridge:NAME\", \"datapath:SOCKET\", \"tc:DEV\", \"tc:block:N\", \"emulated:CAPACITY\", or an absolute path";

    /// <inheritdoc/>
    public bool Equals(ReconcilePairConfiguration? other) => other is not null && Key == other.Key && Ports.SequenceEqual(other.Ports);

    /// <inheritdoc/>
    public override int GetHashCode() => Key.GetHashCode();

    internal static ReconcilePairConfiguration Read(ObjectReader reader)
    {
        ReconcilePairConfiguration pair = new(
            reader.RequiredString("name", Checks.Name, Checks.NameAllowed),
            reader.RequiredString("desired", TargetProblem, TargetAllowed),
            reader.RequiredString("actual", TargetProblem, TargetAllowed),
            reader.Duration("interval", TimeSpan.FromMinutes(1), TimeSpan.FromMilliseconds(100), TimeSpan.FromDays(7)),
            reader.Boolean("onEvents", true),
            reader.Boolean("apply", false),
            reader.Boolean("expectOffload", false),
            reader.OptionalString("owner", OwnerProblem, "bits of cookies and a mask, as \"0x10/0xf0\""),
            reader.Strings("ports", PortOf, "a port and its interface, as \"1=eth0\""),
            reader.Duration("timeout", TimeSpan.FromMinutes(5), TimeSpan.FromSeconds(1), TimeSpan.FromDays(1)),
            (int)reader.Integer("maxDeletes", int.MaxValue, 0, int.MaxValue),
            (int)reader.Integer("changesPerSecond", 0, 0, int.MaxValue),
            reader.Duration("confirmAfter", TimeSpan.FromSeconds(2), TimeSpan.Zero, TimeSpan.FromHours(1)),
            reader.Duration("counterDelay", TimeSpan.Zero, TimeSpan.Zero, TimeSpan.FromHours(1)));
        if (pair.Desired == pair.Actual && pair.Desired.Length > 0)
        {
            reader.Error("actual", "is the same as \"desired\"", TargetAllowed);
        }

        reader.End();
        return pair;
    }

    internal void WriteTo(Utf8JsonWriter writer)
    {
        writer.WriteStartObject();
        writer.WriteString("name", Name);
        writer.WriteString("desired", Desired);
        writer.WriteString("actual", Actual);
        writer.WriteString("interval", DurationText.Format(Interval));
        writer.WriteBoolean("onEvents", OnEvents);
        writer.WriteBoolean("apply", Apply);
        writer.WriteBoolean("expectOffload", ExpectOffload);
        if (Owner is not null)
        {
            writer.WriteString("owner", Owner);
        }

        writer.WriteStartArray("ports");
        foreach (string port in Ports)
        {
            writer.WriteStringValue(port);
        }

        writer.WriteEndArray();
        writer.WriteString("timeout", DurationText.Format(Timeout));
        writer.WriteNumber("maxDeletes", MaxDeletes);
        writer.WriteNumber("changesPerSecond", ChangesPerSecond);
        writer.WriteString("confirmAfter", DurationText.Format(ConfirmAfter));
        writer.WriteString("counterDelay", DurationText.Format(CounterDelay));
        writer.WriteEndObject();
    }

    /// <summary>The bits and the mask of <see cref="Owner"/>; both 0 where all flows are ours.</summary>
    public (ulong Cookie, ulong Mask) OwnerBits => Owner is { } text && TryOwner(text, out ulong cookie, out ulong mask) ? (cookie & mask, mask) : default;

    private (string, string, string, TimeSpan, bool, bool, bool, (string?, TimeSpan, int, int, TimeSpan, TimeSpan)) Key =>
        (Name, Desired, Actual, Interval, OnEvents, Apply, ExpectOffload, (Owner, Timeout, MaxDeletes, ChangesPerSecond, ConfirmAfter, CounterDelay));

    private static string? TargetProblem(string text) =>
        text == "runtime" || ((string[])["bridge:", "datapath:", "tc:", "emulated:"]).Any(kind => text.StartsWith(kind, StringComparison.Ordinal) && text.Length > kind.Length) ? null : Checks.AbsolutePath(text);

    private static string? OwnerProblem(string text) => TryOwner(text, out _, out _) ? null : $"\"{text}\" is no cookie and mask";

    private static (string? Value, string? Problem) PortOf(string text)
    {
        string[] parts = text.Split('=', 2);
        return parts.Length == 2 && parts[1].Length > 0 && uint.TryParse(parts[0], NumberStyles.None, CultureInfo.InvariantCulture, out _) ? (text, null) : (null, $"\"{text}\" is no port and interface");
    }

    private static bool TryOwner(string text, out ulong cookie, out ulong mask)
    {
        string[] parts = text.Split('/');
        (cookie, mask) = (0, 0);
        return parts.Length == 2 && TryHex(parts[0], out cookie) && TryHex(parts[1], out mask);
    }

    private static bool TryHex(string text, out ulong number)
    {
        number = 0;
        return text.StartsWith("0x", StringComparison.Ordinal) && ulong.TryParse(text.AsSpan(2), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out number);
    }
}
