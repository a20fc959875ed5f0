using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;
using Dpu.Fuse;
using Dpu.Keeper;
using Dpu.Linux;
using Dpu.Proto.V1;

namespace Dpu.Qtfs.Export.Mounting;

/// <summary>
/// What DPUs have had mounted, and which of their calls have been carried out: in memory that the keeper holds, so that a call which comes again after a
/// cut, or after the agent was killed in it, has the first one's result and is not done twice. Thread-safe.
/// </summary>
/// <remarks>
/// What makes that exact is the number of a mount, which is never another one's (Linux 6.8). 1. A record says that a change has begun. 2. It gets the number of
/// the mount before that is put in its place, or taken away. 3. It is done in one call of the kernel. 4. The record gets the result. Who is killed between 2 and
/// 4 leaves a number that the table of mounts has or has not.
/// </remarks>
internal sealed unsafe class MountLedger : IDisposable
{
    /// <summary>Mounts of a DPU at a time.</summary>
    public const int MostMade = 1024;

    // Calls of a DPU that are remembered: it has fewer under way.
    private const int MostRecords = 256;
    private const int Records = 1024;
    private const int Places = 4096;
    private const ulong Version = 0x44505531;
    private const int HeadSize = 64;

    private readonly KeptMemory _memory;
    private readonly object _lock = new();
    private readonly HashSet<int> _running = [];
    private readonly HashSet<ulong> _pending = [];
    private long _sequence;

    /// <param name="keeping">Holds it; null where it ends with the agent.</param>
    public MountLedger(Keeping? keeping)
    {
        long size = HeadSize + (Records * sizeof(MountRecord)) + (Places * sizeof(MadeMount));
        bool found = false;
        _memory = keeping?.Memory("ledger", size, out found) ?? KeptMemory.Own("ledger", size);
        ulong* head = (ulong*)_memory.Address;
        if (!found || head[0] != Version)
        {
            new Span<byte>(_memory.Address, (int)size).Clear();
            head[1] = (ulong)Random.Shared.NextInt64(1, long.MaxValue);
            head[0] = Version;
            return;
        }

        Restored = Settle();
    }

    /// <summary>Which life of this memory it is; never 0.</summary>
    public ulong Life => ((ulong*)_memory.Address)[1];

    /// <summary>Changes that were under way when an earlier agent was killed, and whose result is known: those that were carried out.</summary>
    public int Restored { get; }

    /// <summary>The mounts that there are of those that were made for DPUs.</summary>
    public int Count
    {
        get
        {
            lock (_lock)
            {
                Prune();
                return Enumerable.Range(0, Places).Count(place => MadeAt(place)->Mount != 0);
            }
        }
    }

    private MountRecord* RecordAt(int slot) => (MountRecord*)(_memory.Address + HeadSize) + slot;

    private MadeMount* MadeAt(int place) => (MadeMount*)(_memory.Address + HeadSize + (Records * sizeof(MountRecord))) + place;

    /// <summary>A peer as records have it.</summary>
    public static ulong HashOf(string peer) => BinaryPrimitives.ReadUInt64LittleEndian(SHA256.HashData(Encoding.UTF8.GetBytes(peer)));

    /// <summary>Begins a change, or waits for the one of the same token.</summary>
    /// <param name="peer">Whose.</param>
    /// <param name="token">16 bytes.</param>
    /// <param name="change">What.</param>
    /// <param name="result">Where it was done already: its result.</param>
    /// <returns>The slot of a change that is to be done now; negative where it was done, or there is no room for it (result is <c>-EAGAIN</c>).</returns>
    public int Begin(ulong peer, ReadOnlySpan<byte> token, MountChange change, out int result)
    {
        (ulong low, ulong high) = (BinaryPrimitives.ReadUInt64LittleEndian(token), BinaryPrimitives.ReadUInt64LittleEndian(token[8..]));
        lock (_lock)
        {
            int slot;
            while ((slot = Find(peer, low, high)) >= 0 && _running.Contains(slot))
            {
                Monitor.Wait(_lock);
            }

            if (slot >= 0)
            {
                result = RecordAt(slot)->Result;
                return -1;
            }

            slot = Free(peer);
            result = slot < 0 ? -errno.EAGAIN : 0;
            if (slot >= 0)
            {
                MountRecord* record = RecordAt(slot);
                *record = new MountRecord { Change = (int)change, Peer = peer, TokenLow = low, TokenHigh = high, Sequence = ++_sequence };
                Volatile.Write(ref record->State, (int)MountRecordState.Begun);
                _ = _running.Add(slot);
            }

            return slot;
        }
    }

    /// <summary>A mount is about to be put in its place; false where the peer has too many.</summary>
    public bool TryMake(int slot, in MadeMount made)
    {
        lock (_lock)
        {
            if (!TryAdd(made))
            {
                return false;
            }

            Volatile.Write(ref RecordAt(slot)->Mount, made.Mount);
            _ = _pending.Add(made.Mount);
            return true;
        }
    }

