using System.CommandLine;
using Dpu.Ctl.Output;
using Dpu.Hosting.Configuration;

namespace Dpu.Ctl;

/// <summary>What is wrong with a command line, in our words where the parser's are poor.</summary>
internal static class UsageProblems
{
    public static IEnumerable<string> Of(ParseResult parsed)
    {
        Command command = parsed.CommandResult.Command;
        if (parsed.UnmatchedTokens.Count > 0)
        {
            // Errors that follow from an unknown word would only hide it.
            return parsed.UnmatchedTokens.Select(token => Unknown(command, token));
        }

        return command.Subcommands.Count > 0 && parsed.CommandResult.Children.All(c => c is not System.CommandLine.Parsing.CommandResult) && command.Action is null
            ? [$"'{CommandTree.Path(command)}' needs a command: {string.Join(", ", command.Subcommands.Where(c => !c.Hidden).Select(c => c.Name))}"]
            : parsed.Errors.Select(e => Human.Clean(e.Message));
    }

    private static string Unknown(Command command, string token)
    {
        bool isOption = token.StartsWith('-');
        IEnumerable<string> candidates = isOption
            ? command.Options.Concat(command.Parents.OfType<Command>().SelectMany(p => p.Options)).Where(o => !o.Hidden).Select(o => o.Name)
            : command.Subcommands.Where(c => !c.Hidden).Select(c => c.Name);
        string? meant = Suggestion.For(token, candidates);
        return $"'{Human.Clean(token)}' is not {(isOption ? "an option" : "known")} here{(meant is null ? string.Empty : $"; did you mean '{meant}'?")}";
    }
}
