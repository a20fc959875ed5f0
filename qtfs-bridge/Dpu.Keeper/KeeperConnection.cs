using System.Runtime.InteropServices;
using System.Text;
using Dpu.Linux;
using Microsoft.Win32.SafeHandles;

namespace Dpu.Keeper;

/// <summary>
/// One connection to a keeper: a request at a time, each with its answer within a limit. Where one does not come the
/// connection is broken, for the next answer could be that one's. Not thread-safe.
/// </summary>
internal sealed unsafe class KeeperConnection : IDisposable
{
    private const uint OldestVersion = 1;
    private const uint NewestVersion = 1;
    private const ulong QuietTag = 0;

    private readonly string _path;
    private readonly SafeFileHandle _socket;
    private readonly byte[] _received = new byte[keeper.KEEPER_MESSAGE_MAX];
    private ulong _tag;

    private KeeperConnection(string path, SafeFileHandle socket)
    {
        _path = path;
        _socket = socket;
    }

    /// <summary>What the keeper said when it was greeted.</summary>
    public keeper_status Greeting { get; private set; }

    /// <summary>The keeper's process id; 0 where it is in another pid namespace.</summary>
    public int Process
    {
        get
        {
            ucred credentials = default;
            uint size = (uint)sizeof(ucred);
            return sys_socket.getsockopt(_socket, sys_socket.SOL_SOCKET, sys_socket.SO_PEERCRED, &credentials, &size) == 0 ? credentials.pid : 0;
        }
    }

    /// <summary>Connects and agrees on a version.</summary>
    /// <exception cref="KeeperException">Nobody serves that path, it refuses, or speaks no version of ours.</exception>
    public static KeeperConnection Open(string path, TimeSpan limit)
    {
        byte[] address = AddressOf(path);
        int opened = LibC.Result(sys_socket.socket(sys_socket.AF_UNIX, sys_socket.SOCK_SEQPACKET | sys_socket.SOCK_CLOEXEC, 0));
        if (opened < 0)
        {
            throw new KeeperException($"cannot make a socket: {NameOf(-opened)}", -opened);
        }

        var connection = new KeeperConnection(path, new SafeFileHandle(opened, ownsHandle: true));
        try
        {
            connection.SetLimit(limit);
            fixed (byte* pointer = address)
            {
                int error = -LibC.Result(sys_socket.connect(connection._socket, pointer, (uint)address.Length));
                if (error > 0)
                {
                    throw new KeeperException($"no keeper answers at '{path}' ({NameOf(error)}): is dpu-keeper.service running?", error);
                }
            }

            connection.Greet();
            return connection;
        }
        catch
        {
            connection.Dispose();
            throw;
        }
    }

    /// <summary>Asks to be told of processes, as <see cref="NextProcess"/> has it.</summary>
    /// <exception cref="KeeperException">ENOSYS: an older keeper; or it is gone.</exception>
    public void Watch()
    {
        KeeperAnswer answer = Ask(keeper.KEEPER_WATCH);
        if (answer.Head.error != 0)
        {
            throw new KeeperException($"the keeper at '{_path}' cannot tell of processes: {NameOf(answer.Head.error)}", answer.Head.error);
        }

        SetLimit(TimeSpan.Zero);
    }

    /// <summary>Waits for the next change of a process.</summary>
    /// <exception cref="KeeperException">The keeper is gone, or <see cref="Shut"/> was called.</exception>
    public (string Name, KeptProcess Process) NextProcess()
    {
        KeeperAnswer answer = Receive(keeper.KEEPER_WATCH);
        return (Encoding.UTF8.GetString(answer.Name.Span), KeptProcess.Of(answer.Head.size));
    }

    /// <summary>Returns when the keeper has closed the connection; it sends nothing unasked.</summary>
    public void AwaitEnd()
    {
        SetLimit(TimeSpan.Zero);
        byte unused;
        nint received;
        do
        {
            received = LibC.recv((int)_socket.DangerousGetHandle(), &unused, 1, 0);
        }
        while (received < 0 && LibC.Result(received) == -errno.EINTR);
    }

    /// <summary>Wakes who is in <see cref="AwaitEnd"/>.</summary>
    public void Shut() => _ = sys_socket.shutdown(_socket, sys_socket.SHUT_RDWR);

