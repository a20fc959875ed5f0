using System.Globalization;
using Dpu.Keeper;
using Dpu.Linux;
using Dpu.Relay.Processes;
using Dpu.Relay.Terminals;

namespace Dpu.HostAgent.Processes;

/// <summary>Signals that are a whole job's, and those that stop one.</summary>
internal static class JobSignals
{
    // What the DPU's kernel sends for a key goes to all of a group there (asm-generic/siginfo.h).
    private const int SI_KERNEL = 0x80;

    /// <summary>Whether it is for all of the process's group.</summary>
    public static bool IsOfGroup(ProcessSignal asked) => asked.Number == signal.SIGCONT || IsStop(asked.Number) || (asked.Code == SI_KERNEL && asked.Number is signal.SIGINT or signal.SIGQUIT);

    /// <summary>What dpu-launch's helper is told for it.</summary>
    public static ProcessJob ToGroup(int number) => new(process.PROCESS_TO_GROUP, new TerminalSize((ushort)number, 0, 0, 0));

    /// <summary>
    /// Whether it would stop a process that has a parent in its session. Without a terminal the process leads a session in which there is nobody else, where the
    /// kernel lets nothing but SIGSTOP stop it.
    /// </summary>
    /// <param name="number">The signal.</param>
    /// <param name="process">The process.</param>
    public static bool Stops(int number, int process) => IsStop(number) && ((MaskOf(process, "SigBlk:") | MaskOf(process, "SigIgn:") | MaskOf(process, "SigCgt:")) >> (number - 1) & 1) == 0;

    private static bool IsStop(int number) => number is signal.SIGTSTP or signal.SIGTTIN or signal.SIGTTOU;

    private static ulong MaskOf(int process, string set)
    {
        try
        {
            string? line = File.ReadLines(string.Create(CultureInfo.InvariantCulture, $"/proc/{process}/status")).FirstOrDefault(line => line.StartsWith(set, StringComparison.Ordinal));
            return line is not null && ulong.TryParse(line[set.Length..].Trim(), NumberStyles.HexNumber, null, out ulong mask) ? mask : ulong.MaxValue;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // Expected: it has ended.
            return ulong.MaxValue;
        }
    }
}
