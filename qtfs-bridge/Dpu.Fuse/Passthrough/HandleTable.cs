using System.Runtime.InteropServices;
using static Dpu.Linux.LibC;

namespace Dpu.Fuse;

/// <summary>
/// A peer's open files and directories. A handle is <c>generation &lt;&lt; 32 | index</c>, never 0, and valid only together
/// with its kind and node. Thread-safe.
/// </summary>
/// <param name="capacity">The most handles at once.</param>
/// <param name="firstGeneration">The generation of the first handles.</param>
/// <param name="budget">The peer's budget of handles.</param>
/// <param name="kept">Where open files are kept for another life of the process; null where they are not.</param>
internal sealed unsafe partial class HandleTable(int capacity, uint firstGeneration, ResourceBudget? budget, IKeptState? kept = null)
{
    private readonly SlotTable<HandleRecord> _slots = new(capacity, firstGeneration, budget, kept, "handles");

    /// <summary>How many are open.</summary>
    public int Count => _slots.Count;

    /// <summary>How often a limit refused one.</summary>
    public long Refused => _slots.Refused;

    /// <summary>Whether a handle would be granted now.</summary>
    public bool HasRoom => _slots.HasRoom;

    /// <summary>The record of a pinned handle.</summary>
    public ref HandleRecord this[int index] => ref _slots[index];

    /// <inheritdoc cref="SlotTable{T}.CountRefusal"/>
    public void CountRefusal() => _slots.CountRefusal();

    /// <summary>Makes a handle that owns <paramref name="descriptor"/> from now on; 0 where a limit refused it.</summary>
    /// <param name="descriptor">The open file.</param>
    /// <param name="node">Its node.</param>
    /// <param name="isDirectory">Whether it is a directory.</param>
    /// <param name="tree">What lies behind it.</param>
    /// <param name="held">Whether it is to outlive the process, where anything does.</param>
    public ulong Add(int descriptor, ulong node, bool isDirectory, TreeKind tree = TreeKind.Ordinary, bool held = true)
    {
        if (!_slots.TryReserve(out int index))
        {
            return 0;
        }

        ref HandleRecord record = ref _slots[index];
        uint generation = SlotState.Generation(record.State);
        record = new HandleRecord { State = record.State, Node = node, Descriptor = descriptor, IsDirectory = isDirectory, Tree = tree, Held = held && kept is not null };
        ulong handle = IdOf(index, record.State);
        if (record.Held)
        {
            kept!.HoldFile(handle, descriptor);
        }

        SlotState.Publish(ref record.State, generation);
        return handle;
    }

    /// <summary>Holds a handle open; check <see cref="HandlePin.Valid"/>.</summary>
    public HandlePin Pin(ulong handle, ulong node, bool isDirectory)
    {
        uint index = (uint)handle;
        if (!_slots.Exists(index) || !SlotState.TryPin(ref _slots[(int)index].State, (uint)(handle >> 32)))
        {
            return default;
        }

        ref HandleRecord record = ref _slots[(int)index];
        if (record.Node == node && record.IsDirectory == isDirectory)
        {
            return new HandlePin(this, (int)index);
        }

        Unpin((int)index);
        return default;
    }

    public void Unpin(int index)
    {
        if (SlotState.Unpin(ref _slots[index].State))
        {
            Free(index);
        }
    }

    /// <summary>Closes a handle, once; a descriptor in use is closed by its last user.</summary>
    public bool Remove(ulong handle, ulong node, bool isDirectory)
    {
        using HandlePin pin = Pin(handle, node, isDirectory);
        return pin.Valid && SlotState.TryKill(ref _slots[pin.Index].State, (uint)(handle >> 32), out _);
    }

    /// <summary>Closes every handle.</summary>
    public void Clear()
    {
        for (int index = 1; index <= _slots.Highest; index++)
        {
            ulong state = Volatile.Read(ref _slots[index].State);
            if (SlotState.TryKill(ref _slots[index].State, SlotState.Generation(state), out bool free) && free)
            {
                Free(index);
            }
        }
    }

    /// <summary>The nodes of which handles are open.</summary>
    public HashSet<ulong> OpenedNodes()
    {
        HashSet<ulong> nodes = [];
        for (int index = 1; index <= _slots.Highest; index++)
        {
            ref HandleRecord record = ref _slots[index];
            if (SlotState.IsAlive(Volatile.Read(ref record.State)))
            {
                nodes.Add(Volatile.Read(ref record.Node));
            }
        }

        return nodes;
    }

    /// <summary>Closes every handle and grants none from now on.</summary>
    public void Close()
    {
        _slots.Close();
        Clear();
    }

    private void Free(int index)
    {
        ref HandleRecord record = ref _slots[index];
        if (record.Held)
        {
            LetGo(record, IdOf(index, record.State));
        }

        _ = close(record.Descriptor);
        record.Descriptor = -1;

        // SAFETY: the slot is dead and unpinned, so that no thread uses the buffer; Free of null does nothing.
        NativeMemory.Free((void*)record.Buffer);
        record.Buffer = 0;
        SlotState.Retire(ref record.State);
        _slots.Return(index);
    }

    private static ulong IdOf(int index, ulong state) => ((ulong)SlotState.Generation(state) << 32) | (uint)index;
}