    /// <summary>Sends a request and takes its answer.</summary>
    /// <param name="operation">What is asked.</param>
    /// <param name="name">The entry's name.</param>
    /// <param name="note">Its note.</param>
    /// <param name="descriptor">A descriptor to send; the caller keeps it.</param>
    /// <param name="flags">Flags of the request.</param>
    /// <param name="size">Its size.</param>
    /// <exception cref="KeeperException">The keeper could not be asked; what it refuses is an answer.</exception>
    public KeeperAnswer Ask(ushort operation, string name = "", ReadOnlySpan<byte> note = default, SafeHandle? descriptor = null, uint flags = 0, ulong size = 0)
    {
        ulong tag = ++_tag;
        Send(new keeper_message { operation = operation, flags = flags, tag = tag, size = size }, Encoding.UTF8.GetBytes(name), note, descriptor);
        KeeperAnswer answer = Receive(operation);
        for (; answer.Head.tag == QuietTag; answer = Receive(operation))
        {
            // What was refused of the requests that nobody waits for.
            QuietFailure = answer.Head.error;
            answer.Descriptor?.Dispose();
        }

        if (answer.Head.tag == tag && answer.Head.operation == operation)
        {
            return answer;
        }

        answer.Descriptor?.Dispose();
        throw new KeeperException($"the keeper at '{_path}' answered another request than the one asked (operation {answer.Head.operation} for {operation})");
    }

    /// <summary>Sends a request that is answered only where it fails, which the next <see cref="Ask"/> finds.</summary>
    /// <param name="operation">What is asked.</param>
    /// <param name="name">The entry's name, in UTF-8.</param>
    /// <param name="note">Its note.</param>
    /// <param name="descriptor">A descriptor to send, which the caller keeps; -1 for none.</param>
    /// <param name="flags">More flags of the request.</param>
    /// <exception cref="KeeperException">It could not be sent.</exception>
    public void Tell(ushort operation, ReadOnlySpan<byte> name, ReadOnlySpan<byte> note, int descriptor, uint flags = 0) =>
        Send(new keeper_message { operation = operation, flags = flags | keeper.KEEPER_QUIET, tag = QuietTag }, name, note, descriptor);

    /// <summary>The errno of the last quiet request that failed; 0 while none has.</summary>
    public int QuietFailure { get; set; }

    /// <inheritdoc/>
    public void Dispose() => _socket.Dispose();

    internal static string Ended(string path) => $"the keeper at '{path}' has ended: what it held is gone";

    internal static string NameOf(int error) => $"{Marshal.GetPInvokeErrorMessage(error)}, errno {error}";

    private static byte[] AddressOf(string path)
    {
        // struct sockaddr_un: the family and 108 bytes with the final NUL.
        byte[] name = Encoding.UTF8.GetBytes(path);
        if (name.Length is 0 or > 107 || name.Contains((byte)0))
        {
            throw new KeeperException($"'{path}' cannot be a unix socket's path: it must have 1 to 107 bytes", errno.EINVAL);
        }

        byte[] address = new byte[2 + name.Length + 1];
        BitConverter.TryWriteBytes(address, (ushort)sys_socket.AF_UNIX);
        name.CopyTo(address, 2);
        return address;
    }

    private void SetLimit(TimeSpan limit)
    {
        var time = new timeval { tv_sec = (nint)limit.TotalSeconds, tv_usec = limit.Microseconds + (limit.Milliseconds * 1000) };
        foreach (int option in (ReadOnlySpan<int>)[sys_socket.SO_RCVTIMEO, sys_socket.SO_SNDTIMEO])
        {
            _ = sys_socket.setsockopt(_socket, sys_socket.SOL_SOCKET, option, &time, (uint)sizeof(timeval));
        }
    }

