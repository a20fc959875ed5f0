using System.CommandLine;
using System.Globalization;
using Dpu.Ctl.Output;
using Dpu.Hosting;
using Dpu.Proto.V1;

namespace Dpu.Ctl.Commands;

/// <summary><c>dpuctl socket list</c>, <c>forward</c> and <c>rm</c>.</summary>
internal static partial class SocketCommands
{
    public static Command Build(CommandTree.Runner runner)
    {
        var list = new Command("list", "List the forwards, and the connections of programs here with sockets and FIFOs of hosts");
        runner.Set(list, ListAsync);
        return new Command("socket", "Show connections with sockets of hosts, and forward sockets") { BuildForward(runner), list, BuildRemove(runner) };
    }

    private static async Task<int> ListAsync(CtlContext context, CancellationToken cancellation)
    {
        List<SocketRelay> relays = await Pages.SocketRelaysAsync(context.Connection, cancellation).ConfigureAwait(false);
        List<Forward> forwards = await ForwardsAsync(context, cancellation).ConfigureAwait(false);
        if (context.Json)
        {
            context.WriteJson(json =>
            {
                JsonOutput.Array(json, "forwards", forwards, WriteForward);
                WriteRelays(json, relays);
            });
            return ExitCodes.Success;
        }

        if (forwards.Count > 0)
        {
            WriteForwards(context, forwards);
        }

        if (relays.Count == 0)
        {
            context.Say("No connections with sockets of hosts.");
            return ExitCodes.Success;
        }

        var table = new Table("PATH", "HOST", "STATE", "TYPE", "PID", "UID", "AGE", "SENT", "RECEIVED");
        foreach (SocketRelay relay in relays)
        {
            table.Add(
                relay.Path,
                States.Id(relay.Host),
                relay.Away ? "away" : "connected",
                relay.Direction.Length > 0 ? $"{relay.Type} {relay.Direction}" : relay.Type,
                relay.Pid.ToString(CultureInfo.InvariantCulture),
                relay.Uid.ToString(CultureInfo.InvariantCulture),
                Human.Age(relay.StartTime, context.Now),
                Human.Bytes(relay.SentBytes),
                Human.Bytes(relay.ReceivedBytes));
        }

        table.WriteTo(context.Output, context.WithColor);
        return ExitCodes.Success;
    }

    private static void WriteRelays(System.Text.Json.Utf8JsonWriter json, List<SocketRelay> relays) => JsonOutput.Array(json, "sockets", relays, (writer, relay) =>
    {
        writer.WriteString("id", States.Id(relay.Name));
        writer.WriteString("host", States.Id(relay.Host));
        writer.WriteString("path", relay.Path);
        writer.WriteString("type", relay.Type);
        if (relay.Direction.Length > 0)
        {
            writer.WriteString("direction", relay.Direction);
        }

        writer.WriteNumber("pid", relay.Pid);
        writer.WriteNumber("uid", relay.Uid);
        writer.WriteNumber("gid", relay.Gid);
        writer.WriteString("startTime", relay.StartTime.ToDateTimeOffset());
        writer.WriteNumber("sentBytes", relay.SentBytes);
        writer.WriteNumber("receivedBytes", relay.ReceivedBytes);
        writer.WriteBoolean("away", relay.Away);
    });
}
