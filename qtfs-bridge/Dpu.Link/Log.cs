using Microsoft.Extensions.Logging;

namespace Dpu.Link;

/// <summary>The link's events. Ids 1000 to 1999 are stable: people write alerts on them.</summary>
internal static partial class Log
{
    [LoggerMessage(1000, LogLevel.Information, "Listening on {Endpoint}")]
    internal static partial void Listening(ILogger logger, string endpoint);

    [LoggerMessage(1001, LogLevel.Warning, "Accepting on {Endpoint} failed: {Reason}; waiting {Delay} ({Suppressed} like lines held back)")]
    internal static partial void AcceptFailed(ILogger logger, string endpoint, string reason, TimeSpan delay, long suppressed);

    [LoggerMessage(1002, LogLevel.Warning, "Too many connections are being set up: one from {Origin} was closed ({Suppressed} like lines held back)")]
    internal static partial void TooManyHandshakes(ILogger logger, string origin, long suppressed);

    [LoggerMessage(1003, LogLevel.Warning, "Link from {Origin} refused ({Kind}): {Reason} ({Suppressed} like lines held back)")]
    internal static partial void Refused(ILogger logger, string origin, LinkError kind, string reason, long suppressed);

    [LoggerMessage(1004, LogLevel.Information, "Link of {Peer} from {Origin} for {Service} opened, version {Major}.{Minor}, {Software}")]
    internal static partial void Opened(ILogger logger, string peer, string origin, string service, uint major, uint minor, string software);

    [LoggerMessage(1005, LogLevel.Information, "Link of {Peer} from {Origin} for {Service} ended")]
    internal static partial void Ended(ILogger logger, string peer, string origin, string service);

    [LoggerMessage(1006, LogLevel.Error, "Service {Service} failed on the link of {Peer}: a bug")]
    internal static partial void ServiceFailed(ILogger logger, Exception exception, string service, string peer);

    [LoggerMessage(1007, LogLevel.Warning, "Link of {Peer} from {Origin} cut: {Reason}")]
    internal static partial void Cut(ILogger logger, string peer, string origin, string reason);

    [LoggerMessage(1008, LogLevel.Error, "Setting up a link from {Origin} failed unexpectedly: a bug")]
    internal static partial void HandshakeFailed(ILogger logger, Exception exception, string origin);

    [LoggerMessage(1009, LogLevel.Warning, "{Count} links had not ended {Limit} after the listener stopped")]
    internal static partial void StopIncomplete(ILogger logger, int count, TimeSpan limit);

    [LoggerMessage(1010, LogLevel.Debug, "Link of {Peer} from {Origin}: {Reason}")]
    internal static partial void EndedWith(ILogger logger, string peer, string origin, string reason);

    [LoggerMessage(1020, LogLevel.Information, "Certificate of {Identity} read again, valid to {NotAfter:u}")]
    internal static partial void CredentialsReloaded(ILogger logger, string identity, DateTimeOffset notAfter);

    [LoggerMessage(1021, LogLevel.Warning, "Changed certificate files not taken: {Reason} The old certificate of {Identity}, valid to {NotAfter:u}, stays in use")]
    internal static partial void CredentialsNotReloaded(ILogger logger, string reason, string identity, DateTimeOffset notAfter);
}
