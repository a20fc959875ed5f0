using System.Globalization;
using Dpu.Relay.Descriptors;
using Microsoft.Extensions.Logging;

namespace Dpu.Relay.Counters;

/// <summary>
/// Says when counters have no user any more. A counter has no end that its last user's close would tell, and this process has it too; so processes are
/// asked what they have open (proc_pid_fd(5)), while there are counters. Thread-safe.
/// </summary>
/// <param name="time">The clock.</param>
/// <param name="logger">The log.</param>
internal sealed class CounterWatch(TimeProvider time, ILogger logger) : IDisposable
{
    /// <summary>How often it is looked.</summary>
    public static readonly TimeSpan Interval = TimeSpan.FromSeconds(5);

    /// <summary>What a program has passed on may lie in another socket for a moment.</summary>
    public static readonly TimeSpan Unheld = TimeSpan.FromSeconds(5);

    /// <summary>What was made for a program waits in its socket until it is taken.</summary>
    public static readonly TimeSpan Untaken = TimeSpan.FromMinutes(1);

    private static readonly TimeSpan Tick = TimeSpan.FromSeconds(1);

    private readonly Lock _lock = new();
    private readonly Lock _looking = new();
    private readonly HashSet<CounterEnd> _ends = [];
    private ITimer? _timer;
    private long _lastLook;
    private bool _saidHidden;
    private bool _disposed;

    /// <summary>Now, by the clock's own ticks; never 0.</summary>
    public long Now => time.GetTimestamp() | 1;

    /// <summary>How many there are.</summary>
    public int Count
    {
        get
        {
            lock (_lock)
            {
                return _ends.Count;
            }
        }
    }

    /// <summary>Watches one until <see cref="Remove"/>.</summary>
    public void Add(CounterEnd end)
    {
        lock (_lock)
        {
            _ = _ends.Add(end);
            if (!_disposed && _timer is null)
            {
                _lastLook = time.GetTimestamp();
                _timer = time.CreateTimer(_ => Look(), null, Tick, Tick);
            }
        }
    }

    /// <summary>It is over.</summary>
    public void Remove(CounterEnd end)
    {
        lock (_lock)
        {
            if (_ends.Remove(end) && _ends.Count == 0)
            {
                _timer?.Dispose();
                _timer = null;
            }
        }
    }

    /// <summary>Says that one ends whose programs have added more than can be told.</summary>
    public void TooMuch() => Log.CounterTooLarge(logger, CounterState.Most);

    /// <inheritdoc/>
    public void Dispose()
    {
        lock (_lock)
        {
            _disposed = true;
            _timer?.Dispose();
            _timer = null;
        }
    }

    private void Look()
    {
        // One at a time; who comes meanwhile is not needed.
        if (!_looking.TryEnter())
        {
            return;
        }

        try
        {
            CounterEnd[] ends;
            lock (_lock)
            {
                ends = [.. _ends];
            }

            foreach (CounterEnd end in ends)
            {
                if (end.Unblock(Now, time.TimestampFrequency))
                {
                    Log.CounterFull(logger);
                }
            }

            if (time.GetElapsedTime(_lastLook) >= Interval)
            {
                _lastLook = time.GetTimestamp();
                LookForHolders(ends);
            }
        }
        finally
        {
            _looking.Exit();
        }
    }

    private void LookForHolders(CounterEnd[] ends)
    {
        // Most are where they were.
        CounterEnd[] moved = [.. ends.Where(end => end.Id >= 0 && !IsHeldBy(end.LastHolder, end.Id))];
        int hidden = 0;
        Dictionary<long, (int, int)> holders = moved.Length > 0 ? FindHolders(out hidden) : [];
        foreach (CounterEnd end in ends.Except(moved))
        {
            end.UnheldSince = null;
        }

        if (hidden != 0)
        {
            // Nobody is taken for gone where processes may not be looked at.
            if (!_saidHidden)
            {
                _saidHidden = true;
                Log.CounterHoldersUnknown(logger, hidden);
            }

            return;
        }

        foreach (CounterEnd end in moved)
        {
            if (holders.TryGetValue(end.Id, out (int, int) holder))
            {
                (end.LastHolder, end.WasHeld, end.UnheldSince) = (holder, true, null);
            }
            else if (end.UnheldSince is not { } since)
            {
                end.UnheldSince = time.GetTimestamp();
            }
            else if (time.GetElapsedTime(since) >= (end.IsTwin && !end.WasHeld ? Untaken : Unheld))
            {
                end.Close();
            }
        }
    }

    private static bool IsHeldBy((int Process, int Descriptor) holder, long id) =>
        holder.Process != 0 && EventCounter.Look(string.Create(CultureInfo.InvariantCulture, $"/proc/{holder.Process}/fdinfo/{holder.Descriptor}")).Id == id;

    /// <summary>Who has which counters, but this process.</summary>
    /// <param name="hidden">A process that may not be looked at, with which it ends; else 0.</param>
    internal static Dictionary<long, (int Process, int Descriptor)> FindHolders(out int hidden)
    {
        hidden = 0;
        Dictionary<long, (int, int)> found = [];
        foreach (string folder in Directory.EnumerateDirectories("/proc"))
        {
            if (!int.TryParse(Path.GetFileName(folder), NumberStyles.None, CultureInfo.InvariantCulture, out int process) || process == Environment.ProcessId)
            {
                continue;
            }

            try
            {
                // Not /proc/PID/fd: .NET asks of each link there what it leads to, and so whoever serves that file system, which may be this process.
                foreach (string name in Directory.EnumerateFileSystemEntries($"{folder}/fdinfo"))
                {
                    if (new FileInfo($"{folder}/fd/{Path.GetFileName(name)}").LinkTarget == EventCounter.Link
                        && int.TryParse(Path.GetFileName(name), NumberStyles.None, CultureInfo.InvariantCulture, out int descriptor))
                    {
                        found[EventCounter.Look(name).Id] = (process, descriptor);
                    }
                }
            }
            catch (IOException)
            {
                // Expected: the process has ended.
                continue;
            }
            catch (UnauthorizedAccessException)
            {
                // Expected: of a service that may not look at others.
                hidden = process;
                break;
            }
        }

        return found;
    }
}
