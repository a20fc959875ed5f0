using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using Dpu.Ctl.Completion;
using Dpu.Ctl.Output;
using Dpu.Hosting;
using Dpu.Hosting.Configuration;
using Dpu.Proto.V1;

namespace Dpu.Ctl.Commands;

// Sockets outside of mounts.
internal static partial class SocketCommands
{
    private static Command BuildForward(CommandTree.Runner runner)
    {
        var dpu = new Argument<string>("DPU-ADDRESS") { Description = "The socket here: an absolute path, or @ and an abstract name" };
        var remote = new Argument<string>("HOST-ADDRESS") { Description = "The socket of the host, likewise" };
        var host = new Option<string>("--host") { Description = "The host; it may be left out where there is one only", HelpName = "NAME" };
        var reverse = new Option<bool>("--reverse") { Description = "Have the host listen, and its programs reach the socket here" };
        var type = new Option<string>("--type") { Description = "The sockets' type", DefaultValueFactory = _ => "stream" };
        type.AcceptOnlyFromAmong("stream", "seqpacket", "dgram");
        var mode = new Option<string>("--mode") { Description = "Permissions of the file that is listened on, in octal", DefaultValueFactory = _ => "0600" };
        mode.Validators.Add(result =>
        {
            if (result.Tokens.Count == 1 && ForwardConfiguration.ParseMode(result.Tokens[0].Value) is null)
            {
                result.AddError("--mode is permissions in octal, such as 0660");
            }
        });
        var owner = new Option<string>("--owner") { Description = "Owner and group of that file, as numbers", HelpName = "UID:GID", DefaultValueFactory = _ => "0:0" };
        owner.Validators.Add(result =>
        {
            if (result.Tokens.Count == 1 && ParseOwner(result.Tokens[0].Value) is null)
            {
                result.AddError("--owner is two numbers, such as 0:998");
            }
        });
        var command = new Command("forward", "Forward an address to a socket of a host, or the other way round, while the runtime lives") { dpu, remote, host, reverse, type, mode, owner };
        runner.Set(command, (context, cancellation) =>
        {
            (uint uid, uint gid) = ParseOwner(context.Parsed.GetValue(owner)!) ?? default;
            string kind = context.Parsed.GetValue(type)!;
            return ForwardAsync(
                context,
                new Forward
                {
                    Host = context.Parsed.GetValue(host) ?? "",
                    DpuAddress = context.Parsed.GetRequiredValue(dpu),
                    HostAddress = context.Parsed.GetRequiredValue(remote),
                    Reverse = context.Parsed.GetValue(reverse),
                    Type = kind == "dgram" ? "datagram" : kind,
                    Mode = ForwardConfiguration.ParseMode(context.Parsed.GetValue(mode)!) ?? ForwardConfiguration.DefaultMode,
                    Uid = uid,
                    Gid = gid,
                },
                cancellation);
        });
        return command;
    }

    private static Command BuildRemove(CommandTree.Runner runner)
    {
        var which = new Argument<string>("ID|ADDRESS") { Description = "A forward's id, or the address that is listened on" };
        var command = new Command("rm", "End a forward; its connections go on") { which };
        runner.Set(command, (context, cancellation) => RemoveAsync(context, context.Parsed.GetRequiredValue(which), cancellation));
        return command;
    }

    private static async Task<List<Forward>> ForwardsAsync(CtlContext context, CancellationToken cancellation)
    {
        try
        {
            return await Pages.ForwardsAsync(context.Connection, cancellation).ConfigureAwait(false);
        }
        catch (Grpc.Core.RpcException e) when (e.StatusCode == Grpc.Core.StatusCode.Unimplemented)
        {
            // Expected of a runtime of the version before, which has none.
            return [];
        }
    }

    private static (uint Uid, uint Gid)? ParseOwner(string text)
    {
        string[] parts = text.Split(':');
        return parts.Length == 2 && uint.TryParse(parts[0], NumberStyles.None, CultureInfo.InvariantCulture, out uint uid) && uid != uint.MaxValue
            && uint.TryParse(parts[1], NumberStyles.None, CultureInfo.InvariantCulture, out uint gid) && gid != uint.MaxValue
            ? (uid, gid)
            : null;
    }

    private static async Task<int> ForwardAsync(CtlContext context, Forward wanted, CancellationToken cancellation)
    {
        Forward made = await context.Connection.Runtime.CreateForwardAsync(new CreateForwardRequest { Forward = wanted }, context.Connection.Options(cancellation));
        if (context.Json)
        {
            context.WriteJson(json => WriteForward(json, made));
        }

        context.Say(Human.Clean($"Forward {States.Id(made.Name)}: {Listens(made)} leads to {Leads(made)}"));
        return ExitCodes.Success;
    }

    private static async Task<int> RemoveAsync(CtlContext context, string which, CancellationToken cancellation)
    {
        bool isAddress = which.StartsWith('/') || which.StartsWith('@');
        _ = await context.Connection.Runtime.DeleteForwardAsync(
            new DeleteForwardRequest { Name = isAddress ? "forwards/-" : "forwards/" + which, Address = isAddress ? which : "" }, context.Connection.Options(cancellation));
        if (context.Json)
        {
            context.WriteJson(json => json.WriteString("removed", which));
        }

        context.Say(Human.Clean($"Removed {which}"));
        return ExitCodes.Success;
    }

    private static string Listens(Forward forward) => forward.Reverse ? $"{States.Id(forward.Host)}:{forward.HostAddress}" : forward.DpuAddress;

    private static string Leads(Forward forward) => forward.Reverse ? forward.DpuAddress : $"{States.Id(forward.Host)}:{forward.HostAddress}";

    private static void WriteForwards(CtlContext context, List<Forward> forwards)
    {
        var table = new Table("ID", "LISTENS ON", "LEADS TO", "TYPE", "CONFIGURED", "PROBLEM");
        foreach (Forward forward in forwards)
        {
            table.Add(States.Id(forward.Name), Listens(forward), Leads(forward), forward.Type, forward.Configured ? "yes" : "no", forward.Problem.Length > 0 ? forward.Problem : "-");
        }

        table.WriteTo(context.Output, context.WithColor);
        context.Output.WriteLine();
    }

    private static void WriteForward(Utf8JsonWriter writer, Forward forward)
    {
        writer.WriteString("id", States.Id(forward.Name));
        writer.WriteString("host", States.Id(forward.Host));
        writer.WriteString("dpuAddress", forward.DpuAddress);
        writer.WriteString("hostAddress", forward.HostAddress);
        writer.WriteBoolean("reverse", forward.Reverse);
        writer.WriteString("type", forward.Type);
        writer.WriteString("mode", "0" + Convert.ToString(forward.Mode, 8));
        writer.WriteNumber("uid", forward.Uid);
        writer.WriteNumber("gid", forward.Gid);
        writer.WriteBoolean("configured", forward.Configured);
        writer.WriteString("problem", forward.Problem);
    }
}
