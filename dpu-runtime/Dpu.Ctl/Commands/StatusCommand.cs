using System.CommandLine;
using Dpu.Ctl.Connection;
using Dpu.Ctl.Output;
using Dpu.Hosting;
using Dpu.Proto.V1;

namespace Dpu.Ctl.Commands;

/// <summary>
/// <c>dpuctl status</c>: the runtime, its hosts and mounts, or the host agent, its sessions and exports; and what an
/// operator should know.
/// </summary>
internal static class StatusCommand
{
    public static Command Build(CommandTree.Runner runner)
    {
        var command = new Command("status", "Show the runtime, its hosts and mounts; on a host the agent, its sessions and exports");
        runner.Set(command, RunAsync);
        return command;
    }

    private static Task<int> RunAsync(CtlContext context, CancellationToken cancellation) =>
        ControlConnection.AskEitherAsync(() => RuntimeAsync(context, cancellation), () => AgentAsync(context, cancellation));

    private static async Task<int> AgentAsync(CtlContext context, CancellationToken cancellation)
    {
        AgentStatus status = await context.Connection.Agent.GetAgentStatusAsync(
            new GetAgentStatusRequest(), context.Connection.Options(cancellation));
        List<Export> exports = await Pages.ExportsAsync(context.Connection, cancellation).ConfigureAwait(false);
        if (context.Json)
        {
            context.WriteJson(json =>
            {
                JsonOutput.Daemon(json, "agent", status.Daemon);
                JsonOutput.Strings(json, "listening", status.Listening);
                JsonOutput.Array(json, "sessions", status.Sessions, JsonOutput.Session);
                JsonOutput.Array(json, "exports", exports, JsonOutput.Export);
                json.WriteBoolean("protected", status.Protected);
                json.WriteNumber("restoredSessions", status.RestoredSessions);
                json.WriteNumber("unknownOutcomes", status.UnknownOutcomes);
                json.WriteNumber("replayedAnswers", status.ReplayedAnswers);
            });
            return ExitCodes.Success;
        }

        Tables.Daemon(context, status.Daemon);
        context.Output.WriteLine(Human.Clean($"listening on {(status.Listening.Count == 0 ? "nothing" : string.Join(", ", status.Listening))}"));
        context.Output.WriteLine(
            $"sessions outlive the agent: {(status.Protected ? "yes" : "no")}; {status.RestoredSessions} went on, {status.UnknownOutcomes} outcomes unknown, {status.ReplayedAnswers} answers given again");
        Tables.Notices(context, "dpu-host-agent", status.Daemon?.Notices ?? []);
        context.Output.WriteLine();
        Tables.Sessions(context, status.Sessions);
        context.Output.WriteLine();
        Tables.Exports(context, exports);
        return ExitCodes.Success;
    }

    private static async Task<int> RuntimeAsync(CtlContext context, CancellationToken cancellation)
    {
        RuntimeStatus status = await context.Connection.Runtime.GetRuntimeStatusAsync(
            new GetRuntimeStatusRequest(), context.Connection.Options(cancellation));
        if (context.Json)
        {
            context.WriteJson(json =>
            {
                JsonOutput.Daemon(json, "runtime", status.Daemon);
                JsonOutput.Keeper(json, status.Keeper);
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
