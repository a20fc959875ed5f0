namespace Dpu.Relay;

/// <summary>Threads for what blocks, as until the other end has answered: as many as are needed, within a bound, for as long as they are. Thread-safe.</summary>
/// <param name="name">Their name.</param>
public sealed class DialThreads(string name) : IDisposable
{
    // A listener on the host that does not accept holds one for half a minute.
    private const int Most = 64;
    private static readonly TimeSpan IdleLimit = TimeSpan.FromSeconds(5);

    // With Monitor.Wait, which sleeps at once: a collection that blocks spins first, on a processor that who is to begin next waits for.
    private readonly object _lock = new();
    private readonly Queue<Action> _work = new();
    private int _threads;
    private int _idle;
    private bool _disposed;

    /// <summary>Has something done soon; it must not throw. Nothing after the end.</summary>
    public void Run(Action work)
    {
        lock (_lock)
        {
            if (_disposed)
            {
                return;
            }

            _work.Enqueue(work);
            if (_idle >= _work.Count || _threads == Most)
            {
                Monitor.Pulse(_lock);
                return;
            }

            _threads++;
        }

        new Thread(Loop, 256 * 1024) { IsBackground = true, Name = name }.Start();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        lock (_lock)
        {
            _disposed = true;
            Monitor.PulseAll(_lock);
        }
    }

    private void Loop()
    {
        while (Next() is { } work)
        {
            work();
        }
    }

    // What was asked for before the end is done after it.
    private Action? Next()
    {
        lock (_lock)
        {
            while (_work.Count == 0)
            {
                _idle++;
                bool woken = !_disposed && Monitor.Wait(_lock, IdleLimit);
                _idle--;
                if (_work.Count == 0 && (_disposed || !woken))
                {
                    _threads--;
                    return null;
                }
            }

            return _work.Dequeue();
        }
    }
}
