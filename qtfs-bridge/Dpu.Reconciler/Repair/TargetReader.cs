using Dpu.Reconciler.Targets;

namespace Dpu.Reconciler.Repair;

/// <summary>Reads a target until a dump can be believed.</summary>
internal static class TargetReader
{
    /// <summary>Reads.</summary>
    /// <exception cref="TargetException">No dump could be believed, in all attempts.</exception>
    internal static async Task<TargetDump> ReadAsync(IFlowTarget target, ReconcilerOptions options, Func<TimeSpan, CancellationToken, Task> wait, CancellationToken cancellation)
    {
        Backoff backoff = new();
        for (int attempt = 1; ; attempt++)
        {
            TargetDump dump = target.Read(cancellation);
            bool isEmpty = dump.Flows.Count == 0 && dump.Expected > 0;
            if (!dump.Interrupted && !isEmpty)
            {
                return dump;
            }

            if (attempt >= options.DumpAttempts)
            {
                throw new TargetException(
                    isEmpty ? $"{target.Name} shows no flow and says that it has {dump.Expected}; nothing was changed"
                    : $"flows of {target.Name} changed during each of {attempt} dumps, so that none shows what is there; nothing more was changed: try again when less changes");
            }

            await wait(backoff.Failed(), cancellation).ConfigureAwait(false);
        }
    }
}
