using System.CommandLine;
using System.Runtime.CompilerServices;

namespace Dpu.Ctl.Completion;

/// <summary>Marks arguments whose values only the runtime knows.</summary>
internal static class DynamicValues
{
    /// <summary>The hidden verb that prints them.</summary>
    public const string Verb = "__values";

    /// <summary>Names of hosts.</summary>
    public const string Hosts = "hosts";

    /// <summary>Names of hosts, as a mount's source begins.</summary>
    public const string Sources = "sources";

    /// <summary>Targets of mounts.</summary>
    public const string Targets = "targets";

    /// <summary>Ids of processes that run.</summary>
    public const string Processes = "processes";

    /// <summary>Names of views.</summary>
    public const string Views = "views";

    // Beside the tree rather than in it: System.CommandLine's own completion would call the runtime for every look-up.
    private static readonly ConditionalWeakTable<Argument, string> _kinds = [];

    public static void Completes(this Argument argument, string kind) => _kinds.Add(argument, kind);

    public static string? KindOf(Argument argument) => _kinds.TryGetValue(argument, out string? kind) ? kind : null;
}
