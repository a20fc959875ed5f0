using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using Dpu.Ctl.Completion;
using Dpu.Ctl.Output;
using Dpu.Hosting;
using Dpu.Proto.V1;

namespace Dpu.Ctl.Commands;

/// <summary><c>dpuctl ps</c>, and <c>ps show</c>, <c>ps logs</c> and <c>ps kill</c>.</summary>
internal static class ProcessCommands
{
    // As a commit is told by its first digits: enough for all that a machine runs.
    private const int ShortId = 8;

    private static readonly string[] s_signals =
    [
        "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE", "ALRM", "TERM", "STKFLT",
        "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
    ];

    public static Command Build(CommandTree.Runner runner)
    {
        var all = new Option<bool>("--all") { Description = "Also those that have ended" };
        var command = new Command("ps", "Show processes of hosts that programs here stand for") { all };
        runner.Set(command, (context, cancellation) => ListAsync(context, context.Parsed.GetValue(all), cancellation));
        command.Add(BuildOne(runner, "show", "Show all of a process of a host, also of one that has ended", Show));
        command.Add(BuildOne(runner, "logs", "Show what has happened to a process of a host: its start, signals, stops, lost links, its end", Events));
        command.Add(BuildKill(runner));
        return command;
    }

    private static Command BuildOne(CommandTree.Runner runner, string name, string description, Action<CtlContext, HostProcess> show)
    {
        var which = new Argument<string>("ID|PID") { Description = "A process: its id, or its stub's number here" };
        which.Completes(DynamicValues.Processes);
        var command = new Command(name, description) { which };
        runner.Set(command, (context, cancellation) => ShowAsync(context, context.Parsed.GetRequiredValue(which), show, cancellation));
        return command;
    }

    private static async Task<int> ShowAsync(CtlContext context, string which, Action<CtlContext, HostProcess> show, CancellationToken cancellation)
    {
        HostProcess found = await FindAsync(context, which, ended: true, cancellation).ConfigureAwait(false);
        show(context, await context.Connection.Runtime.GetProcessAsync(new GetProcessRequest { Name = found.Name }, context.Connection.Options(cancellation)));
        return ExitCodes.Success;
    }

    private static void Show(CtlContext context, HostProcess process)
    {
        if (context.Json)
        {
            context.WriteJson(json => Write(json, process));
            return;
        }

        var table = new Table("PROPERTY", "VALUE");
        table.Add("id", States.Id(process.Name));
        table.Add("host", States.Id(process.Host));
        table.Add("host pid", process.HostPid.ToString(CultureInfo.InvariantCulture));
        table.Add("pid", process.Pid.ToString(CultureInfo.InvariantCulture));
        table.Add("uid", process.Uid.ToString(CultureInfo.InvariantCulture));
        table.Add("state", StateOf(process));
        table.Add("begun", Human.Time(process.StartTime));
        if (process.EndTime is not null)
        {
            table.Add("ended", Human.Time(process.EndTime));
        }

        table.Add("group", process.Group.Length > 0 ? process.Group : "not known");
        table.Add("directory", process.Directory);
        table.Add("sent", Human.Bytes(process.SentBytes));
        table.Add("received", Human.Bytes(process.ReceivedBytes));
        table.Add("command", process.Command);
        table.WriteTo(context.Output, context.WithColor);
    }

    private static void Events(CtlContext context, HostProcess process)
    {
        if (context.Json)
        {
            context.WriteJson(json => JsonOutput.Array(json, "events", process.Events, (writer, one) =>
            {
                writer.WriteString("time", one.Time.ToDateTimeOffset());
                writer.WriteString("text", one.Text);
            }));
            return;
        }

        foreach (ProcessEvent one in process.Events)
        {
            context.Say(Human.Clean($"{Human.Time(one.Time)}  {one.Text}"));
        }
    }

    private static Command BuildKill(CommandTree.Runner runner)
    {
        var which = new Argument<string>("ID|PID") { Description = "A process: its id, or its stub's number here" };
        which.Completes(DynamicValues.Processes);
        var signal = new Option<string?>("--signal") { Description = "A signal's name or number; without it the process gets SIGTERM, and after its policy's grace all that came of it SIGKILL", HelpName = "SIGNAL" };
        signal.Validators.Add(result =>
        {
            if (result.Tokens.Count == 1 && NumberOf(result.Tokens[0].Value) is null)
            {
                result.AddError($"'{result.Tokens[0].Value}' is no signal: a name such as TERM, or a number from 1 to 64");
            }
        });
        var command = new Command("kill", "Send a signal to a process of a host, or end it") { which, signal };
        runner.Set(command, (context, cancellation) =>
            KillAsync(context, context.Parsed.GetRequiredValue(which), context.Parsed.GetValue(signal) is { } name ? NumberOf(name) ?? 0 : 0, cancellation));
        return command;
    }

