using System.Collections.Concurrent;

namespace Dpu.Relay;

/// <summary>Threads for what blocks, as until the other end has answered: as many as are needed, within a bound, for as long as they are. Thread-safe.</summary>
/// <param name="name">Their name.</param>
public sealed class DialThreads(string name) : IDisposable
{
    // A listener on the host that does not accept holds one for half a minute.
    private const int Most = 64;
    private static readonly TimeSpan IdleLimit = TimeSpan.FromSeconds(5);

    private readonly BlockingCollection<Action> _work = [];
    private readonly Lock _lock = new();
    private int _threads;
    private int _idle;

    /// <summary>Has something done soon; it must not throw. Nothing after the end.</summary>
    public void Run(Action work)
    {
        lock (_lock)
        {
            if (_work.IsAddingCompleted)
            {
                return;
            }

            _work.Add(work);
            if (_idle >= _work.Count || _threads == Most)
            {
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
            _work.CompleteAdding();
        }
    }

    private void Loop()
    {
        while (true)
        {
            lock (_lock)
            {
                _idle++;
            }

            bool got = _work.TryTake(out Action? work, IdleLimit);
            lock (_lock)
            {
                _idle--;
                if (!got && (_work.Count == 0 || _work.IsCompleted))
                {
                    _threads--;
                    return;
                }
            }

            work?.Invoke();
        }
    }
}
