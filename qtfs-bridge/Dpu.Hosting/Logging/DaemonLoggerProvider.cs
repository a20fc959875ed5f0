using System.Collections.Concurrent;
using System.Globalization;
using Microsoft.Extensions.Logging;

namespace Dpu.Hosting.Logging;

/// <summary>
/// The daemons' log: lines on standard error, each event id limited in rate, so that a peer cannot fill the disk by
/// what it provokes. Thread-safe.
/// </summary>
public sealed class DaemonLoggerProvider : ILoggerProvider
{
    /// <summary>Entries of one event id that pass at once.</summary>
    public const int Burst = 50;

    /// <summary>Entries of one event id a second in the long run: at most 170 MB a day of 200-byte lines.</summary>
    public const int PerSecond = 10;

    // Suppressed entries are told at least this often.
    private static readonly TimeSpan _reportInterval = TimeSpan.FromSeconds(10);

    private readonly ConcurrentDictionary<(string Category, int Id), Bucket> _buckets = new();
    private readonly LogWriter _writer;
    private readonly Func<LogEntry, string> _format;
    private readonly TimeProvider _clock;
    private readonly ITimer _timer;
    private readonly long _start;
    private volatile int _level;

    /// <param name="output">Where lines go; not disposed.</param>
    /// <param name="format">How an entry becomes a line.</param>
    /// <param name="level">Entries below it are not written.</param>
    /// <param name="clock">The time.</param>
    public DaemonLoggerProvider(Stream output, Func<LogEntry, string> format, LogLevel level, TimeProvider clock)
    {
        ArgumentNullException.ThrowIfNull(output);
        ArgumentNullException.ThrowIfNull(format);
        ArgumentNullException.ThrowIfNull(clock);
        _clock = clock;
        _format = format;
        _writer = new LogWriter(output, DroppedLine);
        _level = (int)level;
        _start = clock.GetTimestamp();
        _timer = clock.CreateTimer(_ => ReportSuppressed(), null, _reportInterval, _reportInterval);
    }

    /// <summary>Entries below it are not written; a reload may change it.</summary>
    public LogLevel Level
    {
        get => (LogLevel)_level;
        set => _level = (int)value;
    }

    /// <inheritdoc/>
    public ILogger CreateLogger(string categoryName)
    {
        ArgumentNullException.ThrowIfNull(categoryName);
        // The frameworks below us tell of every request at Information.
        bool isForeign = categoryName.StartsWith("Microsoft.", StringComparison.Ordinal)
            || categoryName.StartsWith("System.", StringComparison.Ordinal);
        return new DaemonLogger(this, categoryName, isForeign ? LogLevel.Warning : LogLevel.Trace);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _timer.Dispose();
        ReportSuppressed();
        _writer.Dispose();
    }

    internal void Write(LogLevel level, string category, EventId id, string message, Exception? exception, object? state)
    {
        Bucket bucket = _buckets.GetOrAdd((category, id.Id), static _ => new Bucket());
        long suppressed;
        lock (bucket)
        {
            bucket.Level = level;
            bucket.Name = id.Name;
            if (!bucket.Tokens.TryTake(_clock.GetElapsedTime(_start)))
            {
                return;
            }

            suppressed = bucket.Tokens.TakeSuppressed();
        }

        Report(level, category, id, suppressed);
        var properties = state as IReadOnlyList<KeyValuePair<string, object?>>;
        _writer.Write(_format(new(_clock.GetUtcNow(), level, category, id, message, exception, properties)));
    }

    private void ReportSuppressed()
    {
        foreach (((string category, int id), Bucket bucket) in _buckets)
        {
            long suppressed;
            LogLevel level;
            string? name;
            lock (bucket)
            {
                (suppressed, level, name) = (bucket.Tokens.TakeSuppressed(), bucket.Level, bucket.Name);
            }

            Report(level, category, new EventId(id, name), suppressed);
        }
    }

    private void Report(LogLevel level, string category, EventId id, long suppressed)
    {
        if (suppressed > 0)
        {
            string message = string.Create(CultureInfo.InvariantCulture, $"{suppressed} more entries like this were left out");
            _writer.Write(_format(new(
                _clock.GetUtcNow(), level, category, id, message, null, [new("Suppressed", suppressed)])));
        }
    }

    private string DroppedLine(long dropped) => _format(new(
        _clock.GetUtcNow(),
        LogLevel.Warning,
        "Dpu.Hosting.Log",
        new EventId(100, "Dropped"),
        string.Create(CultureInfo.InvariantCulture, $"{dropped} entries were dropped: they came faster than standard error takes them"),
        null,
        [new("Dropped", dropped)]));

    private sealed class Bucket
    {
        // A field, not a property: the bucket is a mutable struct.
        public TokenBucket Tokens = new(Burst, PerSecond);

        public LogLevel Level { get; set; }

        public string? Name { get; set; }
    }
}
