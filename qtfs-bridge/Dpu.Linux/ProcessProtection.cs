using System.Globalization;

namespace Dpu.Linux;

/// <summary>
/// Keeps a file system's server alive and out of its own way: the OOM killer takes others first, and memory reclaim
/// that its threads start never waits for the file systems that they serve.
/// </summary>
/// <remarks>
/// Both need CAP_SYS_RESOURCE. Without it the server runs on unprotected; the results say so, for a warning at the start.
/// </remarks>
public static class ProcessProtection
{
    /// <summary>Of -1000 (never) to 1000: after everything but what is exempt, so that a leak of ours can still be ended.</summary>
    public const int DefaultOomScoreAdjustment = -900;

    private const string OomScoreFile = "/proc/self/oom_score_adj";
    private static ProtectionResult? _threads;

    /// <summary>What the latest <see cref="ProtectCurrentThread"/> of any thread gave; null before the first.</summary>
    public static ProtectionResult? Threads => Volatile.Read(ref _threads);

    /// <summary>Sets <c>oom_score_adj</c> of this process (proc(5)). Does not throw for what the system refuses.</summary>
    public static ProtectionResult ProtectProcess(int adjustment = DefaultOomScoreAdjustment)
    {
        string measure = string.Create(CultureInfo.InvariantCulture, $"{OomScoreFile} = {adjustment}");
        try
        {
            File.WriteAllText(OomScoreFile, adjustment.ToString(CultureInfo.InvariantCulture));
            return new ProtectionResult(measure, null);
        }
        catch (Exception refused) when (refused is IOException or UnauthorizedAccessException)
        {
            // Expected without CAP_SYS_RESOURCE, or where /proc is read-only.
            return new ProtectionResult(measure, $"{refused.Message}; give the service CAP_SYS_RESOURCE, or set OOMScoreAdjust= in its unit");
        }
    }

    /// <summary>Sets PR_SET_IO_FLUSHER (prctl(2), Linux 5.6) of the calling thread. Does not throw for what the system refuses.</summary>
    public static ProtectionResult ProtectCurrentThread()
    {
        int result = LibC.Result(LibC.prctl(prctl.PR_SET_IO_FLUSHER, 1, 0, 0, 0));
        var protection = new ProtectionResult("PR_SET_IO_FLUSHER", result switch
        {
            0 => null,
            -errno.EPERM => "not permitted (EPERM); give the service CAP_SYS_RESOURCE",
            -errno.EINVAL => "not known to this kernel (EINVAL); Linux 5.6 has it",
            _ => $"errno {-result}",
        });
        Volatile.Write(ref _threads, protection);
        return protection;
    }
}

/// <summary>Whether a measure of <see cref="ProcessProtection"/> took effect.</summary>
/// <param name="Measure">What was to be set.</param>
/// <param name="Failure">Why it was not, and what to do; null where it was.</param>
public sealed record ProtectionResult(string Measure, string? Failure)
{
    /// <summary>Whether it took effect.</summary>
    public bool Applied => Failure is null;

    /// <inheritdoc/>
    public override string ToString() => Applied ? $"{Measure}: set" : $"{Measure}: {Failure}";
}