    private static int? NumberOf(string text)
    {
        string name = text.StartsWith("SIG", StringComparison.OrdinalIgnoreCase) ? text[3..] : text;
        int index = Array.FindIndex(s_signals, known => known.Equals(name, StringComparison.OrdinalIgnoreCase));
        return index >= 0 ? index + 1 : int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int number) && number is > 0 and <= 64 ? number : null;
    }

    private static async Task<int> ListAsync(CtlContext context, bool all, CancellationToken cancellation)
    {
        List<HostProcess> processes = await Pages.ProcessesAsync(context.Connection, cancellation).ConfigureAwait(false);
        _ = processes.RemoveAll(process => !all && process.State == ProcessState.Ended);
        if (context.Json)
        {
            context.WriteJson(json => JsonOutput.Array(json, "processes", processes, Write));
            return ExitCodes.Success;
        }

        if (processes.Count == 0)
        {
            context.Say(all ? "No processes of hosts." : "No processes of hosts run; --all shows those that have ended.");
            return ExitCodes.Success;
        }

        var table = new Table("ID", "HOST", "HOST PID", "PID", "PIDS", "UID", "STATE", "GROUP", "AGE", "SENT", "RECEIVED", "COMMAND");
        foreach (HostProcess process in processes)
        {
            table.Add(
                States.Id(process.Name)[..ShortId],
                States.Id(process.Host),
                process.HostPid.ToString(CultureInfo.InvariantCulture),
                process.OwnPid is 0 || process.OwnPid == process.Pid
                    ? process.Pid.ToString(CultureInfo.InvariantCulture)
                    : $"{process.Pid.ToString(CultureInfo.InvariantCulture)} ({process.OwnPid.ToString(CultureInfo.InvariantCulture)})",
                process.NumberMapping == NumberMapping.Mapped ? $"mapped: {process.NumberMappingReason}" : MappingOf(process),
                process.Uid.ToString(CultureInfo.InvariantCulture),
                StateOf(process),
                GroupOf(process),
                Human.Age(process.StartTime, context.Now),
                Human.Bytes(process.SentBytes),
                Human.Bytes(process.ReceivedBytes),
                process.Command);
        }

        table.WriteTo(context.Output, context.WithColor);
        return ExitCodes.Success;
    }

    private static string MappingOf(HostProcess process) => process.NumberMapping switch
    {
        NumberMapping.Identity => "identity",
        NumberMapping.Mapped => "mapped",
        _ => "-",
    };

    // Where it is, 'ps show' tells.
    private static string GroupOf(HostProcess process) => process.Group.Length == 0 ? "-" : process.Group.StartsWith('/') ? "cgroup" : "scope";

    private static string StateOf(HostProcess process) => process.State switch
    {
        ProcessState.Running => "running",
        ProcessState.Stopped => "stopped",
        ProcessState.Away => "away",
        ProcessState.Daemonised => "daemonised",
        ProcessState.Ended => process.Signal != 0
            ? $"signal {process.Signal.ToString(CultureInfo.InvariantCulture)}{(process.DumpedCore ? ", core" : "")}"
            : $"exit {process.ExitCode.ToString(CultureInfo.InvariantCulture)}",
        _ => "?",
    };

    private static void Write(Utf8JsonWriter writer, HostProcess process)
    {
        writer.WriteString("id", States.Id(process.Name));
        writer.WriteString("host", States.Id(process.Host));
        writer.WriteNumber("hostPid", process.HostPid);
        writer.WriteNumber("pid", process.Pid);
        writer.WriteNumber("ownPid", process.OwnPid);
        writer.WriteString("pids", MappingOf(process));
        if (process.NumberMappingReason.Length > 0)
        {
            writer.WriteString("pidsReason", process.NumberMappingReason);
        }

        writer.WriteNumber("uid", process.Uid);
        writer.WriteString("command", process.Command);
        writer.WriteString("directory", process.Directory);
        writer.WriteString("group", process.Group);
        writer.WriteString("state", process.State == ProcessState.Ended ? "ended" : StateOf(process));
        writer.WriteString("startTime", process.StartTime.ToDateTimeOffset());
        if (process.State == ProcessState.Ended)
        {
            writer.WriteString("endTime", process.EndTime.ToDateTimeOffset());
            writer.WriteNumber("exitCode", process.ExitCode);
            writer.WriteNumber("signal", process.Signal);
            writer.WriteBoolean("dumpedCore", process.DumpedCore);
        }

        writer.WriteNumber("sentBytes", process.SentBytes);
        writer.WriteNumber("receivedBytes", process.ReceivedBytes);
    }

    private static async Task<HostProcess> FindAsync(CtlContext context, string which, bool ended, CancellationToken cancellation)
    {
        List<HostProcess> processes = await Pages.ProcessesAsync(context.Connection, cancellation).ConfigureAwait(false);
        HostProcess[] found = [.. processes.Where(process => (ended || process.State != ProcessState.Ended)
            && (process.Pid.ToString(CultureInfo.InvariantCulture) == which || process.OwnPid.ToString(CultureInfo.InvariantCulture) == which || (which.Length >= ShortId && States.Id(process.Name).StartsWith(which, StringComparison.Ordinal))))];

        // A number that was used again means what runs.
        HostProcess[] running = [.. found.Where(process => process.State != ProcessState.Ended)];
        found = running.Length > 0 ? running : found;
        return found.Length == 1 ? found[0] : throw new CtlException(ExitCodes.NotFound, found.Length > 0 ? $"'{which}' means several processes: name more digits of the id"
            : ended ? $"there is no process '{which}'; 'dpuctl ps --all' lists them" : $"no process '{which}' runs; 'dpuctl ps' lists them");
    }

    private static async Task<int> KillAsync(CtlContext context, string which, int signal, CancellationToken cancellation)
    {
        HostProcess found = await FindAsync(context, which, ended: false, cancellation).ConfigureAwait(false);
        _ = await context.Connection.Runtime.KillProcessAsync(new KillProcessRequest { Name = found.Name, Signal = signal }, context.Connection.Options(cancellation));
        if (context.Json)
        {
            context.WriteJson(json => json.WriteString("id", States.Id(found.Name)));
        }

        context.Say(Human.Clean(signal == 0 ? $"Process {found.HostPid} of {States.Id(found.Host)} is being ended" : $"Signal {signal} was sent to process {found.HostPid} of {States.Id(found.Host)}"));
        return ExitCodes.Success;
    }
}
