using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Dpu.Systemd;

/// <summary>
/// Feeds the service manager's watchdog at half its interval, as sd_watchdog_enabled(3) recommends, while every
/// <see cref="IHealthProbe"/> is well. One that stays unwell, or hangs, lets the manager kill and restart the daemon.
/// </summary>
public sealed partial class WatchdogService(
    ISystemdNotifier notifier, IEnumerable<IHealthProbe> probes, TimeProvider clock, ILogger<WatchdogService> logger)
    : BackgroundService
{
    private readonly IHealthProbe[] _probes = [.. probes];

    /// <summary>Feeds the watchdog if all is well; false, and a log entry, if not.</summary>
    public bool Feed()
    {
        bool isWell = true;
        foreach (IHealthProbe probe in _probes)
        {
            if (Ask(probe) is { } problem)
            {
                isWell = false;
                LogUnwell(logger, probe.Name, problem);
            }
        }

        if (isWell)
        {
            notifier.Watchdog();
        }

        return isWell;
    }

    /// <inheritdoc/>
    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        if (notifier.WatchdogInterval is not { } interval)
        {
            return;
        }

        using var timer = new PeriodicTimer(interval / 2, clock);
        try
        {
            do
            {
                _ = Feed();
            }
            while (await timer.WaitForNextTickAsync(stoppingToken).ConfigureAwait(false));
        }
        catch (OperationCanceledException)
        {
            // Expected: the daemon stops.
        }
    }

    private static string? Ask(IHealthProbe probe)
    {
        try
        {
            return probe.Problem();
        }
#pragma warning disable CA1031 // A probe that fails is unwell, whatever it threw; the loop must go on.
        catch (Exception e)
#pragma warning restore CA1031
        {
            return $"its probe failed: {e}";
        }
    }

    [LoggerMessage(
        EventId = 180,
        EventName = "Unwell",
        Level = LogLevel.Error,
        Message = "{Part} is not well: {Problem}. The watchdog is not fed; the service manager will restart this daemon if it stays so.")]
    private static partial void LogUnwell(ILogger logger, string part, string problem);
}
