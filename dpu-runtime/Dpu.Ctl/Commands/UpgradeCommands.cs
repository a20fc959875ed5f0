using System.CommandLine;
using System.Globalization;
using Dpu.Ctl.Output;
using Dpu.Hosting;
using Dpu.Proto.V1;

namespace Dpu.Ctl.Commands;

/// <summary><c>dpuctl upgrade status</c>: whether the runtime can be replaced now without an outage.</summary>
internal static class UpgradeCommands
{
    public static Command Build(CommandTree.Runner runner)
    {
        var status = new Command("status", "Show what a restart of the runtime would keep; exit code 1 where something would end");
        runner.Set(status, StatusAsync);
        return new Command("upgrade", "Replace the runtime while its mounts are used") { status };
    }

    private static async Task<int> StatusAsync(CtlContext context, CancellationToken cancellation)
    {
        RuntimeStatus status = await context.Connection.Runtime.GetRuntimeStatusAsync(
            new GetRuntimeStatusRequest(), context.Connection.Options(cancellation));
        Mount[] mounts = [.. status.Mounts.Where(mount => mount.State is MountState.Mounted or MountState.Disconnected or MountState.Failed && mount.MountTime is not null)];
        bool isKept = status.Keeper is { Connected: true } && mounts.All(mount => mount.NotKept.Length == 0);
        if (context.Json)
        {
            context.WriteJson(json =>
            {
                json.WriteBoolean("ready", isKept);
                json.WriteString("version", status.Daemon?.Version ?? "");
                JsonOutput.Keeper(json, status.Keeper);
                JsonOutput.Array(json, "mounts", mounts, JsonOutput.Mount);
            });
            return isKept ? ExitCodes.Success : ExitCodes.Failure;
        }

        Tables.Daemon(context, status.Daemon);
        context.Output.WriteLine(Human.Clean(KeeperLine(status.Keeper)));
        if (mounts.Length > 0)
        {
            var table = new Table("TARGET", "SOURCE", "SINCE", "TAKEN OVER", "AT A RESTART");
            foreach (Mount mount in mounts.OrderBy(mount => mount.Target, StringComparer.Ordinal))
            {
                table.Add(
                    mount.Target,
                    $"{mount.Host}:{mount.Export}",
                    Human.Age(mount.MountTime, context.Now),
                    (mount.Counters?.TakenOver ?? 0).ToString(CultureInfo.InvariantCulture),
                    mount.NotKept.Length == 0 ? "goes on" : $"ends: {mount.NotKept}");
            }

            table.WriteTo(context.Output, context.WithColor);
        }

        context.Say(isKept
            ? status.Keeper.KeepOnStop
                ? "Ready: install the new version and restart dpu-runtime.service; whoever uses the mounts waits meanwhile."
                : "Ready for a crash only: keeper.onStop is \"end\", so that a runtime that is stopped unmounts."
            : "Not ready: what is marked ends with this runtime.");
        return isKept ? ExitCodes.Success : ExitCodes.Failure;
    }

    private static string KeeperLine(Dpu.Proto.V1.Keeper? keeper) => keeper switch
    {
        null or { Socket.Length: 0 } => "no dpu-keeper: the configuration wants none",
        { Connected: false } => $"no dpu-keeper at {keeper.Socket}: is dpu-keeper.service running?",
        _ => string.Create(CultureInfo.InvariantCulture, $"dpu-keeper at {keeper.Socket}: {keeper.Entries} of {keeper.MaxEntries} entries, {Human.Bytes(keeper.MemoryBytes)} of {Human.Bytes(keeper.MaxMemoryBytes)}"),
    };
}
