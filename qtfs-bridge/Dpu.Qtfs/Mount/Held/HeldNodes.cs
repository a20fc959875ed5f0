using Dpu.Fuse;
using Dpu.Qtfs.Mount.Handover;

namespace Dpu.Qtfs.Mount.Held;

/// <summary>
/// The nodes that the kernel has of the host, each with the name by which it was found last, so that a host that has lost them can find them
/// again. Not thread-safe.
/// </summary>
/// <remarks>
/// 96 bytes a node by its index, in memory that outlives the process; 256 more where one of 256 neighbours has a name of over 46 bytes. The
/// process's own index of names has 4 bytes for each. Nodes beyond <see cref="MostIndex"/>, and those whose file the host cannot tell, are not
/// remembered: they are lost with the host.
/// </remarks>
internal sealed unsafe class HeldNodes
{
    /// <summary>As many as a host gives a mount by default; 24 MiB.</summary>
    public const int MostIndex = 1 << 18;

    private const int PieceSize = 4096;
    private const int LongPieceSize = 256;
    private const int LongSize = 256;
    private const int Short = 46;

    private readonly KeptState _state;
    private readonly nint[] _pieces = new nint[MostIndex / PieceSize];
    private readonly nint[] _longNames = new nint[MostIndex / LongPieceSize];
    private int[] _buckets = new int[256];
    private int _named;

    /// <param name="state">Where they are kept, and what an earlier runtime has left.</param>
    public HeldNodes(KeptState state)
    {
        _state = state;
        Adopt("held/longnames", _longNames, LongPieceSize, LongSize);
        Adopt("held/nodes", _pieces, PieceSize, sizeof(HeldNode));
        for (int index = 0; index < MostIndex; index++)
        {
            if (_pieces[index / PieceSize] == 0)
            {
                index |= PieceSize - 1;
                continue;
            }

            ref HeldNode node = ref At(index);
            if (node.Id == 0)
            {
                // Of a process that was killed while it wrote, perhaps.
                (node.Parent, node.NameLength) = (0, 0);
            }
            else if (node.Parent != 0)
            {
                Link(ref node, index);
            }
        }
    }

    /// <summary>Takes a reference on a node, found by a name; without one where it has none.</summary>
    public void Add(ulong id, ulong identity, ulong parent, ReadOnlySpan<byte> name, uint uid, uint gid)
    {
        int index = IndexOf(id);
        if (index == 0 || !FileIdentity.Is(identity) || name.Length > byte.MaxValue)
        {
            return;
        }

        ref HeldNode node = ref Make(index);
        if (node.Id == id && node.Identity == identity)
        {
            node.Lookups++;
            (node.Uid, node.Gid) = (uid, gid);
            if (node.Parent == parent && NameOf(node, index).SequenceEqual(name))
            {
                return;
            }
        }
        else
        {
            Remove(ref node, index);
            (node.Identity, node.Lookups, node.Uid, node.Gid) = (identity, 1, uid, gid);
        }

        if (!name.IsEmpty)
        {
            Name(ref node, index, parent, name);
        }

        Volatile.Write(ref node.Id, id);
    }

    /// <summary>Gives references back.</summary>
    public void Forget(ulong id, ulong count)
    {
        int index = IndexOf(id);
        if (!Has(index, id))
        {
            return;
        }

        ref HeldNode node = ref At(index);
        node.Lookups -= Math.Min(count, node.Lookups);
        if (node.Lookups == 0)
        {
            Remove(ref node, index);
        }
    }

    /// <summary>A name was changed, or two exchanged.</summary>
    public void Rename(ulong parent, ReadOnlySpan<byte> name, ulong newParent, ReadOnlySpan<byte> newName, bool exchange)
    {
        int moved = Find(parent, name);
        int other = Find(newParent, newName);
        if (moved == other)
        {
            return;
        }

        if (other != 0)
        {
            Unname(ref At(other), other);
        }

        if (moved != 0)
        {
            Name(ref At(moved), moved, newParent, newName);
        }

        if (other != 0 && exchange)
        {
            Name(ref At(other), other, parent, name);
        }
    }

    /// <summary>Whether the kernel has it.</summary>
    public bool Contains(ulong id) => Has(IndexOf(id), id);

    /// <summary>The indices of all of them, in rising order.</summary>
    public IEnumerable<int> Indices()
    {
        for (int index = 1; index < MostIndex; index++)
        {
            if (_pieces[index / PieceSize] == 0)
            {
                index |= PieceSize - 1;
            }
            else if (At(index).Id != 0)
            {
                yield return index;
            }
        }
    }

    /// <summary>A node by its index.</summary>
    public ref HeldNode At(int index) => ref ((HeldNode*)_pieces[index / PieceSize])[index % PieceSize];

