using Dpu.Fuse.Wire;
using Dpu.Linux;
using Dpu.Proto.V1;
using Dpu.Qtfs.Fifos;
using Microsoft.Win32.SafeHandles;

namespace Dpu.Qtfs.Mount.Fifos;

/// <summary>
/// One FIFO, from when a program here opens it until none has it any more: says which ways are wanted, by who has it open and how. Nobody is
/// disturbed by that: threads in open(2) and descriptors are looked at in /proc. A thread of its own looks, more often while somebody waits.
/// </summary>
internal sealed class FifoWatch
{
    private const int SoonMilliseconds = 20;
    private const int LaterMilliseconds = 100;

    // What ends and what the program does next are not the same moment: it is asked for again when the program has had time to close it.
    private const int PauseMilliseconds = 60;
    private const int RefusalMilliseconds = 1000;
    private static readonly TimeSpan PrepareLimit = TimeSpan.FromSeconds(1);

    private readonly MountFifos _owner;
    private readonly fuse_entry_out _entry;
    private readonly Lock _lock = new();
    private readonly List<FifoOpener> _new = [];
    private readonly List<FifoOpener> _opening = [];
    private FifoOpener[] _seen = [];
    private readonly AutoResetEvent _look = new(false);
    private readonly Dictionary<FifoDirection, FifoWay> _ways = [];
    private readonly Dictionary<FifoDirection, long> _notBefore = [];
    private List<FifoHolder> _holders = [];
    private FifoProgram? _program;
    private volatile bool _ended;
    private bool _started;

    public FifoWatch(MountFifos owner, in fuse_entry_out entry) => (_owner, _entry) = (owner, entry);

    public ulong Node => _entry.nodeid;

    /// <summary>Whether somebody has come whom it does not know of yet.</summary>
    public bool HasNews
    {
        get
        {
            lock (_lock)
            {
                return _new.Count > 0;
            }
        }
    }

    private ulong Device => (ulong)_owner.Mount.DeviceNumber;

    /// <summary>A thread opens it; under the owner's lock.</summary>
    public void Add(FifoOpener opener)
    {
        bool start;
        lock (_lock)
        {
            _new.Add(opener);
            _program = opener.Program;
            (start, _started) = (!_started, true);
        }

        if (start)
        {
            new Thread(Run, 256 * 1024) { IsBackground = true, Name = "fifo watch" }.Start();
        }
        else
        {
            Look();
        }
    }

    /// <summary>A thread that does not wait for a reader is to find the host's, if there is one: waits for the host's answer.</summary>
    public void Prepare(FifoOpener opener)
    {
        if (opener is not { Access: fcntl.O_WRONLY, NonBlocking: true })
        {
            return;
        }

        FifoWay? way = null;
        while (way is null)
        {
            FifoWay? other;
            lock (_lock)
            {
                (FifoDirection direction, other) = _ways.FirstOrDefault(known => !known.Value.IsOver);
                if (_ended || other is { Relays: true } || (other is not null && direction == FifoDirection.ToHost))
                {
                    return;
                }

                way = other is null ? _ways[FifoDirection.ToHost] = Begin(FifoDirection.ToHost, opener.Program, atOnce: true) : null;
            }

            // Who reads here is its partner; else the last one has gone a moment ago.
            if (other is not null)
            {
                if (IsReadHere())
                {
                    return;
                }

                other.Cancel();
                if (!other.Settled.Wait(PrepareLimit))
                {
                    return;
                }
            }
        }

        if (!way.Settled.Wait(PrepareLimit))
        {
            way.Cancel();
        }
    }

    /// <summary>Something has changed.</summary>
    public void Look() => _look.Set();

    public int Open(int access, out SafeFileHandle? opened) => _owner.Open(_entry, access, out opened);

    public void End()
    {
        _ended = true;
        _ = _look.Set();
    }

    private void Run()
    {
        do
        {
            while (!_ended && LookAround())
            {
                _ = _look.WaitOne(_opening.Count > 0 ? SoonMilliseconds : LaterMilliseconds);
            }
        }
        while (!_ended && !_owner.TryLeave(this));

        lock (_lock)
        {
            _ended = true;
            foreach (FifoWay way in _ways.Values)
            {
                way.Cancel();
            }
        }
    }

