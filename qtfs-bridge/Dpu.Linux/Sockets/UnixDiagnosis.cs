using System.Text;
using Microsoft.Win32.SafeHandles;

namespace Dpu.Linux.Sockets;

/// <summary>
/// Asks the kernel what is bound to a file (sock_diag(7), NETLINK_SOCK_DIAG): one network namespace, that of the thread that made it.
/// One thread at a time.
/// </summary>
public sealed unsafe class UnixDiagnosis : IDisposable
{
    private const int BufferSize = 32 << 10;
    private const int SingleSize = 1 << 10;
    private const uint Waiting = (1u << socket_states.TCP_LISTEN) | (1u << socket_states.TCP_CLOSE);
    private const uint Connected = 1u << socket_states.TCP_ESTABLISHED;
    private static readonly TimeSpan AnswerLimit = TimeSpan.FromSeconds(2);

    // Files whose sockets are asked for again and again; more than that are asked for as at first.
    private const int MostKnown = 1024;

    // By their files, the numbers of sockets that did receive. Whether they still do, and there, the kernel is asked each time: of one socket that takes a
    // fraction of what it takes to look through all.
    private readonly Dictionary<(ulong Device, ulong Inode), uint> _known = [];

    private readonly SafeFileHandle _socket;
    private readonly byte[] _buffer;
    private uint _sequence;

    private UnixDiagnosis(SafeFileHandle socket, int room) => (_socket, _buffer) = (socket, new byte[room]);

    /// <summary>One for the calling thread's network namespace; null where the kernel has none.</summary>
    /// <param name="single">Whether it is for <see cref="FindSocket"/> alone, whose answers are short.</param>
    public static UnixDiagnosis? TryOpen(bool single = false)
    {
        int descriptor = sys_socket.socket(sys_socket.AF_NETLINK, sys_socket.SOCK_RAW | sys_socket.SOCK_CLOEXEC, linux_netlink.NETLINK_SOCK_DIAG);
        return descriptor < 0 ? null : new UnixDiagnosis(new SafeFileHandle(descriptor, ownsHandle: true), single ? SingleSize : BufferSize);
    }

    /// <summary>What is bound to a file; nothing where the kernel does not say.</summary>
    /// <param name="device">Its st_dev, major number in the high half.</param>
    /// <param name="inode">Its inode number.</param>
    public BoundSocket Find(ulong device, ulong inode)
    {
        if (_known.TryGetValue((device, inode), out uint number) && AskAgain(number, device, inode) is { Receives: true } again)
        {
            return again;
        }

        // Listeners and datagram sockets first: connections that were accepted have their listener's file too, and may be many.
        BoundSocket found = Ask(Waiting, device, inode, out number);
        if (found.Receives)
        {
            if (_known.Count == MostKnown)
            {
                _known.Clear();
            }

            _known[(device, inode)] = number;
        }
        else
        {
            _ = _known.Remove((device, inode));
        }

        return found.Type != 0 ? found : Ask(Connected, device, inode, out _);
    }

    /// <summary>A socket of the namespace, whatever it is bound to.</summary>
    /// <param name="number">Its number, as of <c>/proc/PID/fd</c>.</param>
    /// <returns>Its type, and whether it listens; nothing where there is none.</returns>
    public BoundSocket FindSocket(uint number)
    {
        return Ask(QuestionOf(number, 0), 0) && Receive(out int received) ? UnixDiagnosisReply.ReadSocket(_buffer.AsSpan(0, received), _sequence, number) : default;
    }

    /// <summary>As <see cref="TryOpen"/>, for another network namespace.</summary>
    /// <param name="path">Its file.</param>
    /// <param name="single">Likewise.</param>
    public static UnixDiagnosis? TryOpenIn(string path, bool single = false)
    {
        UnixDiagnosis? opened = null;

        // On a thread of its own, which ends there: no other ever is in a foreign namespace.
        var thread = new Thread(() => opened = TryEnter(path) ? TryOpen(single) : null) { IsBackground = true, Name = "namespaces" };
        thread.Start();
        thread.Join();
        return opened;
    }