    /// <summary>Its name; empty where it has none.</summary>
    public ReadOnlySpan<byte> NameOf(in HeldNode node, int index)
    {
        int length = node.NameLength;
        return length <= Short ? ((ReadOnlySpan<byte>)node.Name)[..length]
            : _longNames[index / LongPieceSize] == 0 ? []
            : new ReadOnlySpan<byte>(LongPlace(index), length);
    }

    /// <summary>The index of a node that can be remembered; else 0.</summary>
    public static int IndexOf(ulong id) => (uint)id < MostIndex && id != 1 ? (int)(uint)id : 0;

    private bool Has(int index, ulong id) => index != 0 && _pieces[index / PieceSize] != 0 && At(index).Id == id;

    private void Adopt(string group, nint[] pieces, int count, int size)
    {
        foreach (int piece in _state.Pieces(group).Where(piece => piece >= 0 && piece < pieces.Length))
        {
            pieces[piece] = (nint)_state.Words(group, piece, count * size / sizeof(ulong));
        }
    }

    private ref HeldNode Make(int index)
    {
        ref nint piece = ref _pieces[index / PieceSize];
        if (piece == 0)
        {
            piece = (nint)_state.Words("held/nodes", index / PieceSize, PieceSize * sizeof(HeldNode) / sizeof(ulong));
        }

        return ref At(index);
    }

    private byte* LongPlace(int index)
    {
        ref nint piece = ref _longNames[index / LongPieceSize];
        if (piece == 0)
        {
            piece = (nint)_state.Words("held/longnames", index / LongPieceSize, LongPieceSize * LongSize / sizeof(ulong));
        }

        return (byte*)piece + (index % LongPieceSize * LongSize);
    }

    private void Remove(ref HeldNode node, int index)
    {
        Volatile.Write(ref node.Id, 0);
        Unname(ref node, index);
    }

    // A process that is killed in between leaves a node without a name.
    private void Name(ref HeldNode node, int index, ulong parent, ReadOnlySpan<byte> name)
    {
        Unname(ref node, index);
        name.CopyTo(name.Length <= Short ? node.Name : new Span<byte>(LongPlace(index), LongSize));
        node.NameLength = (ushort)name.Length;
        Volatile.Write(ref node.Parent, parent);
        Link(ref node, index);
    }

    private void Unname(ref HeldNode node, int index)
    {
        if (node.Parent == 0)
        {
            return;
        }

        ref int link = ref _buckets[BucketOf(node.Parent, NameOf(node, index))];
        while (link != index)
        {
            link = ref At(link).Next;
        }

        link = node.Next;
        _named--;
        Volatile.Write(ref node.Parent, 0);
        node.NameLength = 0;
    }

    private void Link(ref HeldNode node, int index)
    {
        if (++_named > _buckets.Length)
        {
            Grow();
        }

        ref int bucket = ref _buckets[BucketOf(node.Parent, NameOf(node, index))];
        (node.Next, bucket) = (bucket, index);
    }

    private void Grow()
    {
        int[] old = _buckets;
        _buckets = new int[old.Length * 2];
        foreach (int first in old)
        {
            for (int index = first; index != 0;)
            {
                ref HeldNode node = ref At(index);
                int next = node.Next;
                ref int bucket = ref _buckets[BucketOf(node.Parent, NameOf(node, index))];
                (node.Next, bucket) = (bucket, index);
                index = next;
            }
        }
    }

    private int Find(ulong parent, ReadOnlySpan<byte> name)
    {
        int index = _buckets[BucketOf(parent, name)];
        while (index != 0 && (At(index).Parent != parent || !NameOf(At(index), index).SequenceEqual(name)))
        {
            index = At(index).Next;
        }

        return index;
    }

    private int BucketOf(ulong parent, ReadOnlySpan<byte> name)
    {
        var hash = default(HashCode);
        hash.Add(parent);
        hash.AddBytes(name);
        return hash.ToHashCode() & (_buckets.Length - 1);
    }
}

/// <summary>One of <see cref="HeldNodes"/>.</summary>
internal struct HeldNode
{
    /// <summary>Its id; 0 where there is none.</summary>
    public ulong Id;

    /// <summary>The directory in which it was found; 0 where it has no name.</summary>
    public ulong Parent;

    /// <summary>The generation of its entry.</summary>
    public ulong Identity;

    /// <summary>The references that the kernel has.</summary>
    public ulong Lookups;

    /// <summary>Who looked it up last.</summary>
    public uint Uid;

    /// <inheritdoc cref="Uid"/>
    public uint Gid;

    /// <summary>The next of the names with this one's hash; the process's own.</summary>
    public int Next;

    /// <summary>The name's length in bytes.</summary>
    public ushort NameLength;

    /// <summary>The name, where it is short.</summary>
    public ShortName Name;

    [System.Runtime.CompilerServices.InlineArray(46)]
    internal struct ShortName
    {
        private byte _first;
    }
}
