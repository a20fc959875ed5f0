using System.Runtime.InteropServices;
using Dpu.Hosting.Configuration;
using Dpu.Systemd;
using Grpc.Health.V1;
using Grpc.HealthCheck;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Dpu.Hosting.Lifetime;

/// <summary>
/// The daemon's life as the service manager sees it: SIGTERM and SIGINT stop it, SIGHUP reloads, and sd_notify tells
/// of each step. A stop that takes too long, or a second signal, ends the process.
/// </summary>
internal sealed class DaemonLifetime<T> : IHostLifetime, IDisposable
    where T : class, IDaemonConfiguration<T>
{
    private readonly IHostApplicationLifetime _application;
    private readonly ISystemdNotifier _notifier;
    private readonly ReloadCoordinator<T> _reload;
    private readonly ILogger<DaemonLifetime<T>> _logger;
    private readonly TimeProvider _clock;
    private readonly HealthServiceImpl _health;
    private readonly TimeSpan _stopLimit;
    private readonly Action<int> _exit;
    private readonly List<PosixSignalRegistration> _signals = [];
    private readonly List<CancellationTokenRegistration> _registrations = [];
    private ITimer? _overdue;
    private int _stopRequests;

    public DaemonLifetime(
        IHostApplicationLifetime application,
        ISystemdNotifier notifier,
        ReloadCoordinator<T> reload,
        ILogger<DaemonLifetime<T>> logger,
        TimeProvider clock,
        DaemonLimits limits,
        HealthServiceImpl health)
    {
        _health = health;
        _application = application;
        _notifier = notifier;
        _reload = reload;
        _logger = logger;
        _clock = clock;
        _stopLimit = limits.Stop + TimeSpan.FromSeconds(5);
        _exit = limits.Exit;
    }

    public Task WaitForStartAsync(CancellationToken cancellationToken)
    {
        _signals.Add(PosixSignalRegistration.Create(PosixSignal.SIGTERM, Stop));
        _signals.Add(PosixSignalRegistration.Create(PosixSignal.SIGINT, Stop));
        _signals.Add(PosixSignalRegistration.Create(PosixSignal.SIGHUP, Reload));
        _registrations.Add(_application.ApplicationStarted.Register(Started));
        _registrations.Add(_application.ApplicationStopping.Register(Stopping));
        return Task.CompletedTask;
    }

    public Task StopAsync(CancellationToken cancellationToken)
    {
        HostingLog.Stopped(_logger);
        return Task.CompletedTask;
    }

    public void Dispose()
    {
        _signals.ForEach(s => s.Dispose());
        _registrations.ForEach(r => r.Dispose());
        _overdue?.Dispose();
    }

    private void Stop(PosixSignalContext context)
    {
        // Not the default action, which ends the process at once.
        context.Cancel = true;
        if (Interlocked.Increment(ref _stopRequests) > 1)
        {
            _exit(ExitCodes.Failure);
            return;
        }

        HostingLog.Stopping(_logger, context.Signal.ToString());
        _application.StopApplication();
    }

    private void Started()
    {
        _health.SetStatus(string.Empty, HealthCheckResponse.Types.ServingStatus.Serving);
        _notifier.Ready("Serving");
    }

    private void Stopping()
    {
        _health.SetStatus(string.Empty, HealthCheckResponse.Types.ServingStatus.NotServing);
        _notifier.Stopping("Stopping");
        _overdue = _clock.CreateTimer(_ => Overdue(), null, _stopLimit, Timeout.InfiniteTimeSpan);
    }

    private void Overdue()
    {
        HostingLog.StopOverdue(_logger, _stopLimit);
        _exit(ExitCodes.Failure);
    }

    private void Reload(PosixSignalContext context)
    {
        context.Cancel = true;
        // Not on the thread that delivers signals: a reload may take long, and a stop must get through meanwhile.
        _ = Task.Run(() =>
        {
            _notifier.Reloading();
            string status = "Serving";
            try
            {
                _ = _reload.Reload();
            }
            catch (ConfigurationException)
            {
                // Expected: the coordinator has logged it.
                status = "Serving; the new configuration is not good and was not taken";
            }
#pragma warning disable CA1031 // Whatever a part threw, the daemon goes on and says so.
            catch (Exception e)
#pragma warning restore CA1031
            {
                HostingLog.ReloadFailed(_logger, e);
                status = "Serving; a reload failed half-way";
            }

            _notifier.Ready(status);
        });
    }
}
