using System.Runtime.CompilerServices;
using Dpu.Fuse;
using Dpu.Fuse.Wire;
using Dpu.Linux;

namespace Dpu.Qtfs.Export;

// What the DPU's kernel has of a mount that this host has lost.
internal sealed unsafe partial class ExportedMount
{
    private readonly Lock _returning = new();
    private (long Files, long Lost) _returned;

    /// <summary>Told when a peer has returned everything, with the open files that go on and those that are lost; must not block or throw.</summary>
    public Action<long, long>? OnReturned { get; init; }

    /// <summary>Takes a <see cref="ReturnMessage"/>, on a lane's thread; the answer's length.</summary>
    public int Return(byte* request, int length, byte* reply)
    {
        // SAFETY: the lane has received a whole header, and its reply has room for the longest message; everything else is checked before it is read.
        var answer = (fuse_out_header*)reply;
        *answer = new fuse_out_header { len = (uint)sizeof(fuse_out_header), unique = ((fuse_in_header*)request)->unique };
        if (length < ReturnMessage.RecordsAt || length > ReturnMessage.MaxSize)
        {
            answer->error = -errno.EINVAL;
        }
        else if (!Initialized || !_note.Parameters.Returns)
        {
            answer->error = -errno.EOPNOTSUPP;
        }
        else
        {
            lock (_returning)
            {
                int results = Return((ReturnHead*)(request + sizeof(fuse_in_header)), request + ReturnMessage.RecordsAt, length - ReturnMessage.RecordsAt, (byte*)(answer + 1));
                (answer->error, answer->len) = results < 0 ? (results, answer->len) : (0, answer->len + (uint)results);
            }
        }

        return (int)answer->len;
    }

    private int Return(ReturnHead* head, byte* records, int size, byte* results)
    {
        switch ((ReturnPart)head->Part)
        {
            case ReturnPart.Expect:
                _returned = default;
                _fileSystem.ExpectReturns(head->Nodes, head->Handles);
                return 0;
            case ReturnPart.Nodes:
                return ReturnNodes(head->Count, new ReadOnlySpan<byte>(records, size), results);
            case ReturnPart.Handles:
                return ReturnHandles(head->Count, records, size, results);
            case ReturnPart.End:
                _fileSystem.EndReturns();
                OnReturned?.Invoke(_returned.Files, _returned.Lost);
                return 0;
            default:
                return -errno.EINVAL;
        }
    }

    private int ReturnNodes(uint count, ReadOnlySpan<byte> records, byte* results)
    {
        for (uint i = 0; i < count; i++)
        {
            if (!ReturnMessage.TryReadNode(ref records, out ReturnedNode node, out ReadOnlySpan<byte> name))
            {
                return -errno.EINVAL;
            }

            var caller = new FuseCaller { Uid = node.Uid, Gid = node.Gid };
            results[i] = _fileSystem.ReturnNode(caller, node.Id, node.Parent, name, node.Identity, node.Lookups) ? (byte)1 : (byte)0;
        }

        return (int)count;
    }

    private int ReturnHandles(uint count, byte* records, int size, byte* results)
    {
        if (count > size / sizeof(ReturnedHandle))
        {
            return -errno.EINVAL;
        }

        for (uint i = 0; i < count; i++)
        {
            ReturnedHandle file = Unsafe.ReadUnaligned<ReturnedHandle>(records + (i * sizeof(ReturnedHandle)));
            var caller = new FuseCaller { Uid = file.Uid, Gid = file.Gid };
            bool returned = _fileSystem.ReturnHandle(caller, file.Handle, file.Node, file.Flags, file.IsDirectory != 0);
            results[i] = returned ? (byte)1 : (byte)0;
            _returned = returned ? (_returned.Files + 1, _returned.Lost) : (_returned.Files, _returned.Lost + 1);
        }

        return (int)count;
    }
}
