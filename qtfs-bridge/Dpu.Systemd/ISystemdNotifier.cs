namespace Dpu.Systemd;

/// <summary>What a daemon tells the service manager (sd_notify(3)). Thread-safe; never throws.</summary>
public interface ISystemdNotifier
{
    /// <summary>Whether anyone listens.</summary>
    bool IsEnabled { get; }

    /// <summary>How often the watchdog must hear of us; null where there is none.</summary>
    TimeSpan? WatchdogInterval { get; }

    /// <summary>Start-up, or a reload, is finished.</summary>
    void Ready(string status);

    /// <summary>A reload begins.</summary>
    void Reloading();

    /// <summary>The daemon ends.</summary>
    void Stopping(string status);

    /// <summary>One line for <c>systemctl status</c>.</summary>
    void Status(string status);

    /// <summary>The daemon lives.</summary>
    void Watchdog();
}
