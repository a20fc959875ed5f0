using Dpu.Hosting.Configuration;
using Dpu.Hosting.Logging;

namespace Dpu.Hosting.Lifetime;

/// <summary>Takes the parts of a configuration that both daemons share: the log's level; the rest needs a restart.</summary>
internal sealed class CommonReload<T>(DaemonLoggerProvider log) : IReloadable<T>
    where T : class, IDaemonConfiguration<T>
{
    public ReloadOutcome Reload(T previous, T next)
    {
        var applied = new List<string>();
        var needsRestart = new List<string>();
        if (previous.Log.Level != next.Log.Level)
        {
            log.Level = next.Log.Level;
            applied.Add($"log.level is {next.Log.Level}");
        }

        if (previous.Log.Format != next.Log.Format)
        {
            needsRestart.Add("log.format");
        }

        if (previous.Control.Socket != next.Control.Socket)
        {
            needsRestart.Add("control.socket");
        }

        if (previous.Keeper.Socket != next.Keeper.Socket)
        {
            needsRestart.Add("keeper.socket");
        }

        if (!previous.Control.Listen.SequenceEqual(next.Control.Listen))
        {
            needsRestart.Add("control.listen");
        }

        if (previous.Metrics != next.Metrics)
        {
            needsRestart.Add("metrics");
        }

        // The content of the files is followed without a restart; other files are not.
        if (previous.Tls != next.Tls)
        {
            needsRestart.Add("tls");
        }

        return new(applied, needsRestart);
    }
}
