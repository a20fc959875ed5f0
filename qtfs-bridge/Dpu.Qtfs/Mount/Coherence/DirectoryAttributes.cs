using Dpu.Fuse.Wire;

namespace Dpu.Qtfs.Mount.Coherence;

/// <summary>
/// Attributes of directories that this mount has just changed. The kernel forgets them with each change and asks for them
/// before the next one; the host has sent them behind the answer to the change (<c>directory_attributes</c> of link.proto), so
/// that it need not be asked. Each is told once, and only as long as nobody has changed the directory since. Thread-safe.
/// </summary>
/// <remarks>
/// Changes of one directory follow each other in this machine's kernel, which keeps it locked until it has the answer. What
/// others change the notifications say: as with <see cref="FreshFiles"/>, a lane adds and tells inside the <see cref="CacheGate"/>,
/// and the keeper removes after it has waited for the lanes inside.
/// </remarks>
internal sealed unsafe class DirectoryAttributes
{
    // A power of two. Who changes more directories at once asks the host for some.
    private const int Places = 256;

    private readonly Lock _lock = new();
    private readonly ulong[] _nodes = new ulong[Places];
    private readonly fuse_attr_out[] _attributes = new fuse_attr_out[Places];

    /// <summary>A request is about to be sent; call it before.</summary>
    public void Sending(byte* request, int length)
    {
        var header = (fuse_in_header*)request;
        switch ((fuse_opcode)header->opcode)
        {
            case fuse_opcode.FUSE_LOOKUP or fuse_opcode.FUSE_FORGET or fuse_opcode.FUSE_BATCH_FORGET or fuse_opcode.FUSE_OPENDIR or fuse_opcode.FUSE_RELEASEDIR
                or fuse_opcode.FUSE_GETATTR or fuse_opcode.FUSE_STATX or fuse_opcode.FUSE_GETXATTR or fuse_opcode.FUSE_LISTXATTR:
                return;

            case fuse_opcode.FUSE_RENAME or fuse_opcode.FUSE_RENAME2 when length >= sizeof(fuse_in_header) + sizeof(fuse_rename_in):
                Changed(((fuse_rename_in*)(request + sizeof(fuse_in_header)))->newdir);
                break;
        }

        Changed(header->nodeid);
    }

    /// <summary>Remembers; call it inside the gate.</summary>
    public void Add(ulong node, in fuse_attr_out attributes)
    {
        uint place = Place(node);
        lock (_lock)
        {
            _nodes[place] = node;
            _attributes[place] = attributes;
        }
    }

    /// <summary>What is remembered of a directory holds no longer.</summary>
    public void Changed(ulong node)
    {
        uint place = Place(node);
        if (Volatile.Read(ref _nodes[place]) == node)
        {
            lock (_lock)
            {
                _nodes[place] = _nodes[place] == node ? 0 : _nodes[place];
            }
        }
    }

    /// <summary>Tells the attributes of a directory, this once; call it inside the gate.</summary>
    public bool TryTake(ulong node, out fuse_attr_out attributes)
    {
        attributes = default;
        uint place = Place(node);
        if (Volatile.Read(ref _nodes[place]) != node)
        {
            return false;
        }

        lock (_lock)
        {
            bool known = _nodes[place] == node;
            if (known)
            {
                attributes = _attributes[place];
                _nodes[place] = 0;
            }

            return known;
        }
    }

    // By the index: generations differ in the upper half.
    private static uint Place(ulong node) => (uint)node % Places;
}
