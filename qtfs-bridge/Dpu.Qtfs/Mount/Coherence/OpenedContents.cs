using System.Runtime.InteropServices;
using Dpu.Fuse.Wire;
using Dpu.Linux;

namespace Dpu.Qtfs.Mount.Coherence;

/// <summary>
/// What is in small files that were opened to be read: the host sends it behind its answer to the opening
/// (<c>opened_content</c> of link.proto), so that the FUSE_READ that follows need not be asked. Each content is told once, and only as
/// long as nobody has changed the file since. A file whose content the kernel has had is not asked for again until it changes.
/// Thread-safe.
/// </summary>
/// <remarks>
/// - What others change the notifications say: as with <see cref="FreshFiles"/>, a lane adds and tells inside the
///   <see cref="CacheGate"/>, and the keeper removes after it has waited for the lanes inside.
/// - This mount's own changes are carried out between their sending and their answer. Both are counted, and both
///   remove: a content holds if nothing was counted between the sending of its FUSE_OPEN and its arrival, and nothing since.
///   So who has the answer to a change never reads what was before it.
/// - The kernel keeps a page locked while it writes a part of one that it does not have, and does not ask for one that it has.
/// </remarks>
internal sealed unsafe class OpenedContents : IDisposable
{
    // Powers of two. Who opens more files at once before any is read asks the host for some.
    private const int Places = 64;
    private const int Counters = 1024;
    private const int PlaceSize = ReplyTail.MostContent;

    private readonly Lock _lock = new();
    private readonly ulong[] _nodes = new ulong[Places];
    private readonly int[] _lengths = new int[Places];
    private readonly int[] _changes = new int[Counters];
    private readonly KnownIds _had = new();
    private byte* _contents;
    private long _told;

    /// <summary>How many reads were answered from here.</summary>
    public long Told => Interlocked.Read(ref _told);

    /// <summary>Asks for the content with a request to open a file, where that may pay; call it before the request is sent.</summary>
    public void Ask(byte* request, int length)
    {
        var header = (fuse_in_header*)request;
        if (header->opcode != (uint)fuse_opcode.FUSE_OPEN || length < sizeof(fuse_in_header) + sizeof(fuse_open_in))
        {
            return;
        }

        // SAFETY: the length was compared.
        var open = (fuse_open_in*)(request + sizeof(fuse_in_header));
        bool reads = (open->flags & (fcntl.O_ACCMODE | fcntl.O_TRUNC | fcntl.O_DIRECT)) == fcntl.O_RDONLY;
        open->open_flags &= ~ReplyTail.WantsContent;
        open->open_flags |= reads && KnownIds.CanHold(header->nodeid) && !_had.Contains(header->nodeid) ? ReplyTail.WantsContent : 0;
    }

    /// <summary>How often this mount has changed a file, or another one of the same counter; wraps around.</summary>
    public int ChangesOf(ulong node) => Volatile.Read(ref _changes[(uint)node % Counters]);

    /// <summary>A request is about to be sent, or was answered and the kernel does not know yet; call it at both.</summary>
    /// <param name="request">A whole request of the kernel.</param>
    /// <param name="length">Its length in bytes.</param>
    public void Passes(byte* request, int length)
    {
        // SAFETY: the kernel writes whole messages only; the lengths are checked all the same.
        var header = (fuse_in_header*)request;
        byte* body = request + sizeof(fuse_in_header);
        switch ((fuse_opcode)header->opcode)
        {
            case fuse_opcode.FUSE_LOOKUP or fuse_opcode.FUSE_FORGET or fuse_opcode.FUSE_BATCH_FORGET or fuse_opcode.FUSE_GETATTR or fuse_opcode.FUSE_STATX
                or fuse_opcode.FUSE_READLINK or fuse_opcode.FUSE_OPENDIR or fuse_opcode.FUSE_READDIR or fuse_opcode.FUSE_READDIRPLUS or fuse_opcode.FUSE_RELEASEDIR
                or fuse_opcode.FUSE_RELEASE or fuse_opcode.FUSE_FLUSH or fuse_opcode.FUSE_FSYNC or fuse_opcode.FUSE_GETXATTR or fuse_opcode.FUSE_LISTXATTR
                or fuse_opcode.FUSE_GETLK or fuse_opcode.FUSE_SETLK or fuse_opcode.FUSE_SETLKW or fuse_opcode.FUSE_LSEEK or fuse_opcode.FUSE_STATFS:
                return;

            case fuse_opcode.FUSE_READ:
                _had.Add(header->nodeid);
                return;

            case fuse_opcode.FUSE_OPEN when length >= sizeof(fuse_in_header) + sizeof(fuse_open_in) && (((fuse_open_in*)body)->flags & fcntl.O_TRUNC) == 0:
                return;

            case fuse_opcode.FUSE_COPY_FILE_RANGE when length >= sizeof(fuse_in_header) + sizeof(fuse_copy_file_range_in):
                Count(((fuse_copy_file_range_in*)body)->nodeid_out);
                return;
        }

        Count(header->nodeid);
    }

