using Dpu.Linux;
using Dpu.Reconciler.Targets;
using Microsoft.Win32.SafeHandles;

namespace Dpu.Reconciler.TrafficControl;

/// <summary>The kernel's routing netlink, in the network namespace of the thread that opens it.</summary>
internal sealed unsafe class NetlinkSocket : INetlinkChannel
{
    // Answers to a batch: each is an echo of some KB and an acknowledgement.
    private const int ReceiveBuffer = 4 << 20;
    private static readonly TimeSpan _limit = TimeSpan.FromSeconds(10);
    private readonly SafeFileHandle _socket;

    private NetlinkSocket(SafeFileHandle socket) => _socket = socket;

    public string Name => "rtnetlink";

    /// <summary>Opens it.</summary>
    /// <exception cref="TargetException">The kernel has none for us.</exception>
    internal static NetlinkSocket Open()
    {
        int descriptor = LibC.Result(sys_socket.socket(sys_socket.AF_NETLINK, sys_socket.SOCK_RAW | sys_socket.SOCK_CLOEXEC, linux_rtnetlink.NETLINK_ROUTE));
        if (descriptor < 0)
        {
            throw new TargetException($"cannot open a routing netlink socket: {ErrnoText(-descriptor)}");
        }

        SafeFileHandle socket = new(descriptor, ownsHandle: true);
        int on = 1, room = ReceiveBuffer;
        timeval limit = new() { tv_sec = (nint)_limit.TotalSeconds };

        // SAFETY: all are values on this stack, with their sizes. Where the larger buffer is refused, batches are small enough for the usual one.
        _ = sys_socket.setsockopt(socket, sys_socket.SOL_NETLINK, linux_rtnetlink.NETLINK_EXT_ACK, &on, sizeof(int));
        _ = sys_socket.setsockopt(socket, sys_socket.SOL_NETLINK, linux_rtnetlink.NETLINK_CAP_ACK, &on, sizeof(int));
        _ = sys_socket.setsockopt(socket, sys_socket.SOL_SOCKET, sys_socket.SO_RCVBUFFORCE, &room, sizeof(int));
        _ = sys_socket.setsockopt(socket, sys_socket.SOL_SOCKET, sys_socket.SO_RCVTIMEO, &limit, (uint)sizeof(timeval));
        return new NetlinkSocket(socket);
    }

    /// <summary>For poll(2).</summary>
    internal SafeFileHandle Handle => _socket;

    /// <summary>Is told from now on of what these groups of subscribers are told.</summary>
    /// <exception cref="TargetException">The kernel refuses it.</exception>
    internal void Join(ReadOnlySpan<uint> groups)
    {
        sockaddr_nl address = new() { nl_family = sys_socket.AF_NETLINK };
        foreach (uint group in groups)
        {
            address.nl_groups |= 1u << (int)(group - 1);
        }

        // SAFETY: a struct on this stack, with its size. A socket without an address is passed over where the kernel itself tells of something.
        int bound = LibC.Result(sys_socket.bind(_socket, (byte*)&address, (uint)sizeof(sockaddr_nl)));
        if (bound < 0)
        {
            throw new TargetException($"cannot hear of changes through rtnetlink: {ErrnoText(-bound)}");
        }
    }

    /// <summary>Receives one datagram that is there; 0 where none is, negative where some were lost.</summary>
    internal int TryReceive(Span<byte> buffer)
    {
        fixed (byte* bytes = buffer)
        {
            // SAFETY: the buffer is pinned during the call.
            long received = LibC.Result(sys_socket.recv((int)_socket.DangerousGetHandle(), bytes, (nuint)buffer.Length, msg_flags.MSG_DONTWAIT));
            return received is -errno.EAGAIN or -errno.EINTR ? 0 : (int)received;
        }
    }

    public void Send(ReadOnlySpan<byte> messages)
    {
        fixed (byte* bytes = messages)
        {
            // SAFETY: the messages are pinned during the call. A netlink socket without an address sends to the kernel (netlink(7)).
            long sent = LibC.Result(sys_socket.send((int)_socket.DangerousGetHandle(), bytes, (nuint)messages.Length, 0));
            if (sent != messages.Length)
            {
                throw new TargetException($"cannot ask the kernel through rtnetlink: {(sent < 0 ? ErrnoText((int)-sent) : "the message was cut")}");
            }
        }
    }

    public int Receive(Span<byte> buffer)
    {
        fixed (byte* bytes = buffer)
        {
            while (true)
            {
                // SAFETY: the buffer is pinned during the call. MSG_TRUNC has the kernel say the whole length.
                long received = LibC.Result(sys_socket.recv((int)_socket.DangerousGetHandle(), bytes, (nuint)buffer.Length, msg_flags.MSG_TRUNC));
                switch (received)
                {
                    case -errno.EINTR:
                        continue;
                    case -errno.EAGAIN:
                        throw new TargetException($"the kernel did not answer through rtnetlink within {_limit.TotalSeconds:0} s; what was asked for may have happened all the same");
                    case -errno.ENOBUFS:
                        throw new TargetException("answers of the kernel through rtnetlink were lost, as they came faster than they were read; what was asked for may have happened all the same");
                    case < 0:
                        throw new TargetException($"cannot read the kernel's answer through rtnetlink: {ErrnoText((int)-received)}");
                }

                return received <= buffer.Length ? (int)received
                    : throw new TargetException($"an answer of the kernel through rtnetlink has {received} bytes, more than the {buffer.Length} that there is room for");
            }
        }
    }

    public void Dispose() => _socket.Dispose();

    internal static string ErrnoText(int number) => System.Runtime.InteropServices.Marshal.GetPInvokeErrorMessage(number);
}
