using System.Runtime.InteropServices;
using Dpu.Fuse.Wire;

namespace Dpu.Qtfs;

/// <summary>What a <see cref="ReturnMessage"/> tells.</summary>
internal enum ReturnPart : uint
{
    /// <summary>How high the indices go of what follows; no records.</summary>
    Expect = 1,

    /// <summary>Nodes, each behind its directory: <see cref="ReturnedNode"/>, its name, and zeros to a multiple of 8.</summary>
    Nodes = 2,

    /// <summary>Open files, whose nodes have returned: <see cref="ReturnedHandle"/>.</summary>
    Handles = 3,

    /// <summary>There is no more; no records.</summary>
    End = 4,
}

/// <summary>The head of a message's body.</summary>
internal struct ReturnHead
{
    /// <summary><see cref="ReturnPart"/>.</summary>
    public uint Part;

    /// <summary>How many records follow. The answer has a byte for each: 1 where it is again what it was, 0 where it is lost.</summary>
    public uint Count;

    /// <summary>With <see cref="ReturnPart.Expect"/>: the highest index of a node.</summary>
    public uint Nodes;

    /// <summary>With <see cref="ReturnPart.Expect"/>: the highest index of an open file.</summary>
    public uint Handles;
}

/// <summary>A node that the DPU's kernel knows.</summary>
internal struct ReturnedNode
{
    public ulong Id;
    public ulong Parent;

    /// <summary>The generation of its entry, in which its file is told.</summary>
    public ulong Identity;

    /// <summary>The references that the kernel has.</summary>
    public ulong Lookups;

    /// <summary>Who looked it up last.</summary>
    public uint Uid;
    public uint Gid;
    public uint NameLength;
    public uint Padding;
}

/// <summary>A file that is open on the DPU.</summary>
internal struct ReturnedHandle
{
    public ulong Handle;
    public ulong Node;

    /// <summary>How it was opened, in the numbers of the DPU's architecture.</summary>
    public uint Flags;

    /// <summary>1 for a directory, 0 for a file.</summary>
    public uint IsDirectory;

    /// <summary>Who opened it.</summary>
    public uint Uid;
    public uint Gid;
}

/// <summary>
/// How a DPU tells a host that has lost a mount (it was rebooted, or its agent restarted without a keeper) what its kernel has of it: framed as a
/// FUSE request, behind FUSE_INIT and before any other. Both ends are little-endian, as all that is supported.
/// </summary>
internal static unsafe class ReturnMessage
{
    /// <summary>No opcode of Linux's: those are below 64, and CUSE_INIT is 4096.</summary>
    public const uint Opcode = 0x4450_5501;

    /// <summary>The most bytes of one, so that a host that walks slowly answers in time.</summary>
    public const int MaxSize = 64 << 10;

    /// <summary>Where records begin.</summary>
    public static int RecordsAt => sizeof(fuse_in_header) + sizeof(ReturnHead);

    /// <summary>Takes the next node of a message's records; false where they hold no whole one. Pure.</summary>
    /// <param name="records">What is left of the records.</param>
    /// <param name="node">The node.</param>
    /// <param name="name">Its name, of 1 to 255 bytes.</param>
    public static bool TryReadNode(ref ReadOnlySpan<byte> records, out ReturnedNode node, out ReadOnlySpan<byte> name)
    {
        name = default;
        if (!MemoryMarshal.TryRead(records, out node) || node.NameLength is 0 or > byte.MaxValue || SizeOf((int)node.NameLength) > records.Length)
        {
            return false;
        }

        name = records.Slice(sizeof(ReturnedNode), (int)node.NameLength);
        records = records[SizeOf((int)node.NameLength)..];
        return true;
    }

    /// <summary>The size of a node with its name.</summary>
    public static int SizeOf(int nameLength) => sizeof(ReturnedNode) + ((nameLength + 7) & ~7);
}
