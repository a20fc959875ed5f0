using System.Collections.Concurrent;
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

    private readonly BlockingCollection<string> _lines = new(Capacity);
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
        try
        {
            if (!_lines.TryAdd(line))
            {
                Interlocked.Increment(ref _dropped);
            }
        }
        catch (InvalidOperationException)
        {
            // Expected: an entry after the end of logging, from a thread that ends last.
            Interlocked.Increment(ref _dropped);
        }
    }

    /// <summary>Writes what waits, for at most two seconds.</summary>
    public void Dispose()
    {
        _lines.CompleteAdding();
        if (_thread.Join(TimeSpan.FromSeconds(2)))
        {
            _lines.Dispose();
        }
    }

    private void Run()
    {
        foreach (string line in _lines.GetConsumingEnumerable())
        {
            Put(line);
            long dropped = Interlocked.Exchange(ref _dropped, 0);
            if (dropped > 0)
            {
                Put(_droppedLine(dropped));
            }
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
