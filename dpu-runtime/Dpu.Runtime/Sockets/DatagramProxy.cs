using System.Runtime.InteropServices;
using Dpu.Linux;
using Dpu.Qtfs.Mount.Sockets;
using Microsoft.Win32.SafeHandles;

namespace Dpu.Runtime.Sockets;

/// <summary>
/// A datagram socket of a host, and this machine's own on its inode: each sender has a connection of its own to the host, as it has a
/// user, and perhaps an address that the host's program answers to. A thread of its own waits where the host takes no more, and holds up
/// the senders, as the socket itself would.
/// </summary>
internal sealed unsafe class DatagramProxy : ISocketRelay
{
    private const int MaxSenders = 64;
    private const int MessageSize = 4 << 20;
    private const int AddressSize = 110;
    private const int WaitMilliseconds = 1000;
    private const int ControlSize = 1280;
    private static readonly TimeSpan CloseLimit = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan IdleLimit = TimeSpan.FromSeconds(60);

    private readonly SocketRelays _owner;
    private readonly RemoteSocket _socket;
    private readonly SafeFileHandle _bound;
    private readonly RelaySet _relays = new();
    private readonly Dictionary<(uint Uid, uint Gid, string Address), Sender> _senders = [];
    private readonly ManualResetEventSlim _closed = new();
    private volatile bool _stopping;
    private volatile bool _refused;

    public DatagramProxy(SocketRelays owner, RemoteSocket socket, SafeFileHandle bound)
    {
        (_owner, _socket, _bound) = (owner, socket, bound);
        int one = 1;

        // SAFETY: an int on the stack, with its own size.
        if (sys_socket.setsockopt(bound, sys_socket.SOL_SOCKET, sys_socket.SO_PASSCRED, &one, sizeof(int)) < 0)
        {
            throw new IOException($"SO_PASSCRED: {Marshal.GetPInvokeErrorMessage(Marshal.GetLastPInvokeError())}");
        }

        new Thread(Run, 256 * 1024) { IsBackground = true, Name = "datagrams" }.Start();
    }

    public void StopListening()
    {
        _stopping = true;
        try
        {
            _ = sys_socket.shutdown(_bound, sys_socket.SHUT_RDWR);
        }
        catch (ObjectDisposedException)
        {
            // Expected: it has ended by itself, as the host refused.
            return;
        }

        // Shut down it gives EPIPE, closed ECONNREFUSED: who sends when this has returned is to get the latter.
        _ = _closed.Wait(CloseLimit);
    }

    public void BreakOff()
    {
        StopListening();
        _relays.BreakOff();
    }

    private void Run()
    {
        // SAFETY: freed by this thread, which alone uses it.
        byte* buffer = (byte*)NativeMemory.Alloc(MessageSize);
        try
        {
            // Who sends after the host's program has gone is told so (ECONNREFUSED), by there being no socket any more.
            while (!_stopping && !_refused)
            {
                Wait();
                Receive(buffer);
                Answer(buffer);
            }
        }
        finally
        {
            foreach (Sender sender in _senders.Values)
            {
                sender.Dispose();
            }

            _bound.Dispose();
            _closed.Set();
            NativeMemory.Free(buffer);
        }
    }

    private void Wait()
    {
        Sender[] senders = [.. _senders.Values];
        pollfd* waits = stackalloc pollfd[MaxSenders + 1];
        waits[0] = new pollfd { fd = (int)_bound.DangerousGetHandle(), events = poll.POLLIN };
        for (int i = 0; i < senders.Length; i++)
        {
            waits[i + 1] = new pollfd { fd = senders[i].Descriptor, events = poll.POLLIN };
        }

        // SAFETY: as many as were written.
        _ = LibC.poll(waits, (nuint)senders.Length + 1, WaitMilliseconds);
        foreach ((var key, Sender sender) in _senders.Where(one => one.Value.IsOver || (!one.Value.HasAnswers && one.Value.IdleFor > IdleLimit)).ToArray())
        {
            _ = _senders.Remove(key);
            sender.Dispose();
        }
    }

    private void Receive(byte* buffer)
    {
        byte* address = stackalloc byte[AddressSize];
        byte* control = stackalloc byte[ControlSize];
        for (int turn = 0; turn < 64 && !_stopping && !_refused; turn++)
        {
            var part = new iovec { iov_base = buffer, iov_len = MessageSize };
            var message = new msghdr { msg_name = address, msg_namelen = AddressSize, msg_iov = &part, msg_iovlen = 1, msg_control = control, msg_controllen = ControlSize };

            // SAFETY: all is on this stack but the buffer; the kernel writes within the lengths.
            int received = (int)LibC.Result(LibC.recvmsg((int)_bound.DangerousGetHandle(), &message, msg_flags.MSG_DONTWAIT | msg_flags.MSG_CMSG_CLOEXEC));
            if (received < 0)
            {
                return;
            }

            bool known = cmsg.TryTakeCredentials(&message, out ucred program);
            CloseDescriptors(message);
            if (!known || (message.msg_flags & msg_flags.MSG_TRUNC) != 0)
            {
                // Without a sender nobody may send it; longer than what crosses, it would be another message.
                continue;
            }

            Forward(program, new ReadOnlySpan<byte>(address, (int)Math.Min(message.msg_namelen, AddressSize)), buffer, received);
        }
    }

    private void Forward(ucred program, ReadOnlySpan<byte> address, byte* message, int size)
    {
        string name = address.Length > sizeof(ushort) ? Convert.ToHexString(address) : "";
        var key = (program.uid, program.gid, name);
        if (!_senders.TryGetValue(key, out Sender? sender) || sender.IsOver)
        {
            if (sender is not null)
            {
                _ = _senders.Remove(key);
                sender.Dispose();
            }

            if (_senders.Count == MaxSenders)
            {
                var oldest = _senders.MaxBy(one => one.Value.IdleFor);
                _ = _senders.Remove(oldest.Key);
                oldest.Value.Dispose();
            }

            sender = Sender.TryOpen(_owner, _socket, program, address.ToArray(), _relays, () => _refused = true);
            if (sender is null)
            {
                return;
            }

            _senders.Add(key, sender);
        }

        sender.Send(message, size);
    }

    // What the host's program has answered, to the address that it answered to.
    private void Answer(byte* buffer)
    {
        foreach (Sender sender in _senders.Values)
        {
            sender.GiveAnswers(_bound, buffer, MessageSize);
        }
    }

    private static void CloseDescriptors(msghdr message)
    {
        var first = (cmsghdr*)message.msg_control;
        nuint left = Math.Min(message.msg_controllen, ControlSize);
        for (byte* at = (byte*)first; left >= (nuint)sizeof(cmsghdr);)
        {
            var head = (cmsghdr*)at;
            if (head->cmsg_len < (nuint)sizeof(cmsghdr) || head->cmsg_len > left)
            {
                return;
            }

            if (head->cmsg_level == sys_socket.SOL_SOCKET && head->cmsg_type == cmsg.SCM_RIGHTS)
            {
                int count = (int)(head->cmsg_len - (nuint)sizeof(cmsghdr)) / sizeof(int);
                for (int i = 0; i < count; i++)
                {
                    _ = LibC.close(((int*)(head + 1))[i]);
                }
            }

            nuint step = Math.Min((head->cmsg_len + (nuint)sizeof(nuint) - 1) & ~((nuint)sizeof(nuint) - 1), left);
            at += step;
            left -= step;
        }
    }
}
