using Dpu.Hosting.Configuration;
using Microsoft.Extensions.Logging;

namespace Dpu.Hosting.Lifetime;

/// <summary>
/// Reloads the configuration, for SIGHUP and for the control interface: loads it, and if it is good gives it to every
/// part; if not, the old one stays in force. Thread-safe; one reload at a time.
/// </summary>
public sealed class ReloadCoordinator<T>
    where T : class, IDaemonConfiguration<T>
{
    private readonly Func<ConfigurationResult<T>> _load;
    private readonly Func<IEnumerable<IReloadable<T>>> _parts;
    private readonly ILogger<ReloadCoordinator<T>> _logger;
    private readonly Lock _reloading = new();
    private volatile T _current;

    /// <param name="current">The configuration in force.</param>
    /// <param name="load">Loads the file anew.</param>
    /// <param name="parts">Gives the parts that take a configuration.</param>
    /// <param name="logger">The log.</param>
    public ReloadCoordinator(
        T current,
        Func<ConfigurationResult<T>> load,
        Func<IEnumerable<IReloadable<T>>> parts,
        ILogger<ReloadCoordinator<T>> logger)
    {
        _current = current;
        _load = load;
        _parts = parts;
        _logger = logger;
    }

    /// <summary>The configuration in force.</summary>
    public T Current => _current;

    /// <summary>Reloads.</summary>
    /// <exception cref="ConfigurationException">The new configuration is not good; nothing changed.</exception>
    public ReloadOutcome Reload()
    {
        lock (_reloading)
        {
            ConfigurationResult<T> result = _load();
            if (!result.Succeeded)
            {
                HostingLog.ReloadRefused(_logger, string.Join("; ", result.Errors));
                throw new ConfigurationException(result.Errors);
            }

            var applied = new List<string>();
            var needsRestart = new List<string>();
            foreach (IReloadable<T> part in _parts())
            {
                ReloadOutcome outcome = part.Reload(_current, result.Configuration);
                applied.AddRange(outcome.Applied);
                needsRestart.AddRange(outcome.NeedsRestart);
            }

            _current = result.Configuration;
            HostingLog.Reloaded(_logger, Told(applied), Told(needsRestart));
            return new(applied, needsRestart);
        }
    }

    private static string Told(List<string> parts) => parts.Count == 0 ? "nothing" : string.Join(", ", parts);
}
