using Dpu.Fuse.Wire;
using Dpu.Linux;

namespace Dpu.Qtfs.Mount.Coherence;

/// <summary>
/// Files that this mount has just made or emptied: they have no file capabilities, so that the kernel, which asks for them
/// before it writes to a file for the first time, need not hear that from the host. Each is told once, and only as long
/// as nobody has changed the file since, which the host's notifications say. Written by lanes without a lock.
/// </summary>
/// <remarks>
/// 1. A lane adds a file inside the <see cref="CacheGate"/>, where the reply still grants its attributes.
/// 2. The notification's thread removes it after <see cref="CacheGate.Record"/>, which has waited for the lanes inside; those
///    that come later see the record, and the reply grants nothing.
/// </remarks>
internal sealed unsafe class FreshFiles
{
    private readonly KnownIds _nodes = new();

    private static ReadOnlySpan<byte> CapabilityName => "security.capability\0"u8;

    /// <summary>A request was answered, and the reply has lost what must not be cached; call it inside the gate.</summary>
    public void Answered(byte* request, int length, byte* reply, int replyLength)
    {
        // SAFETY: both were compared with their lengths before they are touched.
        var header = (fuse_in_header*)request;
        if (header->opcode != (uint)fuse_opcode.FUSE_CREATE || ((fuse_out_header*)reply)->error != 0
            || length < sizeof(fuse_in_header) + sizeof(fuse_create_in) || replyLength < sizeof(fuse_out_header) + sizeof(fuse_entry_out))
        {
            return;
        }

        // A truncation takes capabilities away whoever does it (Linux: do_truncate, cap_inode_need_killpriv).
        uint flags = ((fuse_create_in*)(request + sizeof(fuse_in_header)))->flags;
        var entry = (fuse_entry_out*)(reply + sizeof(fuse_out_header));
        if ((flags & (fcntl.O_EXCL | fcntl.O_TRUNC)) != 0 && entry->attr_valid != 0)
        {
            _nodes.Add(entry->nodeid);
        }
    }

    /// <summary>A request is about to be sent; call it before.</summary>
    public void Sending(byte* request)
    {
        var header = (fuse_in_header*)request;
        if (header->opcode == (uint)fuse_opcode.FUSE_SETXATTR)
        {
            _nodes.Remove(header->nodeid);
        }
    }

    /// <summary>The host says that the node has changed.</summary>
    public void Changed(ulong node) => _nodes.Remove(node);

    /// <summary>Whether a request asks for the capabilities of such a file: then the answer is ENODATA, this once.</summary>
    public bool HasNoCapability(byte* request, int length)
    {
        var header = (fuse_in_header*)request;
        int name = sizeof(fuse_in_header) + sizeof(fuse_getxattr_in);
        if (header->opcode != (uint)fuse_opcode.FUSE_GETXATTR || !_nodes.Contains(header->nodeid)
            || length < name + CapabilityName.Length || !new ReadOnlySpan<byte>(request + name, CapabilityName.Length).SequenceEqual(CapabilityName))
        {
            return false;
        }

        _nodes.Remove(header->nodeid);
        return true;
    }
}
