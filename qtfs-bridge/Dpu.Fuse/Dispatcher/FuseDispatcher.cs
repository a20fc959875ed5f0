using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Dpu.Fuse.Wire;
using Dpu.Linux;

namespace Dpu.Fuse;

/// <summary>
/// Decodes FUSE requests, calls a <see cref="FuseFileSystem"/>, and encodes its replies. One dispatcher serves one FUSE
/// connection, whatever carries it. Thread-safe; allocates nothing for a request other than FUSE_INIT.
/// </summary>
/// <remarks>
/// The sender is not trusted: every length, name and count is checked before use (fuse(4), <c>linux/fuse.h</c>). A
/// malformed body is answered with EINVAL; only a message whose header cannot be believed ends the connection.
/// </remarks>
public sealed unsafe partial class FuseDispatcher
{
    /// <summary>What <see cref="Dispatch"/> returns for a message after which its connection must end.</summary>
    public const int Violation = -1;

    /// <summary>The kernel refuses a reply with a larger error (<c>fuse_dev_do_write</c>), and its caller would hang.</summary>
    private const int LargestError = 511;

    private readonly FuseFileSystem _fileSystem;
    private readonly FuseDispatcherOptions _options;
    private readonly Architecture _peer;
    private readonly Architecture _own = RuntimeInformation.ProcessArchitecture;
    private FuseNegotiation? _negotiation;

    /// <summary>Makes a dispatcher for one connection.</summary>
    /// <exception cref="ArgumentException">An option is out of its range.</exception>
    public FuseDispatcher(FuseFileSystem fileSystem, FuseDispatcherOptions options)
    {
        ArgumentNullException.ThrowIfNull(fileSystem);
        ArgumentNullException.ThrowIfNull(options);
        if (options.MaxWrite is < 4096 or > FuseLimits.MaxWrite || options.MaxWrite % 4096 != 0)
        {
            throw new ArgumentException($"MaxWrite is {options.MaxWrite}; it must be a multiple of 4096 up to {FuseLimits.MaxWrite}.", nameof(options));
        }

        if ((options.Features & ~FuseFeatures.Known) != 0)
        {
            throw new ArgumentException($"Features {options.Features & ~FuseFeatures.Known:x} are not known to the dispatcher.", nameof(options));
        }

        if (!FuseOpenFlags.IsKnown(options.PeerArchitecture) || options.PeerPageSize is not (4096 or 16384 or 65536))
        {
            throw new ArgumentException($"A peer with {options.PeerArchitecture} and pages of {options.PeerPageSize} bytes is not supported.", nameof(options));
        }

        _fileSystem = fileSystem;
        _options = options;
        _peer = options.PeerArchitecture;
        _negotiation = options.Resume;
    }

    /// <summary>What was done so far.</summary>
    public FuseCounters Counters { get; } = new();

    /// <summary>The features that it asks for at most.</summary>
    public ulong Features => _options.Features;

    /// <summary>What FUSE_INIT agreed on; null before it and after FUSE_DESTROY.</summary>
    public FuseNegotiation? Negotiation => Volatile.Read(ref _negotiation);

    /// <summary>Serves one message.</summary>
    /// <param name="request">The message; it must not change during the call.</param>
    /// <param name="requestLength">Its size in bytes.</param>
    /// <param name="reply">Where the reply goes; must not overlap the request.</param>
    /// <param name="replyCapacity">How many bytes fit there.</param>
    /// <param name="late">Takes the answer of a request that must wait; without it such a request is answered with EAGAIN.</param>
    /// <returns>
    /// The reply's size in bytes with its header; 0 where the request has none (FORGET, BATCH_FORGET, INTERRUPT,
    /// NOTIFY_REPLY), or where it comes later by <paramref name="late"/>; <see cref="Violation"/> where the message is shorter than its header, or says another length than it
    /// has, or the buffers cannot hold any reply.
    /// </returns>
    public int Dispatch(byte* request, int requestLength, byte* reply, int replyCapacity, IFuseLateReplies? late = null)
    {
        if (requestLength < sizeof(fuse_in_header))
        {
            Counters.CountViolation();
            return Violation;
        }

        // SAFETY: the caller vouches for requestLength bytes, which hold a header; it is read once.
        fuse_in_header header = Unsafe.ReadUnaligned<fuse_in_header>(request);
        bool answered = HasReply((fuse_opcode)header.opcode);
        if (header.len != (uint)requestLength || (answered && (replyCapacity < sizeof(fuse_out_header) || Overlap(request, requestLength, reply, replyCapacity))))
        {
            Counters.CountViolation();
            return Violation;
        }

        int result = Guard(header, request, requestLength, answered ? reply + sizeof(fuse_out_header) : null, answered ? replyCapacity - sizeof(fuse_out_header) : 0, late);
        bool pending = result == FuseFileSystem.Pending;
        Counters.Count(header.opcode, result < 0 && !pending);
        if (!answered || pending)
        {
            return 0;
        }

        var replyHeader = new fuse_out_header
        {
            len = (uint)(sizeof(fuse_out_header) + Math.Max(result, 0)),
            error = Math.Min(result, 0),
            unique = header.unique,
        };

        // SAFETY: the capacity was compared with the header's size above.
        Unsafe.WriteUnaligned(reply, replyHeader);
        return (int)replyHeader.len;
    }

