using Dpu.Fuse;
using Microsoft.Extensions.Logging;
using Microsoft.Win32.SafeHandles;

namespace Dpu.Qtfs.Mount.Coherence;

/// <summary>
/// Tells the kernel what to forget, which may wait: of a page for a FUSE_READ or FUSE_WRITE of it, of a name for any request that
/// has its directory locked (fuse_reverse_inval_inode, fuse_reverse_inval_entry). One thread at a time has the turn. Where it is
/// held up, another one gets the turn; what else is to be told of the same node waits for the first. Thread-safe.
/// </summary>
/// <remarks>
/// No signal ends that wait, and a process that is killed in it does not end: neither would the mount, nor would a next runtime get its turn
/// to answer. So it is left to <see cref="TellerProcess"/>, and this process can be killed at any time.
/// </remarks>
internal sealed unsafe class KernelTeller
{
    /// <summary>Nodes that may be held up, each with a thread; where there are more, the turn waits.</summary>
    public const int MostHeldUp = 16;

    private static readonly TimeSpan HeldUpAfter = TimeSpan.FromMilliseconds(250);

    // What is held up so long waits for the host, and not for a processor.
    private static readonly TimeSpan HungAfter = TimeSpan.FromSeconds(2);

    private readonly RemoteMount _mount;
    private readonly ILogger _logger;
    private readonly Action<Turn> _work;
    private readonly object _lock = new();
    private readonly Stack<TellerProcess> _processes = [];
    private readonly Dictionary<ulong, Turn> _heldUp = [];
    private readonly List<Thread> _threads = [];
    private SafeFileHandle? _device;
    private Turn? _turn;
    private bool _helping;
    private bool _stopped;
    private bool _refusalTold;
    private bool _interrupted = true;
    private ulong _told;

    /// <param name="mount">The mount.</param>
    /// <param name="logger">The log.</param>
    /// <param name="work">What who has the turn does; it returns when <see cref="Turn.Tell"/> has returned false.</param>
    public KernelTeller(RemoteMount mount, ILogger logger, Action<Turn> work)
    {
        _mount = mount;
        _logger = logger;
        _work = work;
    }

    /// <summary>Starts the first thread.</summary>
    /// <param name="device">Where the kernel is told.</param>
    public void Start(SafeFileHandle device)
    {
        _device = device;
        lock (_lock)
        {
            GiveTurn();
        }
    }

    /// <summary>Gives the turn to another thread where the one that has it is held up.</summary>
    public void Look()
    {
        lock (_lock)
        {
            if (_turn is { Since: not 0 } turn && _heldUp.Count < MostHeldUp
                && Environment.TickCount64 - turn.Since >= (long)HeldUpAfter.TotalMilliseconds && _heldUp.TryAdd(turn.Node, turn))
            {
                (turn.IsOver, turn.HeldUpSince) = (true, turn.Since);
                GiveTurn();
            }
        }
    }

    /// <summary>Runs something that tells the kernel, beside who has the turn; false where such a thing runs already.</summary>
    public bool TryRun(string name, Action<Turn> work)
    {
        lock (_lock)
        {
            if (_helping)
            {
                return false;
            }

            _helping = true;
            StartThread(name, () =>
            {
                Run(work, new Turn(this));
                lock (_lock)
                {
                    _helping = false;
                }
            });
            return true;
        }
    }

    /// <summary>Notifications of a new connection follow, whose numbers begin anew.</summary>
    public void Restart()
    {
        lock (_lock)
        {
            _interrupted = true;
            Monitor.PulseAll(_lock);
        }
    }

    /// <summary>The kernel has been told of all up to a number.</summary>
    public void Told(ulong number)
    {
        lock (_lock)
        {
            _interrupted = false;
            _told = number;
            Monitor.PulseAll(_lock);
        }
    }

    /// <summary>Waits until the kernel has been told of all up to a number.</summary>
    /// <param name="number">The number.</param>
    /// <param name="deadline">Until when, in ms of <see cref="Environment.TickCount64"/>.</param>
    /// <returns>False where it has not been: it is too late, the connection broke, or what it is being told hangs.</returns>
    public bool AwaitTold(ulong number, long deadline)
    {
        lock (_lock)
        {
            while (!_interrupted && (_heldUp.Count > 0 || _told < number))
            {
                long until = _heldUp.Values.Select(turn => turn.HeldUpSince + (long)HungAfter.TotalMilliseconds).Append(deadline).Min();
                long left = until - Environment.TickCount64;
                if (left <= 0)
                {
                    return false;
                }

                Monitor.Wait(_lock, (int)left);
            }

            return !_interrupted;
        }
    }

    /// <summary>Returns when its threads have ended, whose work ends soon: the mount is gone, and with it what held them up.</summary>
    public void Stop()
    {
        Thread[] threads;
        lock (_lock)
        {
            _turn = null;
            _stopped = true;
            threads = [.. _threads];
        }

        Array.ForEach(threads, thread => thread.Join());
        while (_processes.TryPop(out TellerProcess? process))
        {
            process.Dispose();
        }
    }

