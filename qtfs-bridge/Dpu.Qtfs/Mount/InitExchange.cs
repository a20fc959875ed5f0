using System.Runtime.CompilerServices;
using Dpu.Fuse;
using Dpu.Fuse.Wire;

namespace Dpu.Qtfs.Mount;

/// <summary>
/// FUSE_INIT is negotiated once, between the kernel and the host. When the host has lost the mount's state (it was
/// restarted, or its grace time passed), the same INIT is sent again, and its answer must still cover what the kernel
/// was told. Thread-safe.
/// </summary>
internal sealed unsafe class InitExchange
{
    private readonly Lock _lock = new();
    private byte[]? _request;
    private fuse_init_out _agreed;

    /// <summary>Set once kernel and host have agreed: from then on the mount answers.</summary>
    public ManualResetEventSlim Agreed { get; } = new();

    /// <summary>Checks the host's answer to the kernel's INIT, bounds it, and keeps both.</summary>
    public void Agree(byte* request, int length, byte* reply, ref int replyLength)
    {
        int bodyLength = replyLength - sizeof(fuse_out_header);
        if (bodyLength < sizeof(fuse_init_out))
        {
            // An error of the host, after which the kernel refuses every call; whoever mounts sees that nothing was agreed.
            return;
        }

        // SAFETY: the lengths have been compared with the structs' sizes.
        var body = (fuse_init_out*)(reply + sizeof(fuse_out_header));
        var asked = (fuse_init_in*)(request + sizeof(fuse_in_header));
        bool hasFlags2 = length >= sizeof(fuse_in_header) + sizeof(fuse_init_in);

        // The host is not trusted: only what the kernel offered, and sizes that our buffers hold.
        body->flags &= asked->flags;
        body->flags2 &= hasFlags2 ? asked->flags2 : 0;
        body->max_write = Math.Clamp(body->max_write, 4096, FuseLimits.MaxWrite);
        body->max_readahead = Math.Min(body->max_readahead, asked->max_readahead);
        lock (_lock)
        {
            _request = new ReadOnlySpan<byte>(request, length).ToArray();
            _agreed = *body;
        }

        Agreed.Set();
    }

    /// <summary>Gives the mount's INIT to a host that does not know it, before any other request on that connection.</summary>
    /// <exception cref="FuseChannelException">The host now offers less than the kernel relies on.</exception>
    /// <exception cref="IOException">The connection broke.</exception>
    public void Restore(LaneConnection connection)
    {
        lock (_lock)
        {
            if (_request is null || !connection.Link.Reply.Fs.NeedsInit)
            {
                return;
            }

            fixed (byte* request = _request)
            {
                // SAFETY: the request was a whole INIT of the kernel; the reply's length is checked before it is read.
                connection.Send(request, _request.Length);
                int length = connection.Receive(((fuse_in_header*)request)->unique, out byte* reply);
                if (length < sizeof(fuse_out_header) + sizeof(fuse_init_out))
                {
                    throw new FuseChannelException($"the host refused FUSE_INIT with error {((fuse_out_header*)reply)->error}");
                }

                ref fuse_init_out offer = ref Unsafe.AsRef<fuse_init_out>(reply + sizeof(fuse_out_header));
                if ((_agreed.flags & ~offer.flags) != 0 || (_agreed.flags2 & ~offer.flags2) != 0 || offer.max_write < _agreed.max_write)
                {
                    throw new FuseChannelException(
                        $"the host now offers flags {offer.flags:x}:{offer.flags2:x} and max_write {offer.max_write}, the mount relies on {_agreed.flags:x}:{_agreed.flags2:x} and {_agreed.max_write}; unmount and mount it again");
                }
            }
        }
    }
}
