using System.CommandLine;
using Dpu.Ctl.Completion;
using Dpu.Hosting;

namespace Dpu.Ctl.Commands;

/// <summary><c>dpuctl completion SHELL</c>: a completion script.</summary>
internal static class CompletionCommand
{
    public static Command Build(CommandTree.Runner runner, RootCommand root)
    {
        var shell = new Argument<string>("SHELL") { Description = "bash, zsh or fish" };
        _ = shell.AcceptOnlyFromAmong("bash", "zsh", "fish");
        var command = new Command("completion", "Print a completion script for a shell") { shell };
        runner.Set(command, context =>
        {
            CompletionNode tree = CompletionNode.Of(root);
            context.Output.Write(context.Parsed.GetRequiredValue(shell) switch
            {
                "bash" => BashCompletion.Script(tree),
                "zsh" => ZshCompletion.Script(tree),
                _ => FishCompletion.Script(tree),
            });
            return ExitCodes.Success;
        });
        return command;
    }
}
