using System.CommandLine;
using Dpu.Ctl.Output;
using Dpu.Hosting;
using Dpu.Proto.V1;

namespace Dpu.Ctl.Commands;

/// <summary><c>dpuctl status</c>: the runtime, its hosts and mounts, and what an operator should know.</summary>
internal static class StatusCommand
{
    public static Command Build(CommandTree.Runner runner)
    {
        var command = new Command("status", "Show the runtime, its hosts and its mounts");
        runner.Set(command, RunAsync);
        return command;
    }

    private static async Task<int> RunAsync(CtlContext context, CancellationToken cancellation)
    {
        RuntimeStatus status = await context.Connection.Runtime.GetRuntimeStatusAsync(
            new GetRuntimeStatusRequest(), context.Connection.Options(cancellation));
        if (context.Json)
        {
            context.WriteJson(json =>
            {
                JsonOutput.Daemon(json, "runtime", status.Daemon);
                JsonOutput.Array(json, "hosts", status.Hosts, JsonOutput.Host);
                JsonOutput.Array(json, "mounts", status.Mounts, JsonOutput.Mount);
            });
            return ExitCodes.Success;
        }

        Tables.Daemon(context, status.Daemon);
        Tables.Notices(context, "dpu-runtime", status.Daemon?.Notices ?? []);
        foreach (Host host in status.Hosts.Where(h => h.Agent is not null))
        {
            Tables.Notices(context, $"host {States.Id(host.Name)}", host.Agent.Notices);
        }

        context.Output.WriteLine();
        Tables.Hosts(context, status.Hosts);
        context.Output.WriteLine();
        Tables.Mounts(context, status.Mounts);
        return ExitCodes.Success;
    }
}
