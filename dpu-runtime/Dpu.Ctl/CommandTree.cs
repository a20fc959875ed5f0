using System.CommandLine;
using Dpu.Ctl.Commands;
using Dpu.Ctl.Completion;
using Dpu.Ctl.Connection;
using Dpu.Hosting;
using Grpc.Core;

namespace Dpu.Ctl;

/// <summary>The verbs of dpuctl, and how one is run.</summary>
public static class CommandTree
{
    /// <summary>Runs a command line.</summary>
    /// <returns>One of <see cref="ExitCodes"/>.</returns>
    public static async Task<int> RunAsync(string[] arguments, TextWriter output, TextWriter error, ConsoleTraits traits)
    {
        RootCommand root = Build(output, error, traits);
        // No response files: a mount's target may begin with '@'.
        ParseResult parsed = root.Parse(arguments, new ParserConfiguration { ResponseFileTokenReplacer = null });
        if (parsed.Errors.Count > 0)
        {
            foreach (string problem in UsageProblems.Of(parsed))
            {
                await error.WriteLineAsync($"dpuctl: {problem}").ConfigureAwait(false);
            }

            string path = Path(parsed.CommandResult.Command);
            await error.WriteLineAsync($"Try '{path} --help'.").ConfigureAwait(false);
            return path.Split(' ').ElementAtOrDefault(1) == ReconcileCommand.Verb ? ExitCodes.Failure : ExitCodes.Usage;
        }

        return await parsed.InvokeAsync(new InvocationConfiguration
        {
            Output = output,
            Error = error,
            EnableDefaultExceptionHandler = false,
            ProcessTerminationTimeout = TimeSpan.FromSeconds(2),
        }).ConfigureAwait(false);
    }

    /// <summary>The tree.</summary>
    public static RootCommand Build(TextWriter output, TextWriter error, ConsoleTraits traits)
    {
        var options = new GlobalOptions();
        var runner = new Runner(options, output, error, traits);
        var root = new RootCommand("Operates a DPU: its hosts, and the directories of theirs that are mounted on it.");
        // 'dpuctl version' tells more than the built-in option could.
        _ = root.Options.Remove(root.Options.OfType<VersionOption>().Single());
        foreach (Option option in options.All)
        {
            root.Add(option);
        }

        foreach (Command command in (IEnumerable<Command>)
            [
                StatusCommand.Build(runner),
                HostCommands.Build(runner),
                MountCommand.Build(runner),
                UmountCommand.Build(runner),
                MountsCommand.Build(runner),
                SocketCommands.Build(runner),
                ProcessCommands.Build(runner),
                ViewCommands.Build(runner),
                StatsCommand.Build(runner),
                TopCommand.Build(runner),
                EventsCommand.Build(runner),
                ReloadCommand.Build(runner),
                FlowsCommands.Build(runner),
                ReconcileCommand.Build(runner),
                UpgradeCommands.Build(runner),
                HealthCommand.Build(runner),
                PkiCommands.Build(runner),
                CompletionCommand.Build(runner, root),
                ValuesCommand.Build(runner),
                VersionCommand.Build(runner),
            ])
        {
            root.Add(command);
        }

        return root;
    }

    internal static string Path(Command command) =>
        command is RootCommand || command.Parents.OfType<Command>().FirstOrDefault() is not { } parent
            ? "dpuctl"
            : $"{Path(parent)} {command.Name}";

    /// <summary>Runs what a command does and turns what goes wrong into a line and an exit code.</summary>
    internal sealed class Runner(GlobalOptions options, TextWriter output, TextWriter error, ConsoleTraits traits)
    {
        public void Set(Command command, Func<CtlContext, CancellationToken, Task<int>> action) =>
            command.SetAction((parsed, cancellation) => Run(parsed, action, cancellation));

        public void Set(Command command, Func<CtlContext, int> action) =>
            Set(command, (context, _) => Task.FromResult(action(context)));

        private async Task<int> Run(
            ParseResult parsed, Func<CtlContext, CancellationToken, Task<int>> action, CancellationToken cancellation)
        {
            using var context = new CtlContext(parsed, options, output, error, traits);
            try
            {
                return await action(context, cancellation).ConfigureAwait(false);
            }
            catch (CtlException e)
            {
                return Fail(e);
            }
            catch (RpcException e)
            {
                // Expected: the daemon refused, or is away. Why connecting failed says more than the call's status.
                return e.StatusCode == StatusCode.Unavailable && context.ConnectFailure is { } failure
                    ? Fail(failure)
                    : Fail(RpcFailures.Explain(e.Status, context.Timeout, context.IsLocal));
            }
            catch (OperationCanceledException) when (cancellation.IsCancellationRequested)
            {
                // Expected: Ctrl-C.
                return ExitCodes.Failure;
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                // Expected: a file cannot be read or written; the message names it.
                return Fail(new CtlException(ExitCodes.Failure, e.Message, e));
            }
        }

        private int Fail(CtlException failure)
        {
            error.WriteLine($"dpuctl: {failure.Message}");
            return failure.ExitCode;
        }
    }
}
