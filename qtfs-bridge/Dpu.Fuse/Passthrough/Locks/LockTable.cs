using Dpu.Fuse.Wire;
using Dpu.Linux;
using static Dpu.Linux.LibC;

namespace Dpu.Fuse;

/// <summary>
/// The locks of a peer, which are the host's: in conflict with those of the host's programs and of other peers. Thread-safe;
/// no call waits for a lock.
/// </summary>
/// <remarks>
/// Record locks (fcntl(2)): this process acts for many owners, and POSIX locks of one process are all the same owner's. So
/// each pair of owner and file has an open file description of its own, which holds the owner's locks as OFD locks, from
/// the owner's first lock until FUSE_FLUSH of the owner or FUSE_RELEASE of its open file. The DPU's kernel sends POSIX and
/// OFD locks alike, but for the owner, and both conflict with both on the host as everywhere.
/// <para>
/// flock(2): the peer's handle is an open file description already, and one file of the DPU's alone has it, so it holds the lock.
/// </para>
/// <para>
/// What an owner has locked is kept here a second time, to say which process has a lock, to find cycles of waiting, and to
/// take back what came by a handle: the kernel of the DPU may give the address of an open file that was just closed, and
/// so the owner's number, to the next one before FUSE_RELEASE of the first has come.
/// </para>
/// </remarks>
internal sealed unsafe partial class LockTable
{
    // EINTR of a call that does not wait: rare, and never for ever.
    private const int InterruptedTries = 16;

    private readonly Lock _lock = new();
    private readonly HandleTable _handles;
    private readonly int _descriptors;
    private readonly LockBudget _budget;
    private readonly Action<string>? _onLimit;
    private readonly Dictionary<(ulong Node, ulong Owner), LockOwner> _owners = [];
    private readonly Dictionary<ulong, List<LockOwner>> _nodes = [];
    private int _count;
    private bool _closed;

    /// <param name="handles">The peer's open files.</param>
    /// <param name="descriptors">A descriptor of /proc/self/fd.</param>
    /// <param name="budget">What the peer may hold.</param>
    /// <param name="onLimit">Told what the budget refused; must not block or throw.</param>
    /// <param name="kept">Where locks are kept for another life of the process; null where they are not.</param>
    public LockTable(HandleTable handles, int descriptors, LockBudget budget, Action<string>? onLimit, IKeptState? kept = null)
    {
        _kept = kept;
        _handles = handles;
        _descriptors = descriptors;
        _budget = budget;
        _onLimit = onLimit;
    }

    /// <summary>Owners that have a description.</summary>
    public int Owners => Volatile.Read(ref _count);

    /// <summary>Takes, changes or gives back a lock.</summary>
    /// <returns>0, a negated errno (EAGAIN: another one has it), or <see cref="FuseFileSystem.Pending"/>.</returns>
    public int Set(in LockRequest wanted, bool wait, IFuseLateReplies? late)
    {
        lock (_lock)
        {
            int result = TrySet(wanted, again: false);
            return result == -errno.EAGAIN && wait ? Wait(wanted, late) : result;
        }
    }

    /// <summary>Says which lock would be in the way.</summary>
    public int Get(in LockRequest wanted, out fuse_lk_out found)
    {
        found = default;
        lock (_lock)
        {
            using HandlePin file = Pin(wanted);
            if (!file.Valid)
            {
                return -errno.EBADF;
            }

            // The handle's own description has no record locks: for an owner without any it serves as well.
            LockOwner? owner = Find(wanted);
            flock native = wanted.ToNative();
            int error = Result(fcntl_lock(owner?.Descriptor ?? file.Descriptor, fcntl.F_OFD_GETLK, &native));
            if (error < 0)
            {
                return error;
            }

            found.lk = new fuse_file_lock { start = wanted.Start, end = wanted.End, type = (uint)native.l_type };
            if (native.l_type != fcntl.F_UNLCK)
            {
                found.lk.start = (ulong)native.l_start;
                found.lk.end = native.l_len == 0 ? long.MaxValue : (ulong)(native.l_start + native.l_len - 1);
                found.lk.pid = ProcessOf(wanted, found.lk);
            }

            return 0;
        }
    }

    /// <summary>close(2) by a process: its record locks of the file go, by whichever descriptor they came (fcntl(2)).</summary>
    public void Flush(ulong node, ulong owner)
    {
        if (Owners == 0)
        {
            return;
        }

        lock (_lock)
        {
            if (_owners.TryGetValue((node, owner), out LockOwner? found))
            {
                Remove(found);
                Wake(node);
            }
        }
    }

    /// <summary>A handle is gone, and with it what was locked by it. To be called once the handle is dead.</summary>
    public void Release(ulong node, ulong handle)
    {
        if (Owners == 0 && Waits == 0)
        {
            return;
        }

        lock (_lock)
        {
            List<LockOwner>? owners = _nodes.GetValueOrDefault(node);
            for (int i = (owners?.Count ?? 0) - 1; i >= 0; i--)
            {
                LockOwner owner = owners![i];
                UnlockAllOf(owner, handle);
                if (owner.Ranges.Count == 0 && owner.Handle == handle)
                {
                    Remove(owner);
                }
            }

            Wake(node);
        }
    }

