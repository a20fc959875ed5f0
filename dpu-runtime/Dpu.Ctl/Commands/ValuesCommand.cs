using System.CommandLine;
using Dpu.Ctl.Completion;
using Dpu.Ctl.Output;
using Dpu.Hosting;
using Dpu.Proto.V1;
using Grpc.Core;

namespace Dpu.Ctl.Commands;

/// <summary>
/// A hidden verb that completion scripts call: prints the names that may stand at a place, one a line, and nothing
/// where the runtime does not answer.
/// </summary>
internal static class ValuesCommand
{
    public static Command Build(CommandTree.Runner runner)
    {
        var kind = new Argument<string>("KIND");
        _ = kind.AcceptOnlyFromAmong(DynamicValues.Hosts, DynamicValues.Sources, DynamicValues.Targets, DynamicValues.Processes, DynamicValues.Views);
        var command = new Command(DynamicValues.Verb, "For completion scripts") { kind };
        command.Hidden = true;
        runner.Set(command, (context, cancellation) => RunAsync(context, context.Parsed.GetRequiredValue(kind), cancellation));
        return command;
    }

    private static async Task<int> RunAsync(CtlContext context, string kind, CancellationToken cancellation)
    {
        try
        {
            IEnumerable<string> values = kind switch
            {
                DynamicValues.Targets => (await Pages.MountsAsync(context.Connection, cancellation).ConfigureAwait(false)).Select(m => m.Target),
                DynamicValues.Processes => (await Pages.ProcessesAsync(context.Connection, cancellation).ConfigureAwait(false)).Where(p => p.State != ProcessState.Ended).Select(p => States.Id(p.Name)),
                DynamicValues.Views => (await Pages.ViewsAsync(context.Connection, cancellation).ConfigureAwait(false)).Select(v => States.Id(v.Name)),
                DynamicValues.Sources => (await Pages.HostsAsync(context.Connection, cancellation).ConfigureAwait(false)).Select(h => States.Id(h.Name) + ":"),
                _ => (await Pages.HostsAsync(context.Connection, cancellation).ConfigureAwait(false)).Select(h => States.Id(h.Name)),
            };
            foreach (string value in values.Where(v => Human.Clean(v) == v && !v.Contains(' ', StringComparison.Ordinal)))
            {
                context.Output.WriteLine(value);
            }
        }
        catch (RpcException)
        {
            // Expected: no runtime, no names. A message would land in the middle of the command line.
        }

        return ExitCodes.Success;
    }
}
