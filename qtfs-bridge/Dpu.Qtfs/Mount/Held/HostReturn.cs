using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Dpu.Fuse.Wire;

namespace Dpu.Qtfs.Mount.Held;

/// <summary>What became of what the kernel had of a host that had lost it.</summary>
/// <param name="Nodes">Names that are found again.</param>
/// <param name="Files">Open files that go on.</param>
/// <param name="Stale">Open files that are lost: another file is there, or none, or it may not be opened any more.</param>
/// <param name="Unlocked">Open files whose locks are lost.</param>
internal readonly record struct ReturnOutcome(int Nodes, int Files, int Stale, int Unlocked);

/// <summary>Tells a host that has lost a mount what the kernel has of it, on one connection, before any other request. One thread's.</summary>
internal sealed unsafe class HostReturn(HeldFiles held, LaneConnection connection)
{
    private readonly byte[] _message = new byte[ReturnMessage.MaxSize];

    /// <summary>Tells it all; may be done again on another connection if this one breaks.</summary>
    /// <exception cref="IOException">The connection broke.</exception>
    /// <exception cref="FuseChannelException">The host answers with nonsense.</exception>
    public ReturnOutcome Run()
    {
        (ReturnedNode Node, byte[] Name)[] nodes = held.Read(static (nodes, _) => InOrder(nodes));
        ReturnedHandle[] files = held.Read(static (_, handles) => handles.Indices()
            .Select(index => handles.At(index)).Where(file => !HeldFiles.HadLocks(file))
            .Select(file => new ReturnedHandle
            {
                Handle = file.Handle,
                Node = file.Node,
                Flags = file.Flags,
                IsDirectory = (file.Marks & HeldMarks.Directory) != 0 ? 1U : 0,
                Uid = file.Uid,
                Gid = file.Gid,
            }).ToArray());
        (uint highestNode, uint highestFile) = held.Read(static (nodes, handles) => ((uint)nodes.Indices().LastOrDefault(), (uint)handles.Indices().LastOrDefault()));
        _ = Send(new ReturnHead { Part = (uint)ReturnPart.Expect, Nodes = highestNode, Handles = highestFile }, 0);
        int found = 0;
        for (int sent = 0; sent < nodes.Length;)
        {
            int first = sent;
            int size = 0;
            while (sent < nodes.Length && ReturnMessage.RecordsAt + size + ReturnMessage.SizeOf(nodes[sent].Name.Length) <= _message.Length)
            {
                size += Write(nodes[sent].Node, nodes[sent].Name, size);
                sent++;
            }

            found += Send(new ReturnHead { Part = (uint)ReturnPart.Nodes, Count = (uint)(sent - first) }, size).Count(static result => result == 1);
        }

        HashSet<ulong> lost = [];
        int most = (_message.Length - ReturnMessage.RecordsAt) / sizeof(ReturnedHandle);
        foreach (ReturnedHandle[] some in files.Chunk(most))
        {
            MemoryMarshal.AsBytes(some.AsSpan()).CopyTo(_message.AsSpan(ReturnMessage.RecordsAt));
            byte[] results = Send(new ReturnHead { Part = (uint)ReturnPart.Handles, Count = (uint)some.Length }, some.Length * sizeof(ReturnedHandle));
            lost.UnionWith(some.Where((_, i) => results[i] != 1).Select(file => file.Handle));
        }

        _ = Send(new ReturnHead { Part = (uint)ReturnPart.End }, 0);
        (int unlocked, int stale) = held.Note(lost, connection.State);
        return new ReturnOutcome(found, files.Length - lost.Count, stale, unlocked);
    }

    // A directory before what is in it. What has no name, or hangs on something that has none, is not there: nor is what a circle of names holds,
    // which renames on the host can leave.
    private static (ReturnedNode Node, byte[] Name)[] InOrder(HeldNodes nodes)
    {
        List<(ReturnedNode, byte[])> order = [];
        HashSet<ulong> placed = [RootId];
        Stack<int> way = [];
        HashSet<int> seen = [];
        foreach (int start in nodes.Indices())
        {
            for (int index = start; seen.Add(index);)
            {
                way.Push(index);
                ulong parent = nodes.At(index).Parent;
                if (parent is 0 or RootId || !nodes.Contains(parent))
                {
                    break;
                }

                index = HeldNodes.IndexOf(parent);
            }

            while (way.TryPop(out int index))
            {
                ref HeldNode node = ref nodes.At(index);
                if (placed.Contains(node.Parent))
                {
                    byte[] name = nodes.NameOf(node, index).ToArray();
                    placed.Add(node.Id);
                    order.Add((new ReturnedNode
                    {
                        Id = node.Id,
                        Parent = node.Parent,
                        Identity = node.Identity,
                        Lookups = node.Lookups,
                        Uid = node.Uid,
                        Gid = node.Gid,
                        NameLength = (uint)name.Length,
                    }, name));
                }
            }
        }

        return [.. order];
    }

    private const ulong RootId = FuseConstants.FUSE_ROOT_ID;

    private int Write(in ReturnedNode node, byte[] name, int at)
    {
        Span<byte> place = _message.AsSpan(ReturnMessage.RecordsAt + at, ReturnMessage.SizeOf(name.Length));
        place.Clear();
        MemoryMarshal.Write(place, node);
        name.CopyTo(place[sizeof(ReturnedNode)..]);
        return place.Length;
    }

    private byte[] Send(in ReturnHead head, int size)
    {
        int length = ReturnMessage.RecordsAt + size;
        MemoryMarshal.Write(_message, new fuse_in_header { len = (uint)length, opcode = ReturnMessage.Opcode, unique = LostReply.InternalUnique });
        MemoryMarshal.Write(_message.AsSpan(sizeof(fuse_in_header)), head);

        // SAFETY: the array is pinned for the call, and holds the message.
        fixed (byte* message = _message)
        {
            connection.Send(message, length);
        }

        int received = connection.Receive(LostReply.InternalUnique, out byte* reply);

        // SAFETY: Receive returns a whole answer of that length.
        var answer = new ReadOnlySpan<byte>(reply, received);
        int error = BinaryPrimitives.ReadInt32LittleEndian(answer[sizeof(uint)..]);
        return error != 0 || received != sizeof(fuse_out_header) + head.Count
            ? throw new FuseChannelException($"the host answered what returns to it with error {error} in {received} bytes")
            : answer[sizeof(fuse_out_header)..].ToArray();
    }
}
