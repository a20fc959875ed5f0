using System.Security.Cryptography;
using System.Text;
using Dpu.Fuse.Wire;
using Dpu.Linux;
using static Dpu.Fuse.Wire.fuse_opcode;

namespace Dpu.Qtfs.Mount.Sockets;

/// <summary>
/// A directory of a mount that only this machine has, under a name that nobody can guess. Sockets are bound there, and the file that
/// the kernel then makes is given the node of the host's socket: both names are one inode, which has the bound socket. What programs here
/// have bound is found there by those who connect for the host. Thread-safe, and never waits.
/// </summary>
internal sealed unsafe class HiddenDirectory
{
    /// <summary>Its node: no host gives this one, whose index is beyond every table's end.</summary>
    public const ulong Node = ulong.MaxValue - 1;

    /// <summary>The most bytes of an answer.</summary>
    public static readonly int MaxAnswer = sizeof(fuse_out_header) + sizeof(fuse_entry_out);

    /// <summary>Ten years, in seconds.</summary>
    private const ulong Unlimited = 315_360_000;

    private readonly Lock _lock = new();
    private readonly byte[] _name;
    private string? _expected;
    private fuse_entry_out _entry;
    private bool _given;
    private string? _sought;
    private fuse_entry_out _found;
    private readonly Dictionary<ulong, ulong> _references = [];

