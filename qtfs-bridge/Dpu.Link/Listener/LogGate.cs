namespace Dpu.Link.Listener;

/// <summary>Bounds how often strangers can make us write a log line: a token bucket that counts what it held back.</summary>
internal sealed class LogGate(TimeProvider time, int burst, TimeSpan refill)
{
    private readonly Lock _lock = new();
    private double _tokens = burst;
    private long _last = time.GetTimestamp();
    private long _suppressed;

    /// <summary>Whether to write now; then how many lines were held back since the last one.</summary>
    internal bool TryPass(out long suppressed)
    {
        lock (_lock)
        {
            var now = time.GetTimestamp();
            _tokens = Math.Min(burst, _tokens + (time.GetElapsedTime(_last, now) / refill));
            _last = now;
            if (_tokens < 1)
            {
                suppressed = 0;
                _suppressed++;
                return false;
            }

            _tokens--;
            suppressed = _suppressed;
            _suppressed = 0;
            return true;
        }
    }
}
