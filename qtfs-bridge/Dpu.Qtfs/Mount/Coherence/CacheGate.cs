namespace Dpu.Qtfs.Mount.Coherence;

/// <summary>
/// Keeps a reply that is older than a notification from being cached after it: the host's grants in a reply hold only if
/// nothing that they are about has been invalidated since its request was sent. Thread-safe; lanes take no lock.
/// </summary>
/// <remarks>
/// 1. A lane reads <see cref="Sequence"/>, sends its request, and receives the reply.
/// 2. It enters (its flag, full fence), asks <see cref="Holds"/>, writes the reply to the kernel, and leaves.
/// 3. The notification's thread records (sequence, full fence), waits until each lane that is inside has left once, and
///    only then tells the kernel. So a lane that did not see the record has written before the kernel is told, and what it
///    wrote is taken back; a later one sees the record, and grants nothing.
/// </remarks>
internal sealed class CacheGate
{
    private const int Remembered = 256;

    // A flag a cache line: lanes would slow each other down otherwise.
    private const int Stride = 16;

    private readonly ulong[] _nodes = new ulong[Remembered];
    private readonly ulong[] _parents = new ulong[Remembered];
    private readonly int[] _inside;
    private readonly int _lanes;
    private long _sequence;
    private volatile bool _open;

    /// <param name="lanes">How many lanes there are, those that may come for relief included.</param>
    public CacheGate(int lanes)
    {
        _lanes = lanes;
        _inside = new int[lanes * Stride];
    }

    /// <summary>Rises with each notification.</summary>
    public long Sequence => Volatile.Read(ref _sequence);

    /// <summary>Whether notifications arrive: without them nothing is cached.</summary>
    public bool IsOpen => _open;

    /// <summary>A lane is about to write a reply.</summary>
    public void Enter(uint lane) => Interlocked.Exchange(ref _inside[lane * Stride], 1);

    /// <summary>It has.</summary>
    public void Leave(uint lane) => Volatile.Write(ref _inside[lane * Stride], 0);

    /// <summary>Whether a grant about two nodes still holds; call it inside.</summary>
    /// <param name="since">The sequence before the request was sent.</param>
    /// <param name="asked">The node that the request named; of a look-up, the directory.</param>
    /// <param name="answered">The node that the reply is about; 0 where there is none or they are many.</param>
    /// <param name="many">Whether they are many: then any notification counts.</param>
    public bool Holds(long since, ulong asked, ulong answered, bool many)
    {
        long now = Sequence;
        if (!_open || now - since >= Remembered)
        {
            return false;
        }

        for (long i = since; i < now; i++)
        {
            ulong node = Volatile.Read(ref _nodes[i % Remembered]), parent = Volatile.Read(ref _parents[i % Remembered]);
            if (many || node == asked || parent == asked || (answered != 0 && node == answered))
            {
                return false;
            }
        }

        // Overwritten while they were read: then they may have been others.
        return Sequence - since < Remembered;
    }

    /// <summary>A notification is about to be told to the kernel.</summary>
    /// <param name="node">The node; 0 for a name.</param>
    /// <param name="parent">Of a name, the directory; 0 otherwise.</param>
    public void Record(ulong node, ulong parent)
    {
        Volatile.Write(ref _nodes[_sequence % Remembered], node);
        Volatile.Write(ref _parents[_sequence % Remembered], parent);
        Interlocked.Increment(ref _sequence);
        AwaitLanes();
    }

    /// <summary>Nothing may be cached from now on, and of what is under way nothing.</summary>
    public void Close()
    {
        _open = false;
        Interlocked.Add(ref _sequence, Remembered);
        AwaitLanes();
    }

    /// <summary>Notifications arrive: what is asked for from now on may be cached.</summary>
    public void Open()
    {
        Interlocked.Add(ref _sequence, Remembered);
        _open = true;
    }

    /// <summary>Returns when each lane that was inside has left once.</summary>
    /// <remarks>A lane is inside for one write(2) to /dev/fuse, which waits for nobody.</remarks>
    public void AwaitLanes()
    {
        for (int lane = 0; lane < _lanes; lane++)
        {
            var spin = default(SpinWait);
            while (Volatile.Read(ref _inside[lane * Stride]) != 0)
            {
                spin.SpinOnce(sleep1Threshold: -1);
            }
        }
    }
}
