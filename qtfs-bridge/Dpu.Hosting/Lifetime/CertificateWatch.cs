using System.Globalization;
using Dpu.Link;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Dpu.Hosting.Lifetime;

/// <summary>Warns in the log, at start and once a day, while the daemon's certificate is about to expire.</summary>
internal sealed class CertificateWatch(
    LinkCredentials credentials, TimeProvider clock, ILogger<CertificateWatch> logger) : BackgroundService
{
    private static readonly TimeSpan _interval = TimeSpan.FromDays(1);

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using var timer = new PeriodicTimer(_interval, clock);
        try
        {
            do
            {
                if (credentials.ExpiresSoon)
                {
                    HostingLog.CertificateExpires(
                        logger,
                        credentials.Identity.ToString(),
                        (int)Math.Floor(credentials.Remaining.TotalDays),
                        credentials.NotAfter.ToString("u", CultureInfo.InvariantCulture));
                }
            }
            while (await timer.WaitForNextTickAsync(stoppingToken).ConfigureAwait(false));
        }
        catch (OperationCanceledException)
        {
            // Expected: the daemon stops.
        }
    }
}
