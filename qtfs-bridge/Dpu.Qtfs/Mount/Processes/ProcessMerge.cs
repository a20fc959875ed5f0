using Dpu.Fuse;
using Dpu.Fuse.Wire;
using Dpu.Linux;
using static Dpu.Fuse.Wire.fuse_opcode;

namespace Dpu.Qtfs.Mount.Processes;

/// <summary>
/// Puts the DPU's own processes into a mount of a host's procfs: answers what is asked of them in the host's place. What
/// is in them never passes here: the number of an own process is a symbolic link into the DPU's procfs, which is mounted on
/// <c>.local</c> at the top (<see cref="OwnProcessesMount"/>), so that the kernel shows and checks it as ever.
/// Thread-safe, allocation-free.
/// </summary>
internal sealed unsafe class ProcessMerge(OwnProcesses processes)
{
    /// <summary>The request is the host's.</summary>
    public const int Forward = 0;

    /// <summary>It was dealt with, and has no reply.</summary>
    public const int Done = -1;

    /// <summary>Ten years, in seconds.</summary>
    private const ulong Unlimited = 315_360_000;

    private const int LinkSize = 64;

    /// <summary>Which processes are the DPU's.</summary>
    public OwnProcesses Processes => processes;

    /// <summary>Answers a request that is about the DPU's own.</summary>
    /// <param name="request">A whole request of the kernel; of a list of forgotten nodes our own are taken.</param>
    /// <param name="length">Its length in bytes.</param>
    /// <param name="reply">Room for a header and 4 KiB.</param>
    /// <returns>The reply's length, <see cref="Done"/> or <see cref="Forward"/>.</returns>
    public int TryAnswer(byte* request, ref int length, byte* reply)
    {
        // SAFETY: the kernel writes whole messages only; replies are smaller than the room.
        var header = (fuse_in_header*)request;
        var opcode = (fuse_opcode)header->opcode;
        if (opcode == FUSE_BATCH_FORGET)
        {
            return WithoutOwn(request, ref length);
        }

        if (!OwnNodes.IsOwn(header->nodeid))
        {
            return header->nodeid == FuseConstants.FUSE_ROOT_ID && opcode == FUSE_LOOKUP ? Lookup(header, length, reply) : Forward;
        }

        return opcode == FUSE_FORGET ? Done : Answer(header, opcode, request + sizeof(fuse_in_header), reply);
    }

    /// <summary>Whether a host's reply names a node that only this machine has. Its framing has been checked.</summary>
    public static bool IsForged(uint opcode, byte* reply, int length) => EntryIds.Any(opcode, reply, length, OwnNodes.Mark, OwnNodes.Mark);

    private int Lookup(fuse_in_header* header, int length, byte* reply)
    {
        var name = new ReadOnlySpan<byte>((byte*)(header + 1), length - sizeof(fuse_in_header));
        name = name.TrimEnd((byte)0);
        ulong node = OwnNodes.OfName(name);

        // Whose a number is depends on who asks; all else is the same to everybody.
        ulong valid = Unlimited;
        if (node == 0 && OwnNodes.TryNumber(name, out int number) && processes.IsOwn(number, header->pid))
        {
            node = OwnNodes.OfProcess(number);
            valid = 0;
        }

        if (node == 0)
        {
            return Forward;
        }

        *(fuse_entry_out*)(reply + sizeof(fuse_out_header)) = new fuse_entry_out
        {
            nodeid = node,
            entry_valid = valid,
            attr_valid = Unlimited,
            attr = AttributesOf(node),
        };
        return Finish(header, reply, sizeof(fuse_entry_out));
    }

