using System.Runtime.InteropServices;
using Dpu.Fuse;
using Dpu.Fuse.Wire;
using Dpu.Linux;
using static Dpu.Linux.LibC;

namespace Dpu.Qtfs.Mount.Processes;

/// <summary>
/// One lane's listing of a merged mount's top: the host's entries first, without the numbers that are the reader's own, then
/// those, each at a position that stays the same. Used by its lane's thread only; allocation-free after its making.
/// </summary>
/// <remarks>
/// The host is always asked for plain entries, and the kernel looks up what it needs: whose a number is depends on who
/// looks it up.
/// </remarks>
internal sealed unsafe class ProcessListing : IDisposable
{
    /// <summary>Positions of our own entries begin here: a host's are below it, or break the protocol.</summary>
    private const ulong FirstPosition = 1UL << 62;

    // The numbers, in ascending order as procfs lists them, are behind the two links.
    private const ulong FirstNumber = FirstPosition + 16;
    private const int ListSize = 32 * 1024;
    private const int NameOffset = 19;

    /// <summary>How many times longer an entry may be with a look-up than without: 160 bytes for a short name, instead of 32.</summary>
    private const uint Growth = 5;

    private readonly ProcessMerge _merge;
    private byte* _reply;
    private byte* _list;
    private bool _plus;
    private uint _size;

    public ProcessListing(ProcessMerge merge)
    {
        _merge = merge;

        // SAFETY: freed in Dispose, by the thread that runs the lane.
        _reply = (byte*)NativeMemory.AlignedAlloc((nuint)FuseLimits.MaxMessageSize, 4096);
        _list = (byte*)NativeMemory.AlignedAlloc(ListSize, 4096);
    }

    /// <summary>The lane's own room for replies, of <see cref="FuseLimits.MaxMessageSize"/> bytes.</summary>
    public byte* Reply => _reply;

    /// <summary>Whether a request lists the top.</summary>
    public static bool IsListing(byte* request, int length)
    {
        var header = (fuse_in_header*)request;
        return header->nodeid == FuseConstants.FUSE_ROOT_ID
            && (fuse_opcode)header->opcode is fuse_opcode.FUSE_READDIR or fuse_opcode.FUSE_READDIRPLUS
            && length >= sizeof(fuse_in_header) + sizeof(fuse_read_in);
    }

    /// <summary>Makes of a listing what the host is asked, or answers it where the position is behind the host's entries.</summary>
    /// <returns>The length of <see cref="Reply"/>; 0 where the host is to be asked.</returns>
    public int Begin(byte* request)
    {
        var header = (fuse_in_header*)request;
        var asked = (fuse_read_in*)(request + sizeof(fuse_in_header));
        _plus = (fuse_opcode)header->opcode == fuse_opcode.FUSE_READDIRPLUS;
        _size = (uint)Math.Min(asked->size, FuseLimits.MaxMessageSize - sizeof(fuse_out_header));
        if (asked->offset >= FirstPosition)
        {
            return AddOwn(request);
        }

        header->opcode = (uint)fuse_opcode.FUSE_READDIR;
        asked->size = _plus ? _size / Growth : _size;
        return 0;
    }

