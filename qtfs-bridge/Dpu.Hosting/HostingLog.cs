using Microsoft.Extensions.Logging;

namespace Dpu.Hosting;

/// <summary>Log events 100 to 199: what both daemons share. (100 is the log's own, 180 the watchdog's.)</summary>
internal static partial class HostingLog
{
    [LoggerMessage(
        EventId = 101, EventName = "Started", Level = LogLevel.Information,
        Message = "{Program} {Version} started, configuration {File}, control socket {Socket}")]
    public static partial void Started(ILogger logger, string program, string version, string file, string socket);

    [LoggerMessage(
        EventId = 102, EventName = "Stopping", Level = LogLevel.Information, Message = "Stopping: {Reason}")]
    public static partial void Stopping(ILogger logger, string reason);

    [LoggerMessage(EventId = 103, EventName = "Stopped", Level = LogLevel.Information, Message = "Stopped")]
    public static partial void Stopped(ILogger logger);

    [LoggerMessage(
        EventId = 104, EventName = "StopOverdue", Level = LogLevel.Critical,
        Message = "Not stopped within {Limit}; ending at once. Mounts and sockets may be left behind.")]
    public static partial void StopOverdue(ILogger logger, TimeSpan limit);

    [LoggerMessage(
        EventId = 110, EventName = "Reloaded", Level = LogLevel.Information,
        Message = "Configuration reloaded. Applied: {Applied}. Needs a restart: {NeedsRestart}.")]
    public static partial void Reloaded(ILogger logger, string applied, string needsRestart);

    [LoggerMessage(
        EventId = 111, EventName = "ReloadRefused", Level = LogLevel.Error,
        Message = "The new configuration is not good, the old one stays in force: {Errors}")]
    public static partial void ReloadRefused(ILogger logger, string errors);

    [LoggerMessage(
        EventId = 112, EventName = "ReloadFailed", Level = LogLevel.Error,
        Message = "The reload failed half-way; restart the daemon to be sure of its state")]
    public static partial void ReloadFailed(ILogger logger, Exception exception);

    [LoggerMessage(
        EventId = 113, EventName = "ConfigurationWarning", Level = LogLevel.Warning, Message = "{Warning}")]
    public static partial void ConfigurationWarning(ILogger logger, string warning);

    [LoggerMessage(
        EventId = 120, EventName = "ControlRefused", Level = LogLevel.Warning,
        Message = "Control connection refused: {Reason}")]
    public static partial void ControlRefused(ILogger logger, string reason);

    [LoggerMessage(
        EventId = 121, EventName = "ControlListening", Level = LogLevel.Information,
        Message = "Control interface on {Endpoint}")]
    public static partial void ControlListening(ILogger logger, string endpoint);

    [LoggerMessage(
        EventId = 122, EventName = "SetUpFailed", Level = LogLevel.Critical, Message = "Cannot start: {Reason}")]
    public static partial void SetUpFailed(ILogger logger, string reason);

    [LoggerMessage(
        EventId = 123, EventName = "SetUpFailedAt", Level = LogLevel.Debug, Message = "Where it failed")]
    public static partial void SetUpFailedAt(ILogger logger, Exception exception);

    [LoggerMessage(
        EventId = 130, EventName = "CertificateExpires", Level = LogLevel.Warning,
        Message = "The certificate of {Name} expires in {Days} days, at {Date}; issue a new one with dpuctl pki rotate")]
    public static partial void CertificateExpires(ILogger logger, string name, int days, string date);
}