    private int Answer(fuse_in_header* header, fuse_opcode opcode, byte* body, byte* reply)
    {
        byte* answer = reply + sizeof(fuse_out_header);
        bool folder = header->nodeid == OwnNodes.Folder;
        switch (opcode)
        {
            case FUSE_GETATTR:
                *(fuse_attr_out*)answer = new fuse_attr_out { attr_valid = Unlimited, attr = AttributesOf(header->nodeid) };
                return Finish(header, reply, sizeof(fuse_attr_out));
            case FUSE_STATX:
                fuse_attr attributes = AttributesOf(header->nodeid);
                *(fuse_statx_out*)answer = new fuse_statx_out
                {
                    attr_valid = Unlimited,
                    stat = new fuse_statx { mask = stat.STATX_BASIC_STATS, blksize = attributes.blksize, nlink = attributes.nlink, mode = (ushort)attributes.mode, ino = attributes.ino },
                };
                return Finish(header, reply, sizeof(fuse_statx_out));
            case FUSE_READLINK when !folder:
                int size = WriteLink(header->nodeid, header->pid, new Span<byte>(answer, LinkSize));
                return size < 0 ? Fail(header, reply, size) : Finish(header, reply, size);
            case FUSE_OPENDIR when folder:
                *(fuse_open_out*)answer = default;
                return Finish(header, reply, sizeof(fuse_open_out));
            case FUSE_READDIR or FUSE_READDIRPLUS or FUSE_RELEASEDIR or FUSE_FSYNCDIR or FUSE_ACCESS when folder:
                return Finish(header, reply, 0);
            case FUSE_LOOKUP:
                // Nothing is mounted here in that mount namespace (mount --bind without the mounts below).
                return Fail(header, reply, -errno.ENOENT);
            case FUSE_STATFS:
                *(fuse_statfs_out*)answer = new fuse_statfs_out { st = new fuse_kstatfs { bsize = 4096, frsize = 4096, namelen = 255 } };
                return Finish(header, reply, sizeof(fuse_statfs_out));
            case FUSE_GETXATTR:
                return Fail(header, reply, -errno.ENODATA);
            case FUSE_LISTXATTR:
                *(fuse_getxattr_out*)answer = default;
                return Finish(header, reply, ((fuse_getxattr_in*)body)->size == 0 ? sizeof(fuse_getxattr_out) : 0);
            case FUSE_IOCTL:
                return Fail(header, reply, -errno.ENOTTY);
            default:
                // Not ENOSYS, after which the kernel would not ask the host either.
                return Fail(header, reply, -errno.EPERM);
        }
    }

    private int WriteLink(ulong node, uint caller, Span<byte> target)
    {
        if (node is OwnNodes.Self or OwnNodes.ThreadSelf)
        {
            return processes.WriteSelf(caller, node == OwnNodes.ThreadSelf, target);
        }

        if (node is OwnNodes.Mounts or OwnNodes.Net)
        {
            ReadOnlySpan<byte> text = node == OwnNodes.Mounts ? "self/mounts"u8 : "self/net"u8;
            text.CopyTo(target);
            return text.Length;
        }

        if (!OwnNodes.TryProcess(node, out int number))
        {
            return -errno.ESTALE;
        }

        ".local/"u8.CopyTo(target);
        _ = System.Buffers.Text.Utf8Formatter.TryFormat(number, target[7..], out int digits);
        return 7 + digits;
    }

    private static fuse_attr AttributesOf(ulong node) => new()
    {
        ino = OwnNodes.InodeOf(node),
        mode = node == OwnNodes.Folder ? stat.S_IFDIR | 0x16d : stat.S_IFLNK | 0x1ff,
        nlink = node == OwnNodes.Folder ? 2u : 1u,
        blksize = 1024,
    };

    private static int WithoutOwn(byte* request, ref int length)
    {
        var header = (fuse_in_header*)request;
        var list = (fuse_batch_forget_in*)(request + sizeof(fuse_in_header));
        int room = length - sizeof(fuse_in_header) - sizeof(fuse_batch_forget_in);
        if (room < 0)
        {
            return Forward;
        }

        var nodes = new Span<fuse_forget_one>(list + 1, (int)Math.Min(list->count, (uint)room / (uint)sizeof(fuse_forget_one)));
        int kept = 0;
        foreach (fuse_forget_one one in nodes)
        {
            if (!OwnNodes.IsOwn(one.nodeid))
            {
                nodes[kept++] = one;
            }
        }

        list->count = (uint)kept;
        length = sizeof(fuse_in_header) + sizeof(fuse_batch_forget_in) + (kept * sizeof(fuse_forget_one));
        header->len = (uint)length;
        return kept == 0 ? Done : Forward;
    }

    private static int Finish(fuse_in_header* header, byte* reply, int size)
    {
        *(fuse_out_header*)reply = new fuse_out_header { len = (uint)(sizeof(fuse_out_header) + size), unique = header->unique };
        return sizeof(fuse_out_header) + size;
    }

    private static int Fail(fuse_in_header* header, byte* reply, int error)
    {
        *(fuse_out_header*)reply = new fuse_out_header { len = (uint)sizeof(fuse_out_header), error = error, unique = header->unique };
        return sizeof(fuse_out_header);
    }
}
