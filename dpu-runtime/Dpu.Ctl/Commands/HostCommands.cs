using System.CommandLine;
using System.Globalization;
using Dpu.Ctl.Completion;
using Dpu.Ctl.Output;
using Dpu.Hosting;
using Dpu.Proto.V1;

namespace Dpu.Ctl.Commands;

/// <summary><c>dpuctl host list</c> and <c>dpuctl host show</c>.</summary>
internal static class HostCommands
{
    public static Command Build(CommandTree.Runner runner)
    {
        var list = new Command("list", "List the hosts");
        runner.Set(list, ListAsync);
        var name = new Argument<string>("HOST") { Description = "The host's name" };
        name.Completes(DynamicValues.Hosts);
        var show = new Command("show", "Show one host with its agent") { name };
        runner.Set(show, (context, cancellation) => ShowAsync(context, context.Parsed.GetRequiredValue(name), cancellation));
        return new Command("host", "Show the hosts that this DPU serves") { list, show };
    }

    private static string Number(ulong value) => value.ToString(CultureInfo.InvariantCulture);

    private static async Task<int> ListAsync(CtlContext context, CancellationToken cancellation)
    {
        List<Host> hosts = await Pages.HostsAsync(context.Connection, cancellation).ConfigureAwait(false);
        if (context.Json)
        {
            context.WriteJson(json => JsonOutput.Array(json, "hosts", hosts, JsonOutput.Host));
        }
        else
        {
            Tables.Hosts(context, hosts);
        }

        return ExitCodes.Success;
    }

    private static async Task<int> ShowAsync(CtlContext context, string name, CancellationToken cancellation)
    {
        Host host = await context.Connection.Runtime.GetHostAsync(
            new GetHostRequest { Name = $"hosts/{name}" }, context.Connection.Options(cancellation));
        if (context.Json)
        {
            context.WriteJson(json => JsonOutput.Host(json, host));
            return ExitCodes.Success;
        }

        void Line(string label, string value) => context.Output.WriteLine($"{label,-12}{Human.Clean(value)}");
        Line("host", States.Id(host.Name));
        Line("endpoint", host.Endpoint);
        Line("state", $"{States.Word(host.State)} for {Human.Age(host.StateTime, context.Now)}");
        if (host.LastError.Length > 0)
        {
            Line("last error", host.LastError);
        }

        Line("round trip", Human.Duration(host.RoundTrip));
        Line("reconnects", host.Reconnects.ToString(CultureInfo.InvariantCulture));
        Line("session", $"{host.SessionId}, {Human.Age(host.SessionStartTime, context.Now)} old");
        Line("replayed", $"{Number(host.Repeats)} requests sent again, {Number(host.UnknownOutcome)} ended with EIO for their outcome was unknown");
        Line("taken over", $"{Number(host.TakenOver)} times by another runtime, with {Number(host.Recovered)} requests under way");
        Line("returned", $"{Number(host.HostReturns)} times without what it had: {Number(host.Reopened)} open files went on, {Number(host.StaleFiles)} were lost, {Number(host.LostLocks)} lost their locks");
        Tables.Daemon(context, host.Agent);
        Tables.Notices(context, "agent", host.Agent?.Notices ?? []);
        return ExitCodes.Success;
    }
}
