using Dpu.Fuse;
using Dpu.Linux;
using Microsoft.Win32.SafeHandles;

namespace Dpu.Qtfs.Mount.Coherence;

/// <summary>
/// Tells the kernel what to forget, which may wait: of a page for a FUSE_READ or FUSE_WRITE of it, of a name for any request that
/// has its directory locked (fuse_reverse_inval_inode, fuse_reverse_inval_entry). One thread at a time has the turn. Where it is
/// held up, another one gets the turn; what else is to be told of the same node waits for the first. Thread-safe.
/// </summary>
internal sealed unsafe class KernelTeller
{
    /// <summary>Nodes that may be held up, each with a thread; where there are more, the turn waits.</summary>
    public const int MostHeldUp = 16;

    private static readonly TimeSpan HeldUpAfter = TimeSpan.FromMilliseconds(100);

    private readonly RemoteMount _mount;
    private readonly Action<Turn> _work;
    private readonly object _lock = new();
    private readonly Dictionary<ulong, Turn> _heldUp = [];
    private readonly List<Thread> _threads = [];
    private SafeFileHandle? _device;
    private Turn? _turn;
    private bool _helping;
    private bool _interrupted = true;
    private ulong _told;

    /// <param name="mount">The mount.</param>
    /// <param name="work">What who has the turn does; it returns when <see cref="Turn.Tell"/> has returned false.</param>
    public KernelTeller(RemoteMount mount, Action<Turn> work)
    {
        _mount = mount;
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
                turn.IsOver = true;
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
                work(new Turn(this));
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
    /// <returns>False where it has not been.</returns>
    public bool AwaitTold(ulong number, long deadline)
    {
        lock (_lock)
        {
            while (!_interrupted && _heldUp.Count == 0 && _told < number && deadline - Environment.TickCount64 is > 0 and long left)
            {
                Monitor.Wait(_lock, (int)left);
            }

            return !_interrupted && _heldUp.Count == 0 && _told >= number;
        }
    }

    /// <summary>Returns when its threads have ended, whose work ends soon: the mount is gone, and with it what held them up.</summary>
    public void Stop()
    {
        Thread[] threads;
        lock (_lock)
        {
            _turn = null;
            threads = [.. _threads];
        }

        Array.ForEach(threads, thread => thread.Join());
    }

    /// <summary>Tells the kernel to forget something; waits for what holds it.</summary>
    /// <param name="device">Where to.</param>
    /// <param name="invalidation">What.</param>
    /// <param name="message">Room for it.</param>
    public static void Tell(SafeFileHandle device, in Invalidation invalidation, byte[] message)
    {
        int length = invalidation.Write(message, expireOnly: true);
        fixed (byte* bytes = message)
        {
            // SAFETY: pinned, and longer than any notification. ENOENT: the kernel has nothing of it.
            _ = FuseDevice.WriteReply(device, bytes, length);
        }
    }

    // Under the lock.
    private void GiveTurn()
    {
        var turn = new Turn(this);
        _turn = turn;
        StartThread("cache", () => _work(turn));
    }

    private void StartThread(string name, Action work)
    {
        _threads.RemoveAll(thread => !thread.IsAlive);
        _threads.Add(_mount.StartThread(name, work));
    }

    /// <summary>A thread's leave to tell the kernel.</summary>
    internal sealed class Turn(KernelTeller teller)
    {
        private readonly byte[] _message = new byte[Invalidation.MaxSize];
        private readonly Queue<Invalidation> _behind = new();

        /// <summary>The node of which the kernel is being told.</summary>
        public ulong Node { get; private set; }

        /// <summary>Since when, in ms of <see cref="Environment.TickCount64"/>; 0 where it is not.</summary>
        public long Since { get; private set; }

        /// <summary>Whether another thread has the turn.</summary>
        public bool IsOver { get; set; }

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
                KernelTeller.Tell(teller._device!, invalidation, _message);
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

                KernelTeller.Tell(teller._device!, next, _message);
            }
        }
    }
}
