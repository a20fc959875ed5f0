using System.Text;

namespace Dpu.Hosting.Logging;

/// <summary>
/// Writes lines on a thread of its own, so that a journal that does not read stops no thread that serves. A bounded
/// number waits; more are dropped and counted. Thread-safe.
/// </summary>
internal sealed class LogWriter : IDisposable
{
    // At 200 bytes a line about 1 MiB; an outage of the journal longer than that many lines loses the newest.
    private const int Capacity = 4096;

    // With Monitor.Wait, which sleeps at once: a collection that blocks spins after each line, on a processor that who is served waits for.
    private readonly object _lock = new();
    private readonly Queue<string> _lines = new();
    private bool _isOver;
    private readonly Stream _output;
    private readonly Func<long, string> _droppedLine;
    private readonly Thread _thread;
    private long _dropped;

    /// <param name="output">Where lines go; not disposed.</param>
    /// <param name="droppedLine">Makes the line that says how many entries were dropped.</param>
    public LogWriter(Stream output, Func<long, string> droppedLine)
    {
        _output = output;
        _droppedLine = droppedLine;
        _thread = new Thread(Run) { IsBackground = true, Name = "log" };
        _thread.Start();
    }

    public void Write(string line)
    {
        lock (_lock)
        {
            // After the end of logging it is an entry of a thread that ends last.
            if (_isOver || _lines.Count == Capacity)
            {
                _ = Interlocked.Increment(ref _dropped);
                return;
            }

            _lines.Enqueue(line);
            Monitor.Pulse(_lock);
        }
    }

    /// <summary>Writes what waits, for at most two seconds.</summary>
    public void Dispose()
    {
        lock (_lock)
        {
            _isOver = true;
            Monitor.Pulse(_lock);
        }

        _ = _thread.Join(TimeSpan.FromSeconds(2));
    }

    private void Run()
    {
        while (Next() is { } line)
        {
            Put(line);
            long dropped = Interlocked.Exchange(ref _dropped, 0);
            if (dropped > 0)
            {
                Put(_droppedLine(dropped));
            }
        }
    }

    // Null when all before the end have been given.
    private string? Next()
    {
        lock (_lock)
        {
            while (_lines.Count == 0 && !_isOver)
            {
                _ = Monitor.Wait(_lock);
            }

            return _lines.TryDequeue(out string? line) ? line : null;
        }
    }

    private void Put(string line)
    {
        try
        {
            _output.Write(Encoding.UTF8.GetBytes(line));
            _output.Flush();
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException)
        {
            // Expected: standard error is closed. There is no other place to say so.
            Interlocked.Increment(ref _dropped);
        }
    }
}