    public void Dispose() => _socket.Dispose();

    private static bool TryEnter(string path)
    {
        fixed (byte* name = Encoding.UTF8.GetBytes(path + '\0'))
        {
            // SAFETY: a NUL-terminated string, pinned during the call.
            int descriptor = LibC.Result(LibC.openat(fcntl.AT_FDCWD, name, fcntl.O_RDONLY | fcntl.O_CLOEXEC, 0));
            if (descriptor < 0)
            {
                return false;
            }

            using var opened = new SafeFileHandle(descriptor, ownsHandle: true);
            return LibC.setns(descriptor, sched.CLONE_NEWNET) == 0;
        }
    }

    private static unix_diag_req QuestionOf(uint number, uint show)
    {
        var question = new unix_diag_req { sdiag_family = sys_socket.AF_UNIX, udiag_states = uint.MaxValue, udiag_ino = number, udiag_show = show };
        (question.udiag_cookie[0], question.udiag_cookie[1]) = (uint.MaxValue, uint.MaxValue);
        return question;
    }

    private BoundSocket AskAgain(uint number, ulong device, ulong inode)
    {
        BoundSocket found = default;
        if (Ask(QuestionOf(number, linux_unix_diag.UDIAG_SHOW_VFS), 0) && Receive(out int received))
        {
            _ = UnixDiagnosisReply.Read(_buffer.AsSpan(0, received), _sequence, device, inode, ref found, ref number);
        }

        return found;
    }

    private BoundSocket Ask(uint states, ulong device, ulong inode, out uint number)
    {
        BoundSocket found = default;
        number = 0;
        if (!Ask(new unix_diag_req { sdiag_family = sys_socket.AF_UNIX, udiag_states = states, udiag_show = linux_unix_diag.UDIAG_SHOW_VFS }, linux_netlink.NLM_F_DUMP))
        {
            return found;
        }

        // The rest is read all the same, or the next question would find it.
        while (Receive(out int received) && UnixDiagnosisReply.Read(_buffer.AsSpan(0, received), _sequence, device, inode, ref found, ref number))
        {
            // Another piece.
        }

        return found;
    }

    private bool Ask(in unix_diag_req question, ushort flags)
    {
        byte* request = stackalloc byte[sizeof(nlmsghdr) + sizeof(unix_diag_req)];
        *(nlmsghdr*)request = new nlmsghdr
        {
            nlmsg_len = (uint)(sizeof(nlmsghdr) + sizeof(unix_diag_req)),
            nlmsg_type = linux_sock_diag.SOCK_DIAG_BY_FAMILY,
            nlmsg_flags = (ushort)(linux_netlink.NLM_F_REQUEST | flags),
            nlmsg_seq = ++_sequence,
        };
        *(unix_diag_req*)(request + sizeof(nlmsghdr)) = question;

        // SAFETY: the request is on this stack. A netlink socket without an address sends to the kernel (netlink(7)).
        return LibC.Result(sys_socket.send((int)_socket.DangerousGetHandle(), request, (nuint)(sizeof(nlmsghdr) + sizeof(unix_diag_req)), 0)) >= 0;
    }

    private bool Receive(out int received)
    {
        // The kernel answers as it is asked, as a rule.
        received = ReceiveNow();
        if (received == -errno.EAGAIN && poll.WaitReadable(_socket, AnswerLimit))
        {
            received = ReceiveNow();
        }

        return received > 0;
    }

    private int ReceiveNow()
    {
        fixed (byte* buffer = _buffer)
        {
            // SAFETY: pinned for the call, with its length.
            return (int)LibC.Result(sys_socket.recv((int)_socket.DangerousGetHandle(), buffer, (nuint)_buffer.Length, msg_flags.MSG_DONTWAIT));
        }
    }
}