    /// <summary>Runs something that tells the kernel, on this thread and beside all others; see <see cref="Turn.TellNow"/>.</summary>
    public void Run(Action<Turn> work) => Run(work, new Turn(this));

    // Waits for what holds it.
    private void Tell(Turn turn, in Invalidation invalidation)
    {
        fixed (byte* message = turn.Message)
        {
            // SAFETY: pinned, and longer than any notification. Whatever the kernel answers is well: ENOENT, it has nothing of it.
            int length = invalidation.Write(turn.Message, expireOnly: true);
            if (!TellByProcess(turn, message, length))
            {
                _ = FuseDevice.WriteReply(_device!, message, length);
            }
        }
    }

    private bool TellByProcess(Turn turn, byte* message, int length)
    {
        // One that somebody has ended is replaced. To tell the kernel twice does no harm.
        for (int tried = 0; tried < 2; tried++)
        {
            turn.Process ??= TakeProcess();
            if (turn.Process is not { } process)
            {
                return false;
            }

            if (process.Tell(message, length, out _))
            {
                return true;
            }

            process.Dispose();
            turn.Process = null;
        }

        return false;
    }

    private TellerProcess? TakeProcess()
    {
        lock (_lock)
        {
            if (_processes.TryPop(out TellerProcess? idle))
            {
                return idle;
            }
        }

        TellerProcess? started = TellerProcess.TryStart(_device!, _mount.ConnectionNumber, _mount.State.GuardiansMemory, out string problem);
        if (started is null && !_refusalTold)
        {
            _refusalTold = true;
            Log.NoTeller(_logger, _mount.Options.Target, problem);
        }

        return started;
    }

    private void Run(Action<Turn> work, Turn turn)
    {
        work(turn);
        if (turn.Process is { } process)
        {
            lock (_lock)
            {
                if (!_stopped)
                {
                    _processes.Push(process);
                    return;
                }
            }

            process.Dispose();
        }
    }

    // Under the lock.
    private void GiveTurn()
    {
        var turn = new Turn(this);
        _turn = turn;
        StartThread("cache", () => Run(_work, turn));
    }

    private void StartThread(string name, Action work)
    {
        _threads.RemoveAll(thread => !thread.IsAlive);
        _threads.Add(_mount.StartThread(name, work));
    }

    /// <summary>A thread's leave to tell the kernel.</summary>
    internal sealed class Turn(KernelTeller teller)
    {
        private readonly Queue<Invalidation> _behind = new();

        /// <summary>Room for a notification.</summary>
        public byte[] Message { get; } = new byte[Invalidation.MaxSize];

        /// <summary>What tells the kernel for it; null where it does so itself, or has told nothing yet.</summary>
        public TellerProcess? Process { get; set; }

        /// <summary>The node of which the kernel is being told.</summary>
        public ulong Node { get; private set; }

        /// <summary>Since when, in ms of <see cref="Environment.TickCount64"/>; 0 where it is not.</summary>
        public long Since { get; private set; }

        /// <summary>Whether another thread has the turn.</summary>
        public bool IsOver { get; set; }

        /// <summary>Where it is over: since when the kernel is being told, likewise.</summary>
        public long HeldUpSince { get; set; }

        /// <summary>Tells the kernel to forget something.</summary>
        /// <param name="invalidation">What.</param>
        /// <param name="number">The notification's number; 0 for none.</param>
        /// <returns>False where another thread has got the turn meanwhile.</returns>
        public bool Tell(in Invalidation invalidation, ulong number)
        {
            bool mine;
            lock (teller._lock)
            {
                mine = !teller._heldUp.TryGetValue(invalidation.Node, out Turn? first);
                if (mine)
                {
                    (Node, Since) = (invalidation.Node, Environment.TickCount64);
                }
                else
                {
                    first!._behind.Enqueue(invalidation);
                }
            }

            if (mine)
            {
                teller.Tell(this, invalidation);
            }

            lock (teller._lock)
            {
                Since = 0;
                if (!IsOver)
                {
                    if (number != 0)
                    {
                        teller.Told(number);
                    }

                    return true;
                }
            }

            TellRest();
            return false;
        }

        /// <summary>Tells the kernel to forget something, whoever else tells it of the same node.</summary>
        public void TellNow(in Invalidation invalidation) => teller.Tell(this, invalidation);

        private void TellRest()
        {
            while (true)
            {
                Invalidation next;
                lock (teller._lock)
                {
                    if (!_behind.TryDequeue(out next))
                    {
                        teller._heldUp.Remove(Node);
                        Monitor.PulseAll(teller._lock);
                        return;
                    }
                }

                teller.Tell(this, next);
            }
        }
    }
}
