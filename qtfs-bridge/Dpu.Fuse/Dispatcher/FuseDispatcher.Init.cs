using System.Runtime.CompilerServices;
using Dpu.Fuse.Wire;
using Dpu.Linux;
using static Dpu.Fuse.Wire.FuseConstants;

namespace Dpu.Fuse;

// The connection's beginning and end: FUSE_INIT, FUSE_DESTROY.
public sealed unsafe partial class FuseDispatcher
{
    /// <summary>The part of fuse_init_in that every served version sends; the rest came with 7.36.</summary>
    private const int OldestInitSize = 16;

    /// <summary>Flags that the transport agrees to and answers for; set before the first request.</summary>
    internal ulong TransportFeatures { get; set; }

    private int Init(ref FuseRequest request, FuseReply reply)
    {
        if (request.Left < OldestInitSize || reply.Capacity < sizeof(fuse_init_out))
        {
            return -errno.EINVAL;
        }

        fuse_init_in offer = default;
        int size = Math.Min(request.Left, sizeof(fuse_init_in));

        // SAFETY: size is bounded by the message and by the struct.
        Unsafe.CopyBlockUnaligned(&offer, request.Position, (uint)size);
        if (offer.major > FUSE_KERNEL_VERSION)
        {
            // The kernel then comes again with our major version (linux/fuse.h, "Version negotiation").
            return reply.Put(new fuse_init_out { major = FUSE_KERNEL_VERSION, minor = FuseLimits.MinorVersion });
        }

        if (offer.major < FUSE_KERNEL_VERSION || offer.minor < FuseLimits.OldestMinorVersion)
        {
            return -errno.EPROTO;
        }

        ulong offered = OfferedFeatures(offer);
        fuse_init_out answer = Propose(offer, offered & _options.Features);
        int result = _fileSystem.Init(offer, ref answer);
        if (result < 0)
        {
            return result;
        }

        // A file system may only take away.
        ulong agreed = (answer.flags | ((ulong)answer.flags2 << 32)) & offered & _options.Features;
        if ((agreed & FUSE_NO_OPEN_SUPPORT) != 0)
        {
            // Truncation would come with an OPEN, which never comes: so it comes as a change of the size.
            agreed &= ~(ulong)FUSE_ATOMIC_O_TRUNC;
        }

        agreed |= offered & TransportFeatures;
        SetFeatures(ref answer, agreed);
        answer.major = FUSE_KERNEL_VERSION;
        answer.minor = Math.Min(answer.minor, Math.Min(offer.minor, FuseLimits.MinorVersion));
        answer.max_write = Math.Clamp(answer.max_write, 4096, _options.MaxWrite);
        Volatile.Write(ref _negotiation, new FuseNegotiation(answer.minor, agreed, answer.max_write));
        return reply.Put(answer);
    }

    private fuse_init_out Propose(in fuse_init_in offer, ulong features)
    {
        var answer = new fuse_init_out
        {
            major = FUSE_KERNEL_VERSION,
            minor = Math.Min(offer.minor, FuseLimits.MinorVersion),
            max_readahead = Math.Min(offer.max_readahead, _options.MaxWrite),
            max_background = _options.MaxBackground,
            congestion_threshold = (ushort)(_options.MaxBackground * 3 / 4),
            max_write = _options.MaxWrite,
            time_gran = 1,
            max_pages = (ushort)((_options.MaxWrite + _options.PeerPageSize - 1) / _options.PeerPageSize),
        };
        SetFeatures(ref answer, features);
        return answer;
    }

    /// <summary>The flags on offer; <c>flags2</c> means something only beside FUSE_INIT_EXT.</summary>
    private static ulong OfferedFeatures(in fuse_init_in offer) =>
        (offer.flags & FUSE_INIT_EXT) != 0 ? offer.flags | ((ulong)offer.flags2 << 32) : offer.flags;

    private static void SetFeatures(ref fuse_init_out answer, ulong features)
    {
        answer.flags = (uint)features;
        answer.flags2 = (features & FUSE_INIT_EXT) != 0 ? (uint)(features >> 32) : 0;
    }

    private int Destroy()
    {
        End();
        return 0;
    }
}
