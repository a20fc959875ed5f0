using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Dpu.Fuse;
using Dpu.Fuse.Wire;
using Dpu.Linux;

namespace Dpu.Qtfs.Mount;

/// <summary>
/// FUSE_INIT is negotiated once, between the kernel and the host. When the host has lost the mount's state (it was
/// restarted, or its grace time passed), the same INIT is sent again, and its answer must still cover what the kernel
/// was told. Thread-safe.
/// </summary>
internal sealed unsafe class InitExchange
{
    /// <summary>How long a host may take for one step of having the mount again.</summary>
    public static readonly TimeSpan RestoreLimit = TimeSpan.FromSeconds(10);

    private readonly Lock _lock = new();
    private byte[]? _request;
    private fuse_init_out _agreed;

    /// <summary>Set once the host has answered the kernel's INIT: from then on the mount answers, unless there is a <see cref="Refusal"/>.</summary>
    public ManualResetEventSlim Answered { get; } = new();

    /// <summary>Why there is no agreement, and so no mount; null where kernel and host agree.</summary>
    public string? Refusal { get; private set; }

    /// <summary>Whether the lock flags may be agreed on; set before the first request.</summary>
    public bool AllowLocks { get; set; }

    /// <summary>Whether it may be agreed on that files are used without being opened; set before the first request.</summary>
    public bool AllowZeroMessageOpen { get; set; }

    /// <summary>Whether directories are always listed with the attributes of what is in them; set before the first request.</summary>
    public bool ListAttributes { get; set; }

    /// <summary>Whether rings are ready for the kernel; set before the first request.</summary>
    public bool AllowRings { get; set; }

    /// <summary>Whether the kernel was told that requests come by rings.</summary>
    public bool HasRings { get; private set; }

    /// <summary>What was agreed on; 0 before.</summary>
    public ulong Features
    {
        get
        {
            lock (_lock)
            {
                return _agreed.flags | ((ulong)_agreed.flags2 << 32);
            }
        }
    }

    /// <summary>The kernel's request and what was agreed on, for a runtime that takes the place of this one.</summary>
    public (byte[] Request, byte[] Agreed) Saved
    {
        get
        {
            lock (_lock)
            {
                return (_request ?? [], MemoryMarshal.AsBytes(new ReadOnlySpan<fuse_init_out>(in _agreed)).ToArray());
            }
        }
    }

    /// <summary>Goes on with what an earlier runtime has agreed on.</summary>
    /// <exception cref="IOException">It is none.</exception>
    public void Resume(byte[] request, byte[] agreed)
    {
        if (request.Length < sizeof(fuse_in_header) || agreed.Length != sizeof(fuse_init_out))
        {
            throw new IOException("kernel and host had not agreed yet");
        }

        lock (_lock)
        {
            _request = request;
            _agreed = MemoryMarshal.Read<fuse_init_out>(agreed);
        }

        Answered.Set();
    }

