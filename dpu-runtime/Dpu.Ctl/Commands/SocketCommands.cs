using System.CommandLine;
using System.Globalization;
using Dpu.Ctl.Output;
using Dpu.Hosting;
using Dpu.Proto.V1;

namespace Dpu.Ctl.Commands;

/// <summary><c>dpuctl socket list</c>.</summary>
internal static class SocketCommands
{
    public static Command Build(CommandTree.Runner runner)
    {
        var list = new Command("list", "List the connections of programs here with sockets of hosts");
        runner.Set(list, ListAsync);
        return new Command("socket", "Show connections with sockets of hosts") { list };
    }

    private static async Task<int> ListAsync(CtlContext context, CancellationToken cancellation)
    {
        List<SocketRelay> relays = await Pages.SocketRelaysAsync(context.Connection, cancellation).ConfigureAwait(false);
        if (context.Json)
        {
            context.WriteJson(json => JsonOutput.Array(json, "sockets", relays, (writer, relay) =>
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
            }));
            return ExitCodes.Success;
        }

        if (relays.Count == 0)
        {
            context.Say("No connections with sockets of hosts.");
            return ExitCodes.Success;
        }

        var table = new Table("PATH", "HOST", "TYPE", "PID", "UID", "AGE", "SENT", "RECEIVED");
        foreach (SocketRelay relay in relays)
        {
            table.Add(
                relay.Path,
                States.Id(relay.Host),
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
}
