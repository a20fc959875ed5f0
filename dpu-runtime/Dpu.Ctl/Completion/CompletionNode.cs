using System.CommandLine;
using System.CommandLine.Completions;
using System.CommandLine.Help;

namespace Dpu.Ctl.Completion;

/// <summary>A command as completion sees it. Immutable.</summary>
/// <param name="Path">Its words after <c>dpuctl</c>; empty for dpuctl itself.</param>
/// <param name="Description">What it does.</param>
/// <param name="Children">Its subcommands, hidden ones left out.</param>
/// <param name="Options">Its options, those of the commands above it included.</param>
/// <param name="Arguments">What its arguments may be.</param>
internal sealed record CompletionNode(
    IReadOnlyList<string> Path,
    string Description,
    IReadOnlyList<CompletionNode> Children,
    IReadOnlyList<CompletionOption> Options,
    IReadOnlyList<CompletionArgument> Arguments)
{
    public string Name => Path[^1];

    public static CompletionNode Of(RootCommand root) => Of(root, [], []);

    /// <summary>This node and all below it.</summary>
    public IEnumerable<CompletionNode> All() => [this, .. Children.SelectMany(c => c.All())];

    private static CompletionNode Of(Command command, IReadOnlyList<string> path, IReadOnlyList<CompletionOption> inherited)
    {
        IEnumerable<Option> visible = command.Options.Where(o => !o.Hidden);
        CompletionOption[] own = [.. visible.Select(CompletionOption.Of)];
        CompletionOption[] handedOn = [.. inherited, .. visible.Where(o => o.Recursive || o is HelpOption).Select(CompletionOption.Of)];
        return new(
            path,
            command.Description ?? string.Empty,
            [.. command.Subcommands.Where(c => !c.Hidden).Select(c => Of(c, [.. path, c.Name], handedOn))],
            [.. own.Concat(inherited).DistinctBy(o => o.Names[0])],
            [.. command.Arguments.Select(CompletionArgument.Of)]);
    }
}

/// <summary>An option as completion sees it. Immutable.</summary>
/// <param name="Names">Its names with dashes, the long one first.</param>
/// <param name="Description">What it does.</param>
/// <param name="TakesValue">Whether a value follows.</param>
/// <param name="TakesFile">Whether that is a file or directory.</param>
internal sealed record CompletionOption(IReadOnlyList<string> Names, string Description, bool TakesValue, bool TakesFile)
{
    public static CompletionOption Of(Option option) => new(
        [option.Name, .. option.Aliases.Where(a => a.StartsWith('-')).Order(StringComparer.Ordinal)],
        option.Description ?? string.Empty,
        option is not HelpOption && option.ValueType != typeof(bool),
        option.HelpName is "FILE" or "DIR" or "PATH");
}

/// <summary>An argument as completion sees it. Immutable.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Values">The words it may be; empty where any.</param>
/// <param name="Dynamic">What the runtime is asked for; null for nothing.</param>
/// <param name="TakesFile">Whether it is a directory.</param>
internal sealed record CompletionArgument(string Name, IReadOnlyList<string> Values, string? Dynamic, bool TakesFile)
{
    public static CompletionArgument Of(Argument argument) => new(
        argument.Name,
        [.. argument.GetCompletions(CompletionContext.Empty).Select(c => c.Label)],
        DynamicValues.KindOf(argument),
        argument.Name == "TARGET");
}