    // Whether there is something to look at.
    private bool LookAround()
    {
        bool changed;
        lock (_lock)
        {
            changed = _new.Count > 0;
            _opening.AddRange(_new);
            _seen = [.. _opening];
            _new.Clear();
        }

        // Who does not wait has it open in the next moment, or never.
        int gone = _opening.RemoveAll(opener => !opener.IsStill());
        int closed = _holders.RemoveAll(holder => !holder.IsStill(Device, _entry.attr.ino));
        if (gone > 0 || closed > 0 || changed)
        {
            _holders = FifoHolder.Find(Device, _entry.attr.ino);
        }

        LookAtPlaces();

        bool reads = _opening.Any(opener => opener.Access == fcntl.O_RDONLY) || _holders.Any(holder => holder.Access == fcntl.O_RDONLY);
        bool writes = _opening.Any(opener => opener is { Access: fcntl.O_WRONLY, NonBlocking: false }) || _holders.Any(holder => holder.Access == fcntl.O_WRONLY);
        bool both = _holders.Any(holder => holder.Access == fcntl.O_RDWR);
        bool busy = false;
        lock (_lock)
        {
            busy |= Want(FifoDirection.ToDpu, reads && !both);
            busy |= Want(FifoDirection.ToHost, writes && !both && !reads);
            busy |= Want(FifoDirection.Unspecified, both);
        }

        return busy || _opening.Count > 0 || _holders.Count > 0;
    }

    // Whether a program here has it open for reading, or is opening it; at this moment.
    private bool IsReadHere()
    {
        FifoOpener[] opening;
        lock (_lock)
        {
            opening = [.. _seen, .. _new];
        }

        return opening.Any(opener => opener.Access is fcntl.O_RDONLY or fcntl.O_RDWR && opener.IsStill())
            || FifoHolder.Find(Device, _entry.attr.ino).Exists(holder => holder.Access is fcntl.O_RDONLY or fcntl.O_RDWR);
    }

    // Who has a descriptor of the FIFO's place may open it by that, which no look-up tells.
    private void LookAtPlaces()
    {
        foreach (int process in _holders.Where(holder => holder.Access == fcntl.O_PATH).Select(holder => holder.Process).Distinct().ToArray())
        {
            _ = _holders.RemoveAll(holder => holder.Process == process);
            _holders.AddRange(FifoHolder.FindIn(process, Device, _entry.attr.ino));
        }

        foreach (FifoHolder place in _holders.Where(holder => holder.Access == fcntl.O_PATH))
        {
            _opening.AddRange(FifoOpener.FindAt(place, _program!).Where(opener => !_opening.Exists(known => known.Thread == opener.Thread && known.Call == opener.Call)));
        }
    }

    // Under the lock; whether the way is there.
    private bool Want(FifoDirection direction, bool wanted)
    {
        long now = Environment.TickCount64;
        if (_ways.TryGetValue(direction, out FifoWay? way) && way.IsOver)
        {
            _ = _ways.Remove(direction);
            _notBefore[direction] = now + (way.Error == 0 || way.Error == -errno.ENXIO ? PauseMilliseconds : RefusalMilliseconds);
            way = null;
        }

        if (way is not null)
        {
            if (!wanted && !way.AtOnce)
            {
                way.LetGo();
            }

            return true;
        }

        // One way at a time: two would be each other's partners, and neither would end.
        if (wanted && now >= _notBefore.GetValueOrDefault(direction) && _ways.Values.All(other => other.IsOver))
        {
            _ways[direction] = Begin(direction, _program!, atOnce: false);
        }

        return wanted;
    }

    private FifoWay Begin(FifoDirection direction, FifoProgram program, bool atOnce) => new(
        Open, Look, atOnce, _owner.Relays.Ask(new RemoteFifo(_owner.Mount.Options.Host, _owner.Mount.Options.Target, () => _owner.Mount.Id, Node, direction, atOnce, program)));
}