    public HiddenDirectory()
    {
        Name = ".dpu-" + Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(16));
        _name = Encoding.ASCII.GetBytes(Name);
    }

    /// <summary>Its name in the root. Who knows it may pass: whoever connects there acts as another user.</summary>
    public string Name { get; }

    /// <summary>The next file that is made under a name shall be that node.</summary>
    public void Expect(string name, in fuse_entry_out entry)
    {
        lock (_lock)
        {
            (_expected, _entry, _given) = (name, entry, false);
        }
    }

    /// <summary>It is expected no more; whether the kernel has been given it.</summary>
    public bool EndExpecting()
    {
        lock (_lock)
        {
            _expected = null;
            return _given;
        }
    }

    /// <summary>The kernel did not take the answer in which it was given.</summary>
    public void TakeBack()
    {
        lock (_lock)
        {
            _given = false;
        }
    }

    /// <summary>Who looks for a name finds that node, until <see cref="EndFinding"/>.</summary>
    public void Find(string name, in fuse_entry_out entry)
    {
        lock (_lock)
        {
            (_sought, _found) = (name, entry);
        }
    }

    /// <summary>Nothing is found any more.</summary>
    public void EndFinding()
    {
        lock (_lock)
        {
            _sought = null;
        }
    }

    /// <summary>The kernel did not take an answer that named a node.</summary>
    public void TakeBackReference(ulong node) => _ = TakeReferences(node, 1);

    /// <summary>
    /// Takes references of a node that the kernel gives back from those that it was given here, of which the host does not know.
    /// </summary>
    /// <returns>How many of <paramref name="count"/> were such.</returns>
    public ulong TakeReferences(ulong node, ulong count)
    {
        lock (_lock)
        {
            ulong own = Math.Min(_references.GetValueOrDefault(node), count);
            if (own > 0 && (_references[node] -= own) == 0)
            {
                _ = _references.Remove(node);
            }

            return own;
        }
    }

    /// <summary>Answers a request about the directory.</summary>
    /// <param name="request">A whole request of the kernel.</param>
    /// <param name="length">Its length in bytes.</param>
    /// <param name="reply">Room for <see cref="MaxAnswer"/> bytes.</param>
    /// <returns>The answer's length, -1 where there is none to be, 0 where the request is not about it.</returns>
    public int TryAnswer(byte* request, int length, byte* reply)
    {
        // SAFETY: the kernel writes whole messages only.
        var header = (fuse_in_header*)request;
        var opcode = (fuse_opcode)header->opcode;
        if (header->nodeid != Node)
        {
            bool asksFor = header->nodeid == FuseConstants.FUSE_ROOT_ID && opcode == FUSE_LOOKUP
                && new ReadOnlySpan<byte>(request + sizeof(fuse_in_header), length - sizeof(fuse_in_header)).TrimEnd((byte)0).SequenceEqual(_name);
            return asksFor ? Entry(header, new fuse_entry_out { nodeid = Node, attr_valid = Unlimited, attr = Attributes }, reply) : 0;
        }

        switch (opcode)
        {
            case FUSE_FORGET or FUSE_BATCH_FORGET:
                return -1;
            case FUSE_GETATTR:
                *(fuse_attr_out*)(reply + sizeof(fuse_out_header)) = new fuse_attr_out { attr_valid = Unlimited, attr = Attributes };
                return Finish(header, reply, sizeof(fuse_attr_out), 0);
            case FUSE_LOOKUP:
                return LookUp(header, length, reply);
            case FUSE_MKNOD:
                return Make(header, length, reply);
            case FUSE_ACCESS:
                return Finish(header, reply, 0, 0);
            case FUSE_GETXATTR:
                return Finish(header, reply, 0, -errno.ENODATA);
            default:
                // Not ENOSYS, after which the kernel would not ask the host either.
                return Finish(header, reply, 0, -errno.EPERM);
        }
    }

    /// <summary>Takes the directory, and references that were given here, out of a list of forgotten nodes; whether others are left.</summary>
    public bool TakeFromForgets(byte* request, ref int length)
    {
        var header = (fuse_in_header*)request;
        var list = (fuse_batch_forget_in*)(request + sizeof(fuse_in_header));
        int room = length - sizeof(fuse_in_header) - sizeof(fuse_batch_forget_in);
        if (room < 0)
        {
            return true;
        }

        var nodes = new Span<fuse_forget_one>(list + 1, (int)Math.Min(list->count, (uint)room / (uint)sizeof(fuse_forget_one)));
        int kept = 0;
        foreach (fuse_forget_one one in nodes)
        {
            fuse_forget_one left = one;
            left.nlookup -= one.nodeid == Node ? one.nlookup : TakeReferences(one.nodeid, one.nlookup);
            if (left.nlookup > 0)
            {
                nodes[kept++] = left;
            }
        }

        if (kept != nodes.Length)
        {
            list->count = (uint)kept;
            length = sizeof(fuse_in_header) + sizeof(fuse_batch_forget_in) + (kept * sizeof(fuse_forget_one));
            header->len = (uint)length;
        }

        return kept > 0;
    }

    private static fuse_attr Attributes => new() { ino = Node, mode = stat.S_IFDIR | 0x1c9, nlink = 2, blksize = 4096 };

    private int LookUp(fuse_in_header* header, int length, byte* reply)
    {
        ReadOnlySpan<byte> name = new ReadOnlySpan<byte>((byte*)header + sizeof(fuse_in_header), length - sizeof(fuse_in_header)).TrimEnd((byte)0);
        lock (_lock)
        {
            if (_sought is null || Encoding.ASCII.GetString(name) != _sought)
            {
                return Finish(header, reply, 0, -errno.ENOENT);
            }

            _references[_found.nodeid] = _references.GetValueOrDefault(_found.nodeid) + 1;
            return Entry(header, _found, reply);
        }
    }

    private int Make(fuse_in_header* header, int length, byte* reply)
    {
        int start = sizeof(fuse_in_header) + sizeof(fuse_mknod_in);
        ReadOnlySpan<byte> name = length > start ? new ReadOnlySpan<byte>((byte*)header + start, length - start) : default;
        int end = name.IndexOf((byte)0);
        lock (_lock)
        {
            if (_expected is null || end < 0 || Encoding.ASCII.GetString(name[..end]) != _expected)
            {
                // Of an earlier runtime, or too late.
                return Finish(header, reply, 0, -errno.EPERM);
            }

            _given = true;
            _expected = null;
            return Entry(header, _entry, reply);
        }
    }

    private static int Entry(fuse_in_header* header, in fuse_entry_out entry, byte* reply)
    {
        *(fuse_entry_out*)(reply + sizeof(fuse_out_header)) = entry;
        return Finish(header, reply, sizeof(fuse_entry_out), 0);
    }

    private static int Finish(fuse_in_header* header, byte* reply, int size, int error)
    {
        *(fuse_out_header*)reply = new fuse_out_header { len = (uint)(sizeof(fuse_out_header) + size), error = error, unique = header->unique };
        return sizeof(fuse_out_header) + size;
    }
}
