using System.Runtime.CompilerServices;
using Dpu.Fuse.Wire;
using Dpu.Linux;

namespace Dpu.Fuse;

/// <summary>One request while it is decoded: a cursor over its arguments that never leaves them.</summary>
internal unsafe ref struct FuseRequest
{
    private byte* _next;
    private int _left;

    /// <param name="header">The header, read once.</param>
    /// <param name="body">The arguments.</param>
    /// <param name="bodySize">Their size in bytes, without extensions.</param>
    /// <param name="groups">The groups of FUSE_EXT_GROUPS.</param>
    /// <param name="late">Where later answers go.</param>
    internal FuseRequest(in fuse_in_header header, byte* body, int bodySize, ReadOnlySpan<uint> groups, IFuseLateReplies? late)
    {
        Opcode = (fuse_opcode)header.opcode;
        Node = header.nodeid;
        Caller = new FuseCaller { Unique = header.unique, Uid = header.uid, Gid = header.gid, Pid = header.pid, SupplementaryGroups = groups, Late = late };
        _next = body;
        _left = bodySize;
    }

    internal fuse_opcode Opcode { get; }

    internal ulong Node { get; }

    internal FuseCaller Caller { get; }

    /// <summary>How many bytes of arguments are left.</summary>
    internal readonly int Left => _left;

    /// <summary>Takes a struct; false where the message ends before it does.</summary>
    internal bool TryTake<T>(out T value) where T : unmanaged
    {
        if (_left < sizeof(T))
        {
            value = default;
            return false;
        }

        // SAFETY: the size has been compared with what is left; the address need not be aligned.
        value = Unsafe.ReadUnaligned<T>(_next);
        Advance(sizeof(T));
        return true;
    }

    /// <summary>Takes <paramref name="size"/> bytes; false where there are fewer.</summary>
    internal bool TryTake(uint size, out ReadOnlySpan<byte> bytes)
    {
        if (size > (uint)_left)
        {
            bytes = default;
            return false;
        }

        // SAFETY: the size has been compared with what is left.
        bytes = new ReadOnlySpan<byte>(_next, (int)size);
        Advance((int)size);
        return true;
    }

    /// <summary>Takes a directory entry's name; 0 or a negated errno.</summary>
    internal int TakeName(out ReadOnlySpan<byte> name) => TryTakeString(out name) ? FuseNames.CheckComponent(name) : -errno.EINVAL;

    /// <summary>Takes an extended attribute's name; 0 or a negated errno.</summary>
    internal int TakeXAttrName(out ReadOnlySpan<byte> name) => TryTakeString(out name) ? FuseNames.CheckXAttr(name) : -errno.EINVAL;

    /// <summary>Takes a symbolic link's target; 0 or a negated errno.</summary>
    internal int TakeLinkTarget(out ReadOnlySpan<byte> target) => TryTakeString(out target) ? FuseNames.CheckLinkTarget(target) : -errno.EINVAL;

    /// <summary>Where the arguments that are left begin; valid for <see cref="Left"/> bytes.</summary>
    internal readonly byte* Position => _next;

    private bool TryTakeString(out ReadOnlySpan<byte> text)
    {
        // SAFETY: the cursor never leaves the message.
        var rest = new ReadOnlySpan<byte>(_next, _left);
        int end = rest.IndexOf((byte)0);
        if (end < 0)
        {
            text = default;
            return false;
        }

        text = rest[..end];
        Advance(end + 1);
        return true;
    }

    private void Advance(int size)
    {
        _next += size;
        _left -= size;
    }
}