    /// <summary>Gives every lock back; who waits hears nothing.</summary>
    public void Clear()
    {
        lock (_lock)
        {
            foreach (LockOwner owner in _owners.Values.ToArray())
            {
                Remove(owner);
            }

            DropWaits();
        }
    }

    /// <summary>As <see cref="Clear"/>, and grants none from now on.</summary>
    public void Close()
    {
        lock (_lock)
        {
            _closed = true;
            Clear();
            _wake.Set();
        }
    }

    // Under the lock, as all below. Without waiting.
    private int TrySet(in LockRequest wanted, bool again)
    {
        using HandlePin file = Pin(wanted);
        return !file.Valid ? -errno.EBADF
            : wanted.IsFlock ? TryFlock(file, wanted, again)
            : wanted.Type == fcntl.F_UNLCK ? Unlock(wanted)
            : TryLock(file, wanted);
    }

    private int TryFlock(in HandlePin file, in LockRequest wanted, bool again)
    {
        int operation = sys_file.LOCK_NB | wanted.Type switch { fcntl.F_RDLCK => sys_file.LOCK_SH, fcntl.F_WRLCK => sys_file.LOCK_EX, _ => sys_file.LOCK_UN };
        int error;
        int tries = 0;
        do
        {
            error = Result(flock(file.Descriptor, operation));
        }
        while (error == -errno.EINTR && ++tries < InterruptedTries);

        file.Record.Flocked |= wanted.Type != fcntl.F_UNLCK;

        // A change of an older lock has given that up before it failed (flock(2)).
        if (error == 0 ? !wanted.Exclusive : !again)
        {
            Wake(wanted.Node);
        }

        return error;
    }

    private int Unlock(in LockRequest wanted)
    {
        if (Find(wanted) is not { } owner)
        {
            return 0;
        }

        // Only what makes two ranges of one can be refused: giving back is always possible.
        int more = owner.Ranges.Splits(wanted.Start, wanted.End) ? 1 : 0;
        if (more != 0 && !_budget.Ranges.TryTake(more))
        {
            return Limit("ranges");
        }

        int before = owner.Ranges.Count;
        int error = Change(owner.Descriptor, wanted.ToNative());
        if (error == 0)
        {
            owner.Ranges.Clear(wanted.Start, wanted.End);
            Hold(owner);
            Wake(wanted.Node);
        }

        _budget.Ranges.Return(more + before - owner.Ranges.Count);
        return error;
    }

    private int TryLock(in HandlePin file, in LockRequest wanted)
    {
        int access = Result(fcntl_int(file.Descriptor, fcntl.F_GETFL, 0));
        if (access < 0)
        {
            return access;
        }

        // As the kernel checks it for a local file: the DPU's has, but the DPU is not to be believed.
        access &= fcntl.O_ACCMODE;
        if (access == (wanted.Exclusive ? fcntl.O_RDONLY : fcntl.O_WRONLY))
        {
            return -errno.EBADF;
        }

        int error = Prepare(file, wanted, access, out LockOwner owner);
        if (error < 0)
        {
            return error;
        }

        if (!_budget.Ranges.TryTake(2))
        {
            return Limit("ranges");
        }

        int before = owner.Ranges.Count;
        error = Change(owner.Descriptor, wanted.ToNative());
        if (error == 0)
        {
            bool weaker = !wanted.Exclusive && owner.Ranges.Conflicts(wanted.Start, wanted.End, exclusive: false);
            owner.Ranges.Set(new LockRange(wanted.Start, wanted.End, wanted.Exclusive, wanted.Handle));
            owner.Handle = wanted.Handle;
            owner.Process = wanted.Process;
            Hold(owner);
            if (weaker)
            {
                Wake(wanted.Node);
            }
        }

        _budget.Ranges.Return(2 + before - owner.Ranges.Count);
        return error == -errno.EACCES ? -errno.EAGAIN : error;
    }

    // The owner, with a description that may hold the lock.
    private int Prepare(in HandlePin file, in LockRequest wanted, int access, out LockOwner owner)
    {
        bool known = _owners.TryGetValue((wanted.Node, wanted.Owner), out LockOwner? found);
        owner = found ?? new LockOwner(wanted.Node, wanted.Owner);
        if (known && (wanted.Exclusive ? owner.Writable : owner.Readable))
        {
            return 0;
        }

        if (!known && !_budget.Owners.TryTake())
        {
            return Limit("owners");
        }

        bool readable = access != fcntl.O_WRONLY || owner.Readable;
        bool writable = access != fcntl.O_RDONLY || owner.Writable;
        int descriptor = Open(file.Descriptor, ref readable, writable);
        if (descriptor < 0)
        {
            if (!known)
            {
                _budget.Owners.Return();
            }

            return descriptor is -errno.EMFILE or -errno.ENFILE ? -errno.ENOLCK : descriptor;
        }

        int error = known ? Move(owner, descriptor) : 0;
        if (error < 0)
        {
            _ = close(descriptor);
            return error;
        }

        (owner.Readable, owner.Writable, owner.Handle) = (readable, writable, wanted.Handle);
        if (!known)
        {
            owner.Descriptor = descriptor;
            Add(owner);
        }

        return 0;
    }