    /// <summary>What came along with a mount, as far as there is room.</summary>
    public void AddParts(ulong peer, IEnumerable<ulong> numbers)
    {
        lock (_lock)
        {
            foreach (ulong number in numbers)
            {
                _ = TryAdd(new MadeMount { Mount = number, Peer = peer, Kind = (uint)MadeKind.Part });
            }
        }
    }

    /// <summary>A mount is about to be taken away.</summary>
    public void Unmaking(int slot, ulong mount) => Volatile.Write(ref RecordAt(slot)->Mount, mount);

    /// <summary>What was made for a peer under that number; null for nothing.</summary>
    public MadeMount? Find(ulong mount, ulong peer)
    {
        lock (_lock)
        {
            for (int place = 0; place < Places; place++)
            {
                if (MadeAt(place)->Mount == mount && mount != 0)
                {
                    return MadeAt(place)->Peer == peer ? *MadeAt(place) : null;
                }
            }

            return null;
        }
    }

    /// <summary>A change has ended.</summary>
    public void End(int slot, int result)
    {
        lock (_lock)
        {
            MountRecord* record = RecordAt(slot);
            record->Result = result;
            Volatile.Write(ref record->State, (int)MountRecordState.Done);
            _ = _pending.Remove(record->Mount);
            _ = _running.Remove(slot);
            Monitor.PulseAll(_lock);
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _memory.Dispose();

    // Under the lock.
    private int Find(ulong peer, ulong low, ulong high)
    {
        for (int slot = 0; slot < Records; slot++)
        {
            MountRecord* record = RecordAt(slot);
            if (record->State != (int)MountRecordState.Free && record->TokenLow == low && record->TokenHigh == high && record->Peer == peer)
            {
                return slot;
            }
        }

        return -1;
    }

    // Under the lock. A peer that has many gives up its own oldest.
    private int Free(ulong peer)
    {
        int[] slots = [.. Enumerable.Range(0, Records)];
        int[] own = [.. slots.Where(slot => RecordAt(slot)->State != (int)MountRecordState.Free && RecordAt(slot)->Peer == peer)];
        int[] free = own.Length >= MostRecords ? [] : [.. slots.Where(slot => RecordAt(slot)->State == (int)MountRecordState.Free).Take(1)];
        int found = free.Length > 0 ? free[0]
            : slots.Where(slot => RecordAt(slot)->State == (int)MountRecordState.Done && (own.Length < MostRecords || RecordAt(slot)->Peer == peer)).OrderBy(slot => RecordAt(slot)->Sequence).FirstOrDefault(-1);
        if (found >= 0)
        {
            Volatile.Write(ref RecordAt(found)->State, (int)MountRecordState.Free);
        }

        return found;
    }

    // Under the lock.
    private bool TryAdd(in MadeMount made)
    {
        Prune();
        int free = -1;
        int own = 0;
        for (int place = 0; place < Places; place++)
        {
            MadeMount* one = MadeAt(place);
            own += one->Mount != 0 && one->Peer == made.Peer ? 1 : 0;
            free = free < 0 && one->Mount == 0 ? place : free;
        }

        if (free < 0 || own >= MostMade)
        {
            return false;
        }

        MadeMount* mine = MadeAt(free);
        *mine = made with { Mount = 0 };
        Volatile.Write(ref mine->Mount, made.Mount);
        return true;
    }

    // Under the lock. What was unmounted by others is nobody's.
    private void Prune()
    {
        if (KernelMounts.TryList(out HashSet<ulong> there))
        {
            for (int place = 0; place < Places; place++)
            {
                MadeMount* one = MadeAt(place);
                if (one->Mount != 0 && !there.Contains(one->Mount) && !_pending.Contains(one->Mount))
                {
                    Volatile.Write(ref one->Mount, 0);
                }
            }
        }
    }

    // An earlier agent was killed. What it had not carried out is forgotten, so that it is done when it is asked for again.
    private int Settle()
    {
        _ = KernelMounts.TryList(out HashSet<ulong> there);
        int done = 0;
        for (int slot = 0; slot < Records; slot++)
        {
            MountRecord* record = RecordAt(slot);
            _sequence = Math.Max(_sequence, record->Sequence);
            if (record->State != (int)MountRecordState.Begun)
            {
                continue;
            }

            bool adds = (MountChange)record->Change is MountChange.Mount or MountChange.Bind;
            bool isDone = record->Mount != 0 && there.Contains(record->Mount) == adds;
            record->Result = 0;
            Volatile.Write(ref record->State, (int)(isDone ? MountRecordState.Done : MountRecordState.Free));
            done += isDone ? 1 : 0;
        }

        Prune();
        return done;
    }
}
