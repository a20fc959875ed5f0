using System.Runtime.CompilerServices;
using Dpu.Fuse.Wire;
using Dpu.Linux;

namespace Dpu.Fuse.Ring;

/// <summary>
/// One request's place in a ring: memory into which the kernel puts a request, and from which it takes the answer. It
/// belongs to the kernel from its commit (or registration) until the next completion, and to the ring's thread between.
/// </summary>
/// <remarks>
/// The kernel splits a message into headers, first argument and payload. Here it is put together again without copying
/// the payload: what comes before it is written right in front of it. A request without a payload lies elsewhere, so
/// that its answer's data can be made in the payload while the request is still read.
/// </remarks>
public sealed unsafe class FuseRingSlot
{
    private const int PageSize = 4096;
    private const int RequestOffset = 1024;
    private const int VectorOffset = 512;

    // Large pages (64 KiB on some arm64 machines) round the payload up: the kernel wants max_pages whole pages.
    private const int MemorySize = PageSize + PayloadCapacity;

    private readonly byte* _memory;

    private FuseRingSlot(int index, int queue, byte* memory)
    {
        Index = index;
        Queue = queue;
        _memory = memory;
        var pieces = (iovec*)(memory + VectorOffset);
        pieces[0] = new iovec { iov_base = memory, iov_len = (nuint)sizeof(fuse_uring_req_header) };
        pieces[1] = new iovec { iov_base = Payload, iov_len = PayloadCapacity };
    }

    /// <summary>The most bytes of a request's or answer's payload.</summary>
    public const int PayloadCapacity = (int)FuseLimits.MaxWrite;

    /// <summary>The slot's number in its ring, from 0.</summary>
    public int Index { get; }

    /// <summary>The kernel's queue, which is a processor's number.</summary>
    public int Queue { get; }

    /// <summary>The request as /dev/fuse would give it: header, then body.</summary>
    public byte* Request { get; private set; }

    /// <summary>The request's size in bytes.</summary>
    public int RequestLength { get; private set; }

    /// <summary>The size in bytes of the part of the request that lies in <see cref="Payload"/>.</summary>
    public int RequestPayload { get; private set; }

    /// <summary>Where an answer's body is given to the kernel; <see cref="PayloadCapacity"/> bytes.</summary>
    public byte* Payload => _memory + PageSize;

    /// <summary>Where an answer can be made without copying its body: its header ends where the payload begins.</summary>
    public byte* Reply => Payload - sizeof(fuse_out_header);

    /// <summary>Whether <see cref="Reply"/> lies apart from the request, so that one may be written while the other is read.</summary>
    public bool ReplyIsApart => RequestPayload == 0;

    internal ulong CommitId { get; private set; }

    internal iovec* Pieces => (iovec*)(_memory + VectorOffset);

    private fuse_uring_req_header* Headers => (fuse_uring_req_header*)_memory;

    /// <summary>Null where there is no memory.</summary>
    internal static FuseRingSlot? TryCreate(int index, int queue)
    {
        // SAFETY: a new mapping, freed by Free. Pages that no request has used take no memory.
        void* memory = LibC.mmap(null, MemorySize, mman.PROT_READ | mman.PROT_WRITE, mman.MAP_PRIVATE | mman.MAP_ANONYMOUS, -1, 0);
        return (nint)memory == -1 ? null : new FuseRingSlot(index, queue, (byte*)memory);
    }

    /// <summary>Once the ring is closed.</summary>
    internal void Free() => _ = LibC.munmap(_memory, MemorySize);

    /// <summary>The kernel has put a request here; false where it is not as FUSE 7.42 says.</summary>
    internal bool TryTake()
    {
        fuse_uring_req_header* headers = Headers;
        var header = (fuse_in_header*)headers->in_out;
        uint payload = headers->ring_ent_in_out.payload_sz;
        CommitId = headers->ring_ent_in_out.commit_id;
        long argument = (long)header->len - sizeof(fuse_in_header) - payload;
        if (payload > PayloadCapacity || argument < 0 || argument > FuseUringConstants.FUSE_URING_OP_IN_OUT_SZ)
        {
            return false;
        }

        RequestPayload = (int)payload;
        RequestLength = (int)header->len;
        Request = payload == 0 ? _memory + RequestOffset : Payload - argument - sizeof(fuse_in_header);

        // SAFETY: both parts are bounded above, and fit between the headers and the payload.
        Unsafe.CopyBlock(Request, headers->in_out, (uint)sizeof(fuse_in_header));
        Unsafe.CopyBlock(Request + sizeof(fuse_in_header), headers->op_in, (uint)argument);
        return true;
    }

    /// <summary>Puts an answer where the kernel takes it from at the commit.</summary>
    /// <param name="reply">The answer with its header; <see cref="Reply"/>, or anywhere else.</param>
    /// <param name="length">Its size, at least that of the header and at most <see cref="PayloadCapacity"/> more.</param>
    internal void Put(byte* reply, int length)
    {
        fuse_uring_req_header* headers = Headers;
        int body = length - sizeof(fuse_out_header);

        // SAFETY: the caller vouches for the length; MemoryCopy allows overlap and nothing is copied where it lies already.
        *(fuse_out_header*)headers->in_out = *(fuse_out_header*)reply;
        if (reply != Reply)
        {
            Buffer.MemoryCopy(reply + sizeof(fuse_out_header), Payload, PayloadCapacity, body);
        }

        headers->ring_ent_in_out.payload_sz = (uint)body;
    }
}