    // A process that locks by one descriptor for reading and by another one for writing is one owner, and two descriptions
    // would be in each other's way. What the old one holds are read locks, which can be held twice; only a description
    // for writing alone, which could not be opened for both, has others.
    private int Move(LockOwner owner, int descriptor)
    {
        foreach (LockRange range in owner.Ranges.All)
        {
            int error = range.Exclusive ? -errno.ENOLCK : Change(descriptor, LockRequest.Native(range.Start, range.End, fcntl.F_RDLCK));
            if (error < 0)
            {
                return error;
            }
        }

        int old = owner.Descriptor;
        owner.Descriptor = descriptor;
        if (owner.Kept != 0)
        {
            // Who keeps the old one closes it later, and it would be in the new one's way.
            Hold(owner);
            _ = Change(old, LockRequest.Native(0, long.MaxValue, fcntl.F_UNLCK));
        }

        _ = close(old);
        return 0;
    }

    // For locks only: nobody reads or writes by it. So one for writing is opened for both where the agent may, whatever
    // the peer's own access, and read locks of another handle can join. One for reading is not: opening a file for writing
    // is seen on the host (ETXTBSY, inotify(7)).
    private int Open(int descriptor, ref bool readable, bool writable)
    {
        int error = FuseWorkerThread.Current.BecomeAgent();
        if (error < 0)
        {
            return error;
        }

        byte* path = stackalloc byte[DescriptorPath.MaxSize];
        byte* number = DescriptorPath.Format(descriptor, path);
        const int flags = fcntl.O_CLOEXEC | fcntl.O_NOCTTY | fcntl.O_NONBLOCK;
        int opened = Result(openat(_descriptors, number, flags | (writable ? fcntl.O_RDWR : fcntl.O_RDONLY), 0));
        if (opened == -errno.EACCES && writable && !readable)
        {
            return Result(openat(_descriptors, number, flags | fcntl.O_WRONLY, 0));
        }

        readable = true;
        return opened;
    }

    private static int Change(int descriptor, flock range)
    {
        int error;
        int tries = 0;
        do
        {
            error = Result(fcntl_lock(descriptor, fcntl.F_OFD_SETLK, &range));
        }
        while (error == -errno.EINTR && ++tries < InterruptedTries);

        return error;
    }

    private void UnlockAllOf(LockOwner owner, ulong handle)
    {
        int before = owner.Ranges.Count;
        for (int i = owner.Ranges.Count - 1; i >= 0; i--)
        {
            LockRange range = owner.Ranges.All[i];
            if (range.Handle == handle && Change(owner.Descriptor, LockRequest.Native(range.Start, range.End, fcntl.F_UNLCK)) == 0)
            {
                owner.Ranges.Clear(range.Start, range.End);
                _budget.Ranges.Return();
            }
        }

        if (owner.Handle == handle && owner.Ranges.Count > 0)
        {
            owner.Handle = owner.Ranges.All[0].Handle;
        }

        if (owner.Ranges.Count != before && owner.Ranges.Count > 0)
        {
            Hold(owner);
        }
    }

    private HandlePin Pin(in LockRequest wanted) => _closed ? default : _handles.Pin(wanted.Handle, wanted.Node, isDirectory: false);

    private LockOwner? Find(in LockRequest wanted) => _owners.GetValueOrDefault((wanted.Node, wanted.Owner));

    private void Add(LockOwner owner)
    {
        _owners.Add((owner.Node, owner.Id), owner);
        if (!_nodes.TryGetValue(owner.Node, out List<LockOwner>? others))
        {
            _nodes.Add(owner.Node, others = []);
        }

        others.Add(owner);
        Volatile.Write(ref _count, _owners.Count);
    }

    private void Remove(LockOwner owner)
    {
        LetGo(owner);
        _ = close(owner.Descriptor);
        owner.Descriptor = -1;
        _owners.Remove((owner.Node, owner.Id));
        List<LockOwner> others = _nodes[owner.Node];
        others.Remove(owner);
        if (others.Count == 0)
        {
            _nodes.Remove(owner.Node);
        }

        Volatile.Write(ref _count, _owners.Count);
        _budget.Owners.Return();
        _budget.Ranges.Return(owner.Ranges.Count);
    }

    // Of this mount's locks the process on the DPU; 0 for those of the host's programs and of other mounts, whose numbers
    // mean nothing there.
    private uint ProcessOf(in LockRequest wanted, in fuse_file_lock found)
    {
        if (_nodes.TryGetValue(wanted.Node, out List<LockOwner>? owners))
        {
            foreach (LockOwner owner in owners)
            {
                if (owner.Id != wanted.Owner && owner.Ranges.Conflicts(found.start, found.end, found.type == fcntl.F_RDLCK))
                {
                    return owner.Process;
                }
            }
        }

        return 0;
    }

    private int Limit(string what)
    {
        _onLimit?.Invoke(what);
        return -errno.ENOLCK;
    }
}