    /// <summary>
    /// The connection is gone (unmounted, or its link's state is dropped): lets the file system free what it held. To be
    /// called when no thread dispatches any more; does nothing where FUSE_DESTROY came before.
    /// </summary>
    public void End()
    {
        if (Interlocked.Exchange(ref _negotiation, null) is not null)
        {
            _fileSystem.Destroy();
        }
    }

    /// <summary>Keeps the file system's mistakes from the wire and from the thread; returns the payload's size or a negated errno.</summary>
    [SuppressMessage("Design", "CA1031", Justification = "Any exception here is a bug of the file system, which must not end the other requests.")]
    private int Guard(in fuse_in_header header, byte* message, int length, byte* payload, int capacity, IFuseLateReplies? late)
    {
        try
        {
            int result = Decode(header, message, length, new FuseReply(payload, capacity), late);
            if ((result <= capacity && result >= -LargestError) || (result == FuseFileSystem.Pending && late is not null))
            {
                return result;
            }

            Counters.CountBug();
            return -errno.EIO;
        }
        catch (Exception bug)
        {
            Report(header, bug);
            return -errno.EIO;
        }
    }

    [SkipLocalsInit]
    private int Decode(in fuse_in_header header, byte* message, int length, FuseReply reply, IFuseLateReplies? late)
    {
        int extensionSize = header.total_extlen * 8;
        int bodySize = length - sizeof(fuse_in_header) - extensionSize;
        if (bodySize < 0)
        {
            return -errno.EINVAL;
        }

        byte* body = message + sizeof(fuse_in_header);
        Span<uint> groups = stackalloc uint[FuseLimits.MaxSupplementaryGroups];
        int groupCount = 0;

        // SAFETY: body, then extensions, end where the message does: bodySize is not negative.
        if (extensionSize != 0 && !FuseExtensions.TryReadGroups(new ReadOnlySpan<byte>(body + bodySize, extensionSize), groups, out groupCount))
        {
            return -errno.EINVAL;
        }

        var request = new FuseRequest(header, body, bodySize, groups[..groupCount], late);
        if (request.Opcode == fuse_opcode.FUSE_INIT)
        {
            return Init(ref request, reply);
        }

        if (Volatile.Read(ref _negotiation) is not { } negotiation)
        {
            return -errno.EIO;
        }

        return FixedReplySize(request.Opcode) > reply.Capacity ? -errno.EINVAL : Call(ref request, reply, negotiation);
    }

    private static bool HasReply(fuse_opcode opcode) =>
        opcode is not (fuse_opcode.FUSE_FORGET or fuse_opcode.FUSE_BATCH_FORGET or fuse_opcode.FUSE_INTERRUPT or fuse_opcode.FUSE_NOTIFY_REPLY);

    private static bool Overlap(byte* request, int requestLength, byte* reply, int replyCapacity) =>
        reply < request + requestLength && request < reply + replyCapacity;

    [MethodImpl(MethodImplOptions.NoInlining)]
    [SuppressMessage("Design", "CA1031", Justification = "A callback's failure must not cost the requester its answer.")]
    private void Report(in fuse_in_header header, Exception bug)
    {
        Counters.CountBug();
        try
        {
            _options.OnBug?.Invoke((fuse_opcode)header.opcode, header.unique, bug);
        }
        catch (Exception)
        {
            // Documented: exceptions of the callback are dropped; the bug itself has been counted.
        }
    }
}