    private void Greet()
    {
        KeeperAnswer answer = Ask(keeper.KEEPER_HELLO, size: ((ulong)OldestVersion << 32) | NewestVersion);
        if (answer.Head.error == errno.EPROTONOSUPPORT)
        {
            throw new KeeperException($"the keeper at '{_path}' speaks version {answer.Head.size} and none of {OldestVersion} to {NewestVersion}: update it (it must be restarted for that) or this daemon", answer.Head.error);
        }

        if (answer.Head.error != 0 || answer.Note.Length < sizeof(keeper_status))
        {
            throw new KeeperException($"the keeper at '{_path}' refused to be greeted: {NameOf(answer.Head.error)}", answer.Head.error);
        }

        Greeting = MemoryMarshal.Read<keeper_status>(answer.Note.Span);
    }

    private void Send(keeper_message head, ReadOnlySpan<byte> name, ReadOnlySpan<byte> note, SafeHandle? descriptor)
    {
        bool held = false;
        try
        {
            descriptor?.DangerousAddRef(ref held);
            Send(head, name, note, held ? (int)descriptor!.DangerousGetHandle() : -1);
        }
        finally
        {
            if (held)
            {
                descriptor!.DangerousRelease();
            }
        }
    }

    private void Send(keeper_message head, ReadOnlySpan<byte> name, ReadOnlySpan<byte> note, int descriptor)
    {
        (head.header, head.name, head.note) = ((ushort)sizeof(keeper_message), (uint)name.Length, (uint)note.Length);
        byte* control = stackalloc byte[cmsg.SpaceOfDescriptor];
        fixed (byte* namePointer = name, notePointer = note)
        {
            iovec* parts = stackalloc iovec[3];
            parts[0] = new iovec { iov_base = &head, iov_len = (nuint)sizeof(keeper_message) };
            parts[1] = new iovec { iov_base = namePointer, iov_len = (nuint)name.Length };
            parts[2] = new iovec { iov_base = notePointer, iov_len = (nuint)note.Length };
            var message = new msghdr { msg_iov = parts, msg_iovlen = 3 };
            if (descriptor >= 0)
            {
                cmsg.PutDescriptor(control, descriptor);
                message.msg_control = control;
                message.msg_controllen = (nuint)cmsg.SpaceOfDescriptor;
            }

            long sent;
            do
            {
                // SAFETY: all that it points to lives until the call returns.
                sent = LibC.Result(LibC.sendmsg((int)_socket.DangerousGetHandle(), &message, msg_flags.MSG_NOSIGNAL));
            }
            while (sent == -errno.EINTR);

            if (sent < 0)
            {
                throw Broken((int)-sent);
            }
        }
    }

    private KeeperAnswer Receive(ushort operation)
    {
        byte* control = stackalloc byte[cmsg.SpaceOfDescriptor];
        fixed (byte* pointer = _received)
        {
            var part = new iovec { iov_base = pointer, iov_len = (nuint)_received.Length };
            var message = new msghdr { msg_iov = &part, msg_iovlen = 1, msg_control = control, msg_controllen = (nuint)cmsg.SpaceOfDescriptor };
            long length;
            do
            {
                // SAFETY: as above.
                length = LibC.Result(LibC.recvmsg((int)_socket.DangerousGetHandle(), &message, msg_flags.MSG_CMSG_CLOEXEC));
            }
            while (length == -errno.EINTR);

            if (length <= 0)
            {
                throw Broken((int)-length);
            }

            int taken = cmsg.TakeDescriptor(&message);
            SafeFileHandle? descriptor = taken >= 0 ? new SafeFileHandle(taken, ownsHandle: true) : null;
            bool whole = KeeperAnswer.TryRead(_received.AsSpan(0, (int)length), descriptor, out KeeperAnswer? answer);
            if (!whole || (message.msg_flags & msg_flags.MSG_TRUNC) != 0)
            {
                descriptor?.Dispose();
                throw new KeeperException($"the keeper at '{_path}' answered operation {operation} with {length} bytes that are no answer");
            }

            if ((message.msg_flags & msg_flags.MSG_CTRUNC) != 0)
            {
                descriptor?.Dispose();
                throw new KeeperException($"a descriptor of the keeper at '{_path}' could not be taken: this process has too many open files", errno.EMFILE);
            }

            return answer!;
        }
    }

    private KeeperException Broken(int error) => error is 0 or errno.EPIPE or errno.ECONNRESET
        ? new KeeperException(Ended(_path), error)
        : new KeeperException($"the keeper at '{_path}' does not answer ({NameOf(error)})", error);
}
