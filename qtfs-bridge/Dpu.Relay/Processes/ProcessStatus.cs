using System.Globalization;

namespace Dpu.Relay.Processes;

/// <summary>How a process ended, as wait(2) has it.</summary>
public static class ProcessStatus
{
    /// <summary>The exit code; null where a signal ended it.</summary>
    public static int? ExitCodeOf(int status) => (status & 0x7f) == 0 ? (status >> 8) & 0xff : null;

    /// <summary>The signal that ended it; 0 for none.</summary>
    public static int SignalOf(int status) => status & 0x7f;

    /// <summary>For counts: success, failure, signal.</summary>
    public static string KindOf(int status) => SignalOf(status) != 0 ? "signal" : ExitCodeOf(status) == 0 ? "success" : "failure";

    /// <summary>For people.</summary>
    public static string Describe(int status) => string.Create(
        CultureInfo.InvariantCulture, $"{(ExitCodeOf(status) is { } code ? $"exit code {code}" : $"signal {SignalOf(status)}")}{((status & 0x80) != 0 && SignalOf(status) != 0 ? ", core dumped" : "")}");
}
