using System.Diagnostics.CodeAnalysis;
using Dpu.Linux;

namespace Dpu.Fuse;

// Requests that wait for a lock. One thread, which begins with the first of them, tries them again: at once when a lock
// of this table is given back, else after 1, 2, 4, 8, then each 10 ms. A blocked F_OFD_SETLKW would need a thread for each and a
// signal to end it. So a lock that a program of the host gives back is had 5 ms later on average, 10 ms at most.
internal sealed unsafe partial class LockTable
{
    private const int FirstPause = 1;
    private const int LongestPause = 10;
    private const int LongestCycle = 16;

    // One step looks at one owner: a graph of a thousand is not one that programs make.
    private const int MostSteps = 1000;

    private readonly AutoResetEvent _wake = new(false);
    private readonly List<LockWait> _waits = [];

    // Interrupts that came before their request: workers of a local mount may pass one another.
    private readonly ulong[] _early = new ulong[32];
    private int _nextEarly;
    private int _waitCount;
    private bool _running;

    /// <summary>Requests that wait.</summary>
    public int Waits => Volatile.Read(ref _waitCount);

    /// <summary>A caller waits no longer: its request is answered with EINTR, unless it has its lock already.</summary>
    public void Interrupt(ulong unique)
    {
        LockWait? ended = null;
        lock (_lock)
        {
            int index = _waits.FindIndex(wait => wait.Request.Unique == unique);
            if (index < 0)
            {
                _early[_nextEarly++ % _early.Length] = unique;
                return;
            }

            ended = _waits[index];
            RemoveWait(index);
        }

        ended.Late.Complete(unique, -errno.EINTR);
    }

    /// <summary>Ends the waits whose answers would go there, without any: their peer asks again, by another way.</summary>
    public void Abandon(IFuseLateReplies late)
    {
        lock (_lock)
        {
            for (int i = _waits.Count - 1; i >= 0; i--)
            {
                if (ReferenceEquals(_waits[i].Late, late))
                {
                    RemoveWait(i);
                }
            }
        }
    }

    // Under the lock.
    private int Wait(in LockRequest wanted, IFuseLateReplies? late)
    {
        if (late is null)
        {
            return -errno.EAGAIN;
        }

        ulong unique = wanted.Unique;
        int early = Array.IndexOf(_early, unique);
        if (early >= 0 && unique != 0)
        {
            _early[early] = 0;
            return -errno.EINTR;
        }

        if (!wanted.IsFlock && IsCycle(wanted))
        {
            return -errno.EDEADLK;
        }

        if (_waits.Exists(wait => wait.Request.Unique == unique))
        {
            // No kernel sends a number twice.
            return -errno.EINVAL;
        }

        if (!_budget.Waits.TryTake())
        {
            return Limit("waits");
        }

        _waits.Add(new LockWait(wanted, late, Environment.TickCount64 + FirstPause));
        Volatile.Write(ref _waitCount, _waits.Count);
        if (!_running)
        {
            _running = true;
            new Thread(RunWaits) { IsBackground = true, Name = "qtfs-locks" }.Start();
        }

        _wake.Set();
        return FuseFileSystem.Pending;
    }

    // Under the lock: locks of the node were given back.
    private void Wake(ulong node)
    {
        bool any = false;
        foreach (LockWait wait in _waits)
        {
            if (wait.Request.Node == node)
            {
                wait.NextTry = 0;
                any = true;
            }
        }

        if (any)
        {
            _wake.Set();
        }
    }

    [SuppressMessage("Design", "CA1031", Justification = "What a lock's thread cannot do must not end the process; its waiters are told.")]
    private void RunWaits()
    {
        List<(LockWait Wait, int Result)> ended = [];
        try
        {
            FuseWorkerThread.Enter();
        }
        catch (InvalidOperationException)
        {
            // The lanes could not serve either, and say why. Locks need no identity.
        }

        while (true)
        {
            int pause;
            lock (_lock)
            {
                if (_closed)
                {
                    return;
                }

                pause = TryAll(ended);
            }

            // Not under the lock: an answer waits until its peer reads.
            foreach ((LockWait wait, int result) in ended)
            {
                wait.Late.Complete(wait.Request.Unique, result);
            }

            if (ended.Count == 0)
            {
                _wake.WaitOne(pause);
            }

            ended.Clear();
        }
    }

    // In the order of their coming. Returns when the next is due, in ms.
    private int TryAll(List<(LockWait Wait, int Result)> ended)
    {
        long now = Environment.TickCount64;
        long next = long.MaxValue;
        for (int i = 0; i < _waits.Count; i++)
        {
            LockWait wait = _waits[i];
            if (wait.NextTry <= now)
            {
                int result = TrySet(wait.Request, again: true);
                if (result != -errno.EAGAIN)
                {
                    RemoveWait(i--);
                    ended.Add((wait, result));
                    continue;
                }

                wait.Pause = Math.Min(wait.Pause * 2, LongestPause);
                wait.NextTry = now + wait.Pause;
            }

            next = Math.Min(next, wait.NextTry);
        }

        return next == long.MaxValue ? Timeout.Infinite : (int)Math.Max(0, next - now);
    }

    private void RemoveWait(int index)
    {
        _waits.RemoveAt(index);
        Volatile.Write(ref _waitCount, _waits.Count);
        _budget.Waits.Return();
    }

    private void DropWaits()
    {
        while (_waits.Count > 0)
        {
            RemoveWait(_waits.Count - 1);
        }
    }

    // Whether the lock's holders wait, over others or not, for the one who wants it. Of this mount's owners: neither the
    // host's kernel nor we know who waits behind another description.
    private bool IsCycle(in LockRequest wanted)
    {
        int steps = 0;
        return Leads(wanted, wanted.Owner, LongestCycle, ref steps);
    }

    private bool Leads(in LockRequest wanted, ulong target, int depth, ref int steps)
    {
        if (depth == 0 || !_nodes.TryGetValue(wanted.Node, out List<LockOwner>? owners))
        {
            return false;
        }

        foreach (LockOwner owner in owners)
        {
            if (++steps > MostSteps)
            {
                return false;
            }

            if (owner.Id == wanted.Owner || !owner.Ranges.Conflicts(wanted.Start, wanted.End, wanted.Exclusive))
            {
                continue;
            }

            if (owner.Id == target)
            {
                return true;
            }

            foreach (LockWait wait in _waits)
            {
                if (wait.Request.Owner == owner.Id && !wait.Request.IsFlock && Leads(wait.Request, target, depth - 1, ref steps))
                {
                    return true;
                }
            }
        }

        return false;
    }

    /// <summary>A request that waits.</summary>
    /// <param name="request">What it wants.</param>
    /// <param name="late">Who is told.</param>
    /// <param name="nextTry">When it is tried next, in ms of <see cref="Environment.TickCount64"/>.</param>
    private sealed class LockWait(LockRequest request, IFuseLateReplies late, long nextTry)
    {
        public LockRequest Request { get; } = request;

        public IFuseLateReplies Late { get; } = late;

        public long NextTry { get; set; } = nextTry;

        /// <summary>The last pause between two tries, in ms.</summary>
        public int Pause { get; set; } = FirstPause;
    }
}
