using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using Dpu.Ctl.Completion;
using Dpu.Ctl.Output;
using Dpu.Hosting;
using Dpu.Proto.V1;

namespace Dpu.Ctl.Commands;

/// <summary><c>dpuctl ps</c> and <c>dpuctl ps kill</c>.</summary>
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
        command.Add(BuildKill(runner));
        return command;
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

        var table = new Table("ID", "HOST", "HOST PID", "PID", "PIDS", "UID", "STATE", "AGE", "SENT", "RECEIVED", "COMMAND");
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

    private static async Task<int> KillAsync(CtlContext context, string which, int signal, CancellationToken cancellation)
    {
        List<HostProcess> processes = await Pages.ProcessesAsync(context.Connection, cancellation).ConfigureAwait(false);
        HostProcess[] found = [.. processes.Where(process => process.State != ProcessState.Ended
            && (process.Pid.ToString(CultureInfo.InvariantCulture) == which || process.OwnPid.ToString(CultureInfo.InvariantCulture) == which || (which.Length >= ShortId && States.Id(process.Name).StartsWith(which, StringComparison.Ordinal))))];
        if (found.Length != 1)
        {
            throw new CtlException(ExitCodes.NotFound, found.Length == 0 ? $"no process '{which}' runs; 'dpuctl ps' lists them" : $"'{which}' means several processes: name more digits of the id");
        }

        _ = await context.Connection.Runtime.KillProcessAsync(new KillProcessRequest { Name = found[0].Name, Signal = signal }, context.Connection.Options(cancellation));
        if (context.Json)
        {
            context.WriteJson(json => json.WriteString("id", States.Id(found[0].Name)));
        }

        context.Say(Human.Clean(signal == 0 ? $"Process {found[0].HostPid} of {States.Id(found[0].Host)} is being ended" : $"Signal {signal} was sent to process {found[0].HostPid} of {States.Id(found[0].Host)}"));
        return ExitCodes.Success;
    }
}
