using Dpu.Proto.V1;

namespace Dpu.Runtime.Events;

/// <summary>Says when there is a dpu-keeper and when there is none: then what the runtime has ends with it.</summary>
/// <param name="events">Is told.</param>
/// <param name="logger">The log.</param>
internal sealed class KeeperEvents(EventHub events, ILogger<KeeperEvents> logger)
{
    /// <summary>The keeper has come, or has gone or refused something.</summary>
    public void Changed(bool isThere, string what)
    {
        if (isThere)
        {
            Log.KeeperThere(logger, what);
            events.Publish(new Event { Severity = Severity.Info, Id = Log.KeeperThereId, Code = "KeeperThere", Message = what });
            return;
        }

        string unprotected = $"{what}; until a keeper is there, mounts end with the runtime";
        Log.KeeperGone(logger, unprotected);
        events.Publish(new Event { Severity = Severity.Warning, Id = Log.KeeperGoneId, Code = "KeeperGone", Message = unprotected });
    }
}