    /// <summary>Checks the host's answer to the kernel's INIT, bounds it, and keeps both. An answer that is none becomes EPROTO.</summary>
    public void Agree(byte* request, int length, byte* reply, ref int replyLength)
    {
        // SAFETY: the reply has a whole header; its body is read only where FindRefusal has found it to be whole.
        var header = (fuse_out_header*)reply;
        var body = (fuse_init_out*)(reply + sizeof(fuse_out_header));
        var asked = (fuse_init_in*)(request + sizeof(fuse_in_header));
        Refusal = FindRefusal(header, body, replyLength);
        if (Refusal is not null)
        {
            header->error = header->error == 0 ? -errno.EPROTO : header->error;
            header->len = (uint)sizeof(fuse_out_header);
            replyLength = sizeof(fuse_out_header);
            Answered.Set();
            return;
        }

        // The host is not trusted: only what the kernel offered, and sizes that our buffers hold.
        bool hasFlags2 = length >= sizeof(fuse_in_header) + sizeof(fuse_init_in);
        body->minor = Math.Min(body->minor, asked->minor);
        body->flags &= asked->flags & ~(AllowLocks ? 0 : (uint)FuseFeatures.Locks) & ~(AllowZeroMessageOpen ? 0 : FuseConstants.FUSE_NO_OPEN_SUPPORT);

        // Else the kernel lists most of a directory without, and looks at each file on its own.
        body->flags &= ~(ListAttributes ? FuseConstants.FUSE_READDIRPLUS_AUTO : 0);

        // Rings are between the kernel and us: a host that could ask for them would stop the mount, which waits for them.
        const uint Rings = (uint)(FuseUringConstants.FUSE_OVER_IO_URING >> 32);
        body->flags2 &= (hasFlags2 ? asked->flags2 : 0) & ~Rings;
        body->max_write = Math.Clamp(body->max_write, 4096, FuseLimits.MaxWrite);
        body->max_readahead = Math.Min(body->max_readahead, asked->max_readahead);
        lock (_lock)
        {
            _request = new ReadOnlySpan<byte>(request, length).ToArray();
            _agreed = *body;
        }

        if (AllowRings && hasFlags2 && (asked->flags2 & Rings) != 0 && (body->flags & FuseConstants.FUSE_INIT_EXT) != 0)
        {
            body->flags2 |= Rings;
            HasRings = true;
        }

        Answered.Set();
    }

    private static string? FindRefusal(fuse_out_header* header, fuse_init_out* body, int replyLength)
    {
        if (header->error != 0)
        {
            return $"it answered FUSE_INIT with errno {-header->error}";
        }

        if (replyLength < sizeof(fuse_out_header) + sizeof(fuse_init_out))
        {
            return $"its answer to FUSE_INIT has {replyLength} bytes, {sizeof(fuse_out_header) + sizeof(fuse_init_out)} are needed";
        }

        return body->major != FuseConstants.FUSE_KERNEL_VERSION || body->minor < FuseLimits.OldestMinorVersion
            ? $"it speaks FUSE {body->major}.{body->minor}; {FuseConstants.FUSE_KERNEL_VERSION}.{FuseLimits.OldestMinorVersion} is the oldest that is understood here"
            : null;
    }

    /// <summary>Gives the mount's INIT to a host that does not know it, before any other request on that connection.</summary>
    /// <exception cref="FuseChannelException">The host now offers less than the kernel relies on.</exception>
    /// <exception cref="IOException">The connection broke.</exception>
    public void Restore(LaneConnection connection)
    {
        if (!connection.Link.Reply.Fs.NeedsInit)
        {
            return;
        }

        byte[]? sent;
        fuse_init_out agreed;
        lock (_lock)
        {
            sent = _request;
            agreed = _agreed;
        }

        if (sent is null)
        {
            return;
        }

        // Not under the lock, and not for ever: the callers of every lane wait behind this.
        connection.Link.SetTimeouts(RestoreLimit, RestoreLimit);
        fixed (byte* request = sent)
        {
            // SAFETY: the request was a whole INIT of the kernel; the reply's length is checked before it is read.
            connection.Send(request, sent.Length);
            int length = connection.Receive(((fuse_in_header*)request)->unique, out byte* reply);
            ref fuse_init_out offer = ref Unsafe.AsRef<fuse_init_out>(reply + sizeof(fuse_out_header));
            if (FindRefusal((fuse_out_header*)reply, (fuse_init_out*)(reply + sizeof(fuse_out_header)), length) is { } refusal)
            {
                throw new FuseChannelException($"the host does not take this mount's FUSE_INIT again: {refusal}");
            }

            if ((agreed.flags & ~offer.flags) != 0 || (agreed.flags2 & ~offer.flags2) != 0 || offer.max_write < agreed.max_write)
            {
                throw new FuseChannelException(
                    $"the host now offers flags {offer.flags:x}:{offer.flags2:x} and max_write {offer.max_write}, the mount relies on {agreed.flags:x}:{agreed.flags2:x} and {agreed.max_write}; unmount and mount it again");
            }
        }

        connection.Link.SetTimeouts(TimeSpan.Zero, TimeSpan.Zero);
    }
}
