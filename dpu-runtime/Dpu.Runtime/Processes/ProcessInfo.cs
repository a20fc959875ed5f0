using System.Globalization;
using Dpu.Linux;
using Dpu.Proto.V1;
using Dpu.Relay.Processes;
using Google.Protobuf.WellKnownTypes;

namespace Dpu.Runtime.Processes;

/// <summary>A process of a host as <c>dpuctl ps</c> shows it. Immutable.</summary>
/// <param name="Id">Its name.</param>
/// <param name="Host">Where.</param>
/// <param name="Process">Its number there.</param>
/// <param name="Stub">Its stub's number here.</param>
/// <param name="HasStub">Whether that one is connected.</param>
/// <param name="Uid">The stub's user.</param>
/// <param name="Command">Its arguments.</param>
/// <param name="Directory">Its working directory at the start.</param>
/// <param name="Since">When it was begun.</param>
/// <param name="Until">When it ended.</param>
/// <param name="Status">As wait(2) has it.</param>
/// <param name="IsAway">Whether its host cannot be reached.</param>
/// <param name="StoppedBy">The signal that has stopped it; 0 for none.</param>
/// <param name="Sent">Bytes to it.</param>
/// <param name="Received">Bytes from it.</param>
/// <param name="Own">Its stub's number in its own pid namespace; 0 where that is not known.</param>
/// <param name="NumberError">The errno of why the process has another one; 0 where it has not, or nobody knows.</param>
/// <param name="IsStandIn">Whether it was left running by a process that has ended.</param>
/// <param name="Group">What it is in at its host; empty where that is not known.</param>
/// <param name="Events">What has happened to it.</param>
public sealed record ProcessInfo(
    Guid Id, string Host, int Process, int Stub, bool HasStub, uint Uid, string Command, string Directory, DateTimeOffset Since, DateTimeOffset? Until, int? Status, bool IsAway, int StoppedBy, ulong Sent, ulong Received, int Own, int NumberError, bool IsStandIn,
    string Group, Func<IReadOnlyList<ProcessEvent>> Events)
{
    /// <summary>As the control interface has it.</summary>
    public HostProcess ToMessage()
    {
        var message = new HostProcess
        {
            Name = $"processes/{Id:N}",
            Host = "hosts/" + Host,
            HostPid = Process,
            Pid = Stub,
            Uid = Uid,
            Command = Command,
            Directory = Directory,
            State = Status is not null ? ProcessState.Ended : IsAway ? ProcessState.Away : StoppedBy != 0 ? ProcessState.Stopped : IsStandIn ? ProcessState.Daemonised : ProcessState.Running,
            StartTime = Timestamp.FromDateTimeOffset(Since),
            EndTime = Until is { } until ? Timestamp.FromDateTimeOffset(until) : null,
            SentBytes = Sent,
            ReceivedBytes = Received,
            OwnPid = Own,
            NumberMapping = Own == 0 ? NumberMapping.Unspecified : Own == Process ? NumberMapping.Identity : NumberMapping.Mapped,
            NumberMappingReason = Own == 0 || Own == Process ? "" : Reason,
            Group = Group,
        };
        if (Status is { } status)
        {
            (message.ExitCode, message.Signal) = (ProcessStatus.ExitCodeOf(status) ?? 0, ProcessStatus.SignalOf(status));
            message.DumpedCore = message.Signal != 0 && (status & 0x80) != 0;
        }

        return message;
    }

    private string Reason => (NumberError, IsStandIn) switch
    {
        (errno.EEXIST, false) => $"the host uses {Own.ToString(CultureInfo.InvariantCulture)} for another one",
        (errno.EINVAL, false) => "it is beyond the host's pid_max, or the host chooses none",
        (errno.EPERM, false) => "the host's dpu-keeper may not choose numbers (CAP_CHECKPOINT_RESTORE)",
        (errno.EEXIST, true) => $"the DPU uses {Process.ToString(CultureInfo.InvariantCulture)} for another one",
        (errno.EINVAL, true) => "it is beyond the DPU's pid_max",
        (errno.EPERM, true) => "its user may not choose numbers (CAP_CHECKPOINT_RESTORE)",
        _ => "the host chooses none",
    };

    /// <summary>As <see cref="ToMessage"/>, with what has happened to it.</summary>
    public HostProcess ToWholeMessage()
    {
        HostProcess message = ToMessage();
        message.Events.AddRange(Events().Select(one => new Dpu.Proto.V1.ProcessEvent { Time = Timestamp.FromDateTimeOffset(one.Time), Text = one.Text }));
        return message;
    }

    internal static ProcessInfo Of(StubProcess process)
    {
        // Not the process, which ends.
        ProcessHistory history = process.History;
        return new(
            process.Token, process.Note.Host, process.Process, process.Stub, process.HasStub, process.Note.Uid, process.Note.Command, process.Note.Directory,
            process.Since, process.Until, process.Status, process.IsAway, process.StoppedBy, process.Bytes.Sent, process.Bytes.Received,
            process.Note.Own, process.NumberError, process.Note.IsStandIn, process.Group, () => history.All);
    }
}
