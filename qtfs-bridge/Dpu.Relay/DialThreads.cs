namespace Dpu.Relay;

/// <summary>Threads for what blocks, as until the other end has answered: as many as are needed, within a bound, for as long as they are. Thread-safe.</summary>
/// <param name="name">Their name.</param>
public sealed class DialThreads(string name) : IDisposable
{
    // A listener on the host that does not accept holds one for half a minute.
    private const int Most = 64;
    private static readonly TimeSpan IdleLimit = TimeSpan.FromSeconds(5);

    // A monitor, since its waits do not spin: those of a BlockingCollection take a processor from who is to be waited for.
    private readonly object _lock = new();
    private readonly Queue<Action> _work = new();
    private int _threads;
    private int _idle;
    private bool _ended;

    /// <summary>Has something done soon; it must not throw. Nothing after the end.</summary>
    public void Run(Action work)
    {
        lock (_lock)
        {
            if (_ended)
            {
                return;
            }

            _work.Enqueue(work);
            if (_idle >= _work.Count)
            {
                Monitor.Pulse(_lock);
                return;
            }

            if (_threads == Most)
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
            _ended = true;
            Monitor.PulseAll(_lock);
        }
    }

    private void Loop()
    {
        while (TryTake() is { } work)
        {
            work();
        }
    }

    // Null where the thread is needed no more.
    private Action? TryTake()
    {
        lock (_lock)
        {
            Action? work;
            for (bool waits = true; !_work.TryDequeue(out work) && waits && !_ended;)
            {
                _idle++;
                waits = Monitor.Wait(_lock, IdleLimit);
                _idle--;
            }

            _threads -= work is null ? 1 : 0;
            return work;
        }
    }
}
