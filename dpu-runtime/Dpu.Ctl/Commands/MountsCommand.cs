using System.CommandLine;
using Dpu.Ctl.Output;
using Dpu.Hosting;
using Dpu.Proto.V1;

namespace Dpu.Ctl.Commands;

/// <summary><c>dpuctl mounts</c>.</summary>
internal static class MountsCommand
{
    public static Command Build(CommandTree.Runner runner)
    {
        var command = new Command("mounts", "List the mounts");
        runner.Set(command, RunAsync);
        return command;
    }

    private static async Task<int> RunAsync(CtlContext context, CancellationToken cancellation)
    {
        List<Mount> mounts = await Pages.MountsAsync(context.Connection, cancellation).ConfigureAwait(false);
        if (context.Json)
        {
            context.WriteJson(json => JsonOutput.Array(json, "mounts", mounts, JsonOutput.Mount));
        }
        else
        {
            Tables.Mounts(context, mounts);
        }

        return ExitCodes.Success;
    }
}