    /// <summary>Takes the host's answer to what <see cref="Begin"/> made.</summary>
    /// <param name="request">The request; goes on behind what was left out.</param>
    /// <param name="answer">The answer, whose framing has been checked.</param>
    /// <param name="length">Its length in bytes.</param>
    /// <returns>The length of <see cref="Reply"/>; 0 where the host is to be asked once more.</returns>
    /// <exception cref="FuseChannelException">It is no list.</exception>
    public int Take(byte* request, byte* answer, int length)
    {
        var header = (fuse_in_header*)request;
        var asked = (fuse_read_in*)(request + sizeof(fuse_in_header));
        if (((fuse_out_header*)answer)->error != 0)
        {
            *(fuse_out_header*)_reply = *(fuse_out_header*)answer;
            return sizeof(fuse_out_header);
        }

        byte* body = answer + sizeof(fuse_out_header);
        int left = length - sizeof(fuse_out_header);
        if (left > asked->size)
        {
            throw new FuseChannelException($"the host listed {left} bytes, asked were {asked->size} at most");
        }

        if (left == 0)
        {
            asked->offset = FirstPosition;
            return AddOwn(request);
        }

        FuseDirectoryWriter entries = Writer();
        while (left > 0)
        {
            var entry = (fuse_dirent*)body;
            long step = left < sizeof(fuse_dirent) ? 0 : (sizeof(fuse_dirent) + (long)entry->namelen + 7) & ~7;
            if (step == 0 || step > left || entry->namelen is 0 or > 255 || entry->off >= FirstPosition)
            {
                throw new FuseChannelException("the host's list of its processes is none");
            }

            var name = new ReadOnlySpan<byte>(body + sizeof(fuse_dirent), (int)entry->namelen);
            if (!IsOwn(name, header->pid) && !Add(ref entries, *entry, name))
            {
                break;
            }

            asked->offset = entry->off;
            body += step;
            left -= (int)step;
        }

        return entries.Written == 0 ? 0 : Finish(header, entries.Written);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        // SAFETY: allocated by the constructor; the lane's thread has ended.
        NativeMemory.AlignedFree(_reply);
        NativeMemory.AlignedFree(_list);
        _reply = null;
        _list = null;
    }

    // A host of another version may list what means its reader.
    private bool IsOwn(ReadOnlySpan<byte> name, uint caller) =>
        OwnNodes.TryNumber(name, out int number)
            ? _merge.Processes.IsOwn(number, caller)
            : OwnNodes.OfName(name) is OwnNodes.Self or OwnNodes.ThreadSelf or OwnNodes.Folder;

    private FuseDirectoryWriter Writer() => new(new Span<byte>(_reply + sizeof(fuse_out_header), (int)_size));

    private int AddOwn(byte* request)
    {
        var header = (fuse_in_header*)request;
        ulong from = ((fuse_read_in*)(request + sizeof(fuse_in_header)))->offset;
        FuseDirectoryWriter entries = Writer();
        _ = (from > FirstPosition || AddLink(ref entries, OwnNodes.Self, "self"u8, FirstPosition + 1))
            && (from > FirstPosition + 1 || AddLink(ref entries, OwnNodes.ThreadSelf, "thread-self"u8, FirstPosition + 2))
            && AddNumbers(ref entries, header->pid, from);
        return Finish(header, entries.Written);
    }

    private bool AddNumbers(ref FuseDirectoryWriter entries, uint caller, ulong from)
    {
        int list = _merge.Processes.OpenList();
        if (list < 0)
        {
            return false;
        }

        bool fits = true;
        while (fits && (int)Result(getdents64(list, _list, ListSize)) is > 0 and int size)
        {
            // SAFETY: the kernel filled the buffer with whole records, each ended by NUL within d_reclen.
            for (byte* record = _list; fits && record < _list + size; record += ((dirent64*)record)->d_reclen)
            {
                ReadOnlySpan<byte> name = MemoryMarshal.CreateReadOnlySpanFromNullTerminated(record + NameOffset);
                if (OwnNodes.TryNumber(name, out int number) && FirstNumber + (uint)number >= from && _merge.Processes.IsOwn(number, caller))
                {
                    fits = AddLink(ref entries, OwnNodes.OfProcess(number), name, FirstNumber + (uint)number + 1);
                }
            }
        }

        _ = close(list);
        return fits;
    }

    private bool AddLink(ref FuseDirectoryWriter entries, ulong node, ReadOnlySpan<byte> name, ulong position) =>
        Add(ref entries, new fuse_dirent { ino = OwnNodes.InodeOf(node), off = position, type = dirent.DT_LNK }, name);

    // Without a look-up where one could be: node 0.
    private bool Add(ref FuseDirectoryWriter entries, in fuse_dirent entry, ReadOnlySpan<byte> name) =>
        _plus ? entries.TryAdd(default, entry, name) : entries.TryAdd(entry, name);

    private int Finish(fuse_in_header* header, int size)
    {
        *(fuse_out_header*)_reply = new fuse_out_header { len = (uint)(sizeof(fuse_out_header) + size), unique = header->unique };
        return sizeof(fuse_out_header) + size;
    }
}
