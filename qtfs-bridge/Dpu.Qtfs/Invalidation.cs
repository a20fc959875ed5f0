using System.Runtime.InteropServices;
using Dpu.Fuse.Wire;

namespace Dpu.Qtfs;

/// <summary>
/// What a host tells a DPU to forget: a FUSE notification (<c>linux/fuse.h</c>, <c>fuse_notify_code</c>), which crosses the
/// link as it is. Its header has the code in <c>error</c>; in <c>unique</c>, which is 0 for the kernel, its number on the link: they
/// count up, so that the answer to a lock can say which of them came before it.
/// </summary>
internal readonly struct Invalidation
{
    /// <summary>
    /// FUSE_NOTIFY_INC_EPOCH, of Linux 6.16: every name is asked for again. Here: names, attributes and contents. Newer than
    /// the headers that constants are proved against.
    /// </summary>
    public const int EpochCode = 8;

    /// <summary>The longest message, in bytes.</summary>
    public const int MaxSize = 16 + 16 + 256;

    private readonly byte[]? _name;

    private Invalidation(int code, ulong node, long offset, byte[]? name)
    {
        Code = code;
        Node = node;
        Offset = offset;
        _name = name;
    }

    /// <summary>Everything.</summary>
    public static Invalidation Everything => new(EpochCode, 0, 0, null);

    /// <summary>The notification's code.</summary>
    public int Code { get; }

    /// <summary>The node; of a name, its directory's.</summary>
    public ulong Node { get; }

    /// <summary>From where on the content is forgotten; negative for attributes only.</summary>
    public long Offset { get; }

    /// <summary>The message's bytes.</summary>
    public unsafe int Size => Code switch
    {
        (int)fuse_notify_code.FUSE_NOTIFY_INVAL_ENTRY => sizeof(fuse_out_header) + sizeof(fuse_notify_inval_entry_out) + _name!.Length + 1,
        (int)fuse_notify_code.FUSE_NOTIFY_INVAL_INODE => sizeof(fuse_out_header) + sizeof(fuse_notify_inval_inode_out),
        _ => sizeof(fuse_out_header),
    };

    /// <summary>A name of a directory.</summary>
    public static Invalidation Entry(ulong directory, ReadOnlySpan<byte> name) => new((int)fuse_notify_code.FUSE_NOTIFY_INVAL_ENTRY, directory, 0, name.ToArray());

    /// <summary>A node's attributes.</summary>
    public static Invalidation Attributes(ulong node) => new((int)fuse_notify_code.FUSE_NOTIFY_INVAL_INODE, node, -1, null);

    /// <summary>A node's attributes and content.</summary>
    public static Invalidation Content(ulong node) => new((int)fuse_notify_code.FUSE_NOTIFY_INVAL_INODE, node, 0, null);

    /// <summary>Writes the message; there must be <see cref="Size"/> bytes. Returns its size.</summary>
    /// <param name="room">Where to.</param>
    /// <param name="expireOnly">
    /// For the kernel: a name is asked for again, but what is mounted on it stays, and who is in it. Linux before 6.2 drops
    /// it all the same.
    /// </param>
    /// <param name="number">For the link: its number.</param>
    public unsafe int Write(Span<byte> room, bool expireOnly = false, ulong number = 0)
    {
        int size = Size;
        var header = new fuse_out_header { len = (uint)size, error = Code, unique = number };
        MemoryMarshal.Write(room, in header);
        Span<byte> body = room[sizeof(fuse_out_header)..size];
        if (Code == (int)fuse_notify_code.FUSE_NOTIFY_INVAL_ENTRY)
        {
            var entry = new fuse_notify_inval_entry_out
            {
                parent = Node,
                namelen = (uint)_name!.Length,
                flags = expireOnly ? FuseConstants.FUSE_EXPIRE_ONLY : 0,
            };
            MemoryMarshal.Write(body, in entry);
            _name.CopyTo(body[sizeof(fuse_notify_inval_entry_out)..]);
            body[^1] = 0;
        }
        else if (Code == (int)fuse_notify_code.FUSE_NOTIFY_INVAL_INODE)
        {
            var inode = new fuse_notify_inval_inode_out { ino = Node, off = Offset };
            MemoryMarshal.Write(body, in inode);
        }

        return size;
    }

    /// <summary>Checks a message of a host that is not trusted; false where it is none of these.</summary>
    public static unsafe bool TryRead(ReadOnlySpan<byte> message, out Invalidation invalidation, out ulong number)
    {
        invalidation = default;
        number = 0;
        if (message.Length < sizeof(fuse_out_header))
        {
            return false;
        }

        fuse_out_header header = MemoryMarshal.Read<fuse_out_header>(message);
        ReadOnlySpan<byte> body = message[sizeof(fuse_out_header)..];
        if (header.len != message.Length)
        {
            return false;
        }

        number = header.unique;
        switch (header.error)
        {
            case EpochCode when body.IsEmpty:
                invalidation = Everything;
                return true;

            case (int)fuse_notify_code.FUSE_NOTIFY_INVAL_INODE when body.Length == sizeof(fuse_notify_inval_inode_out):
                fuse_notify_inval_inode_out inode = MemoryMarshal.Read<fuse_notify_inval_inode_out>(body);
                invalidation = new Invalidation(header.error, inode.ino, inode.off < 0 ? -1 : 0, null);
                return true;

            case (int)fuse_notify_code.FUSE_NOTIFY_INVAL_ENTRY when body.Length > sizeof(fuse_notify_inval_entry_out):
                fuse_notify_inval_entry_out entry = MemoryMarshal.Read<fuse_notify_inval_entry_out>(body);
                ReadOnlySpan<byte> name = body[sizeof(fuse_notify_inval_entry_out)..];
                if (entry.namelen is 0 or > 255 || name.Length != entry.namelen + 1 || name[..^1].ContainsAny((byte)0, (byte)'/') || name[^1] != 0)
                {
                    return false;
                }

                invalidation = Entry(entry.parent, name[..^1]);
                return true;

            default:
                return false;
        }
    }
}
