using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Dpu.Flows.Keys;

namespace Dpu.Flows.Classifier;

/// <summary>
/// A decision tree over rules that does not change: each node takes a window of up to 8 bits of a 32-bit lane of the key as
/// the number of a child; leaves (<see cref="CutLeaf"/>) list rules, best first, which are compared in full. Rules may be removed meanwhile: they
/// are then invisible. Immutable and safe for any number of readers.
/// </summary>
/// <remarks>After CutSplit (Li et al., INFOCOM 2018): rules are first parted by which addresses they care about, a tree each.</remarks>
internal sealed unsafe class CutTree
{
    /// <summary>Bits of a window: 256 children, 2 KiB, of which a look-up touches one line.</summary>
    internal const int MaxWindow = 8;

    private readonly ulong[] _nodeMemory;
    private readonly uint[] _leafMemory;

    internal CutTree(List<ulong> nodes, List<uint> leaves, ulong root, ulong maxRank, int rules)
    {
        _nodeMemory = Pinned(CollectionsMarshal.AsSpan(nodes));
        _leafMemory = Pinned(CollectionsMarshal.AsSpan(leaves));
        Root = root;
        MaxRank = maxRank;
        Rules = rules;
    }

    internal ulong Root { get; }

    internal ulong MaxRank { get; }

    internal int Rules { get; }

    internal long Size => (_nodeMemory.LongLength * 8) + (_leafMemory.LongLength * 4);

    // SAFETY: pinned arrays of this object's life; whoever follows the pointers holds the tree.
    internal ulong* Nodes => (ulong*)Unsafe.AsPointer(ref MemoryMarshal.GetArrayDataReference(_nodeMemory));

    internal uint* Leaves => (uint*)Unsafe.AsPointer(ref MemoryMarshal.GetArrayDataReference(_leafMemory));

    /// <summary>A node: base of its children, and lane, shift and width of the window. A width of 0 is a leaf.</summary>
    internal static ulong Node(uint children, int lane, int shift, int width) =>
        children | ((ulong)(uint)width << 32) | ((ulong)(uint)shift << 40) | ((ulong)(uint)lane << 48);

    /// <summary>A leaf: base and number of its rules.</summary>
    internal static ulong Leaf(uint entries, int count) => entries | ((ulong)(uint)count << 40);

    internal static bool IsLeaf(ulong node) => (byte)(node >> 32) == 0;

    internal static uint Base(ulong node) => (uint)node;

    internal static int LeafCount(ulong node) => (int)(node >> 40);

    internal static int Lane(ulong node) => (int)(node >> 48);

    internal static int Shift(ulong node) => (byte)(node >> 40);

    internal static int Width(ulong node) => (byte)(node >> 32);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static ulong Step(ulong* nodes, ulong node, uint* lanes)
    {
        uint window = (lanes[node >> 48] >> (byte)(node >> 40)) & ((1u << (byte)(node >> 32)) - 1);
        return nodes[(uint)node + window];
    }

    /// <summary>Adds the rules that the tree has for a packet, best first, and says by which windows it was led to them.</summary>
    internal FlowMask Candidates(ulong* key, List<uint> candidates)
    {
        FlowMask windows = default;
        Span<uint> lanes = MemoryMarshal.Cast<byte, uint>(windows.Bits.AsBytes());
        ulong node = Root;
        while (!IsLeaf(node))
        {
            lanes[Lane(node)] |= ((1u << Width(node)) - 1) << Shift(node);
            node = Step(Nodes, node, (uint*)key);
        }

        int count = LeafCount(node);
        for (int i = 0; i < count; i++)
        {
            candidates.Add(CutLeaf.IdAt(Leaves + Base(node), count, i));
        }

        GC.KeepAlive(this);
        return windows;
    }

    private static T[] Pinned<T>(ReadOnlySpan<T> items)
        where T : unmanaged
    {
        T[] memory = GC.AllocateUninitializedArray<T>(Math.Max(1, items.Length), pinned: true);
        items.CopyTo(memory);
        return memory;
    }
}
