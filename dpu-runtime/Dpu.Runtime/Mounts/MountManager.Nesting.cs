using Dpu.Fuse;
using Dpu.Qtfs.Mount;
using Grpc.Core;

namespace Dpu.Runtime.Mounts;

// Mounts inside mounts. Who makes or removes an inner one asks the outer one for its mount point, and so waits for the
// outer one's host, at most for that mount's giveUpAfter: never a lane's thread, and never with the lock.
public sealed partial class MountManager
{
    /// <summary>How long the inner mounts may take to go, before the outer ones take them along.</summary>
    private static readonly TimeSpan InnerLimit = TimeSpan.FromSeconds(2);

    // Under the lock. The nearest mount that must stand before this one can be made inside of it; null where none.
    private MountEntry? AwaitedBy(MountEntry entry) => _entries
        .Where(other => other.Mount is null && Nesting.IsBelow(entry.Options.Target, other.Options.Target))
        .MaxBy(other => other.Options.Target.Length);

    // Under the lock.
    private MountEntry[] Below(string target) => [.. _entries.Where(other => Nesting.IsBelow(other.Options.Target, target))];

    private void RequirePlace(MountEntry entry)
    {
        string target = entry.Options.Target;
        lock (_lock)
        {
            if (AwaitedBy(entry) is { } outer)
            {
                throw new MountException(
                    StatusCode.FailedPrecondition,
                    $"{target} cannot be mounted: it lies in {outer.Options.Target}, where {outer.Options.Host}:{outer.Options.Export} is to be mounted first; 'dpuctl mounts' says what that waits for");
            }

            string[] inner = [.. Below(target).Where(other => other.Mount is not null || other.Starting).Select(other => other.Options.Target)];
            if (inner.Length > 0)
            {
                throw new MountException(
                    StatusCode.FailedPrecondition,
                    $"{target} cannot be mounted: it would hide what is mounted below it, {string.Join(", ", inner)}; unmount that first");
            }
        }
    }

    // Under the lock. What has to go with the mounts that the configuration names no more, and what has to be made again in
    // a mount that it names now.
    private List<MountEntry> Unwanted(IReadOnlyList<RemoteMountOptions> wanted)
    {
        List<MountEntry> removed = [.. _entries.Where(entry => entry.Configured && !wanted.Contains(entry.Options))];
        string[] added = [.. wanted.Where(options => !_entries.Any(entry => entry.Options == options)).Select(options => options.Target)];
        removed.AddRange(_entries.Except(removed).ToArray().Where(entry =>
            removed.Any(outer => Nesting.IsBelow(entry.Options.Target, outer.Options.Target))
            || (entry.Configured && added.Any(outer => Nesting.IsBelow(entry.Options.Target, outer)))));
        return removed;
    }

    // Each outer one waits a while for those inside of it: their unmounting may wait for the outer one's host, and ends with
    // that mount.
    private void UnmountAll(IEnumerable<MountEntry> entries)
    {
        List<(MountEntry Entry, Task Task)> all = [];
        foreach (MountEntry entry in Nesting.InnermostFirst(entries))
        {
            Task[] inside = [.. all.Where(other => Nesting.IsBelow(other.Entry.Options.Target, entry.Options.Target)).Select(other => other.Task)];
            all.Add((entry, Task.Factory.StartNew(
                () =>
                {
                    Task.WaitAll(inside, InnerLimit);

                    // One that is being made is unmounted by who makes it, or here once it is there: none may stay.
                    entry.Settled.Wait(StartLimit);
                    UnmountForGood(entry);
                },
                CancellationToken.None,
                TaskCreationOptions.LongRunning,
                TaskScheduler.Default)));
        }

        Task.WaitAll([.. all.Select(one => one.Task)]);
    }

    private void Unmount(MountEntry entry, bool lazy)
    {
        try
        {
            entry.Mount?.Unmount(lazy);
        }
        catch (IOException e)
        {
            string target = entry.Options.Target;
            IReadOnlyList<string> inner = MountPoints.Below(target);
            throw new MountException(
                StatusCode.FailedPrecondition,
                inner.Count > 0
                    ? $"{target} cannot be unmounted: {string.Join(", ", inner)} {(inner.Count == 1 ? "is" : "are")} mounted below it. Unmount what is below first (dpuctl umount --recursive does so with mounts of hosts), or detach all with --lazy"
                    : $"{target} cannot be unmounted: {e.Message}. Close what uses it ('fuser -vm {target}' lists it), or detach it with --lazy",
                e);
        }

        lock (_lock)
        {
            entry.Removed = true;
            _entries.Remove(entry);
        }

        entry.Mount?.Ended.Wait(TimeSpan.FromSeconds(lazy ? 1 : 10));
    }
}