    /// <summary>A request was answered, and the kernel does not know yet.</summary>
    /// <param name="request">A whole request of the kernel.</param>
    /// <param name="length">Its length in bytes.</param>
    /// <param name="reply">The host's answer.</param>
    /// <param name="replyLength">Its length in bytes.</param>
    public void Answered(byte* request, int length, byte* reply, int replyLength)
    {
        Passes(request, length);
        if (((fuse_in_header*)request)->opcode == (uint)fuse_opcode.FUSE_CREATE && ((fuse_out_header*)reply)->error == 0
            && replyLength >= sizeof(fuse_out_header) + sizeof(fuse_entry_out))
        {
            // It may have emptied a file that was there; which one, only the answer says.
            Count(((fuse_entry_out*)(reply + sizeof(fuse_out_header)))->nodeid);
        }
    }

    /// <summary>Remembers a content; call it inside the gate.</summary>
    /// <param name="node">The file's node.</param>
    /// <param name="changes"><see cref="ChangesOf"/> before the request was sent that this was answered to.</param>
    /// <param name="content">All that is in it, at most <see cref="ReplyTail.MostContent"/> bytes.</param>
    public void Add(ulong node, int changes, ReadOnlySpan<byte> content)
    {
        int place = Place(node);
        lock (_lock)
        {
            if (_contents == null)
            {
                // SAFETY: freed in Dispose, when no lane is left. The kernel gives the pages that are used.
                _contents = (byte*)NativeMemory.AlignedAlloc(Places * PlaceSize, 4096);
            }

            _lengths[place] = content.Length;
            content.CopyTo(new Span<byte>(_contents + (place * PlaceSize), PlaceSize));

            // Either this sees the other's count, or the other sees the node.
            Interlocked.Exchange(ref _nodes[place], node);
            if (ChangesOf(node) != changes)
            {
                _nodes[place] = 0;
            }
        }

        _had.Add(node);
    }

    /// <summary>Somebody else has changed the node: what is known of it holds no longer, and the kernel has lost it too.</summary>
    public void Changed(ulong node)
    {
        _had.Remove(node);
        Forget(node);
    }

    /// <summary>Whether a request reads a file from its beginning of which there may be a content here.</summary>
    public bool MayAnswer(byte* request, int length)
    {
        var header = (fuse_in_header*)request;
        return header->opcode == (uint)fuse_opcode.FUSE_READ && length >= sizeof(fuse_in_header) + sizeof(fuse_read_in)
            && Volatile.Read(ref _nodes[Place(header->nodeid)]) == header->nodeid && ((fuse_read_in*)(request + sizeof(fuse_in_header)))->offset == 0;
    }

    /// <summary>Tells a file's content, this once; call it inside the gate.</summary>
    /// <param name="node">The file's node.</param>
    /// <param name="size">How many bytes are asked for.</param>
    /// <param name="destination">Room for <see cref="ReplyTail.MostContent"/> bytes.</param>
    /// <returns>How many bytes the file has; 0 where it is not known, or more than was asked for.</returns>
    public int Take(ulong node, uint size, byte* destination)
    {
        int place = Place(node);
        lock (_lock)
        {
            if (_nodes[place] != node || _lengths[place] > size)
            {
                return 0;
            }

            _nodes[place] = 0;
            Buffer.MemoryCopy(_contents + (place * PlaceSize), destination, PlaceSize, _lengths[place]);
            Interlocked.Increment(ref _told);
            return _lengths[place];
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        // SAFETY: allocated by Add; nulled so that a second call is harmless.
        NativeMemory.AlignedFree(_contents);
        _contents = null;
    }

    private static int Place(ulong node) => (int)((uint)node % Places);

    private void Count(ulong node)
    {
        Interlocked.Increment(ref _changes[(uint)node % Counters]);
        Forget(node);
    }

    private void Forget(ulong node)
    {
        int place = Place(node);
        if (Volatile.Read(ref _nodes[place]) == node)
        {
            lock (_lock)
            {
                _nodes[place] = _nodes[place] == node ? 0 : _nodes[place];
            }
        }
    }
}
