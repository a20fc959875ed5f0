namespace Dpu.Keeper;

/// <summary>
/// Tells a daemon of its keeper's death and return, on a thread of its own: between them nothing protects what the daemon holds, and
/// after it all must be put anew.
/// </summary>
public sealed class KeeperWatch : IDisposable
{
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(200);

    private readonly string _path;
    private readonly Action<KeeperStatus> _there;
    private readonly Action<string> _gone;
    private readonly Action<string, KeptProcess>? _changed;
    private readonly ManualResetEventSlim _stop = new();
    private readonly Thread _thread;
    private readonly Lock _lock = new();
    private KeeperConnection? _connection;

    /// <summary>Starts to watch.</summary>
    /// <param name="path">The keeper's socket.</param>
    /// <param name="there">It is there, at first or again: once each time, with what it says of itself.</param>
    /// <param name="gone">It is not there, at first or any more: once each time, with the reason.</param>
    /// <param name="changed">A process (of any daemon) has stopped, goes on, or has ended: its entry's name, and how it is. Not told by a keeper that cannot run any.</param>
    public KeeperWatch(string path, Action<KeeperStatus> there, Action<string> gone, Action<string, KeptProcess>? changed = null)
    {
        _path = path;
        _there = there;
        _gone = gone;
        _changed = changed;
        _thread = new Thread(Run) { IsBackground = true, Name = "keeper-watch" };
        _thread.Start();
    }

    /// <summary>Ends; returns when no more is told.</summary>
    public void Dispose()
    {
        lock (_lock)
        {
            _stop.Set();
            _connection?.Shut();
        }

        _thread.Join();
        _stop.Dispose();
    }

    private void Run()
    {
        string told = "";
        while (!_stop.IsSet)
        {
            try
            {
                using KeeperConnection connection = KeeperConnection.Open(_path, KeeperClient.Limit);
                lock (_lock)
                {
                    if (_stop.IsSet)
                    {
                        return;
                    }

                    _connection = connection;
                }

                told = "";
                KeeperStatus status = KeeperClient.StatusOf(connection.Greeting);
                bool tells = _changed is not null && status.Runs;
                if (tells)
                {
                    connection.Watch();
                }

                _there(status);
                while (tells)
                {
                    // Until it throws.
                    (string name, KeptProcess process) = connection.NextProcess();
                    _changed!(name, process);
                }

                connection.AwaitEnd();
                Leave();
                Tell(KeeperConnection.Ended(_path), ref told);
            }
            catch (KeeperException e)
            {
                // Expected while none runs.
                Leave();
                Tell(e.Message, ref told);
            }

            _stop.Wait(Pause);
        }
    }

    private void Leave()
    {
        lock (_lock)
        {
            _connection = null;
        }
    }

    // Once, whatever the reasons are that it does not come back.
    private void Tell(string why, ref string told)
    {
        if (told.Length == 0 && !_stop.IsSet)
        {
            told = why;
            _gone(why);
        }
    }
}
