using System.Globalization;
using System.Text;
using Dpu.Linux;
using Microsoft.Win32.SafeHandles;

namespace Dpu.Qtfs.Mount.Sockets;

/// <summary>
/// The process that binds sockets in a mount's hidden directory, and connects to files there (<c>native/binder.c</c>). All that it does there asks this runtime, which
/// answers on its lanes; one thread uses it at a time, and waits for a short time only.
/// </summary>
internal sealed unsafe class BinderProcess : IDisposable
{
    private const string Program = "dpu-binder";
    private const int ConnectIt = 1;
    private const int OpenIt = 2;

    /// <summary>What asks nobody but this process; if it takes longer, no lane is free.</summary>
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(2);

    private readonly SafeFileHandle _socket;
    private readonly int _pid;

    private BinderProcess(SafeFileHandle socket, int pid)
    {
        _socket = socket;
        _pid = pid;
    }

    /// <summary>Starts one, and waits until it is in the directory.</summary>
    /// <param name="target">The mount point.</param>
    /// <param name="device">The minor number of the mount's device.</param>
    /// <param name="name">The directory's name in the mount's root.</param>
    /// <param name="problem">Why there is none.</param>
    public static BinderProcess? TryStart(string target, long device, string name, out string problem)
    {
        SafeFileHandle? socket = HelperProgram.TryStart(Program, [target, device.ToString(CultureInfo.InvariantCulture), name], [], out int pid, out problem);
        if (socket is null)
        {
            return null;
        }

        var process = new BinderProcess(socket, pid);
        int entered = process.Await(out SafeFileHandle? nothing);
        nothing?.Dispose();
        if (entered == 0)
        {
            return process;
        }

        process.Dispose();
        problem = $"it could not enter the mount's hidden directory: errno {-entered}";
        return null;
    }

    /// <summary>Binds a new socket.</summary>
    /// <param name="type">SOCK_STREAM or another.</param>
    /// <param name="name">Under which name of the directory.</param>
    /// <param name="bound">The socket.</param>
    /// <returns>0 or a negated errno; ETIMEDOUT and EPIPE mean that the process is of no more use.</returns>
    public int TryBind(int type, string name, out SafeFileHandle? bound) => Ask(new Question { Type = type }, name, out bound);

    /// <summary>Connects a new socket.</summary>
    /// <param name="type">SOCK_STREAM or another.</param>
    /// <param name="uid">The user that who accepts sees.</param>
    /// <param name="gid">The group.</param>
    /// <param name="name">The name of the directory's file.</param>
    /// <param name="connected">The socket.</param>
    /// <returns>As of <see cref="TryBind"/>; EAGAIN where the listener's queue is full.</returns>
    public int TryConnect(int type, uint uid, uint gid, string name, out SafeFileHandle? connected) =>
        Ask(new Question { Type = type, What = ConnectIt, Uid = uid, Gid = gid }, name, out connected);

    /// <summary>Opens a FIFO, without waiting.</summary>
    /// <param name="access">O_RDONLY or O_WRONLY.</param>
    /// <param name="name">The name of the directory's file.</param>
    /// <param name="opened">The FIFO, non-blocking.</param>
    /// <returns>As of <see cref="TryBind"/>; ENXIO where it is to be written and nobody reads.</returns>
    public int TryOpen(int access, string name, out SafeFileHandle? opened) => Ask(new Question { Type = access, What = OpenIt }, name, out opened);

    private int Ask(Question question, string name, out SafeFileHandle? socket)
    {
        socket = null;
        byte[] request = [.. new ReadOnlySpan<byte>(&question, sizeof(Question)), .. Encoding.ASCII.GetBytes(name)];
        fixed (byte* bytes = request)
        {
            // SAFETY: pinned for the call.
            if (LibC.Result(sys_socket.send((int)_socket.DangerousGetHandle(), bytes, (nuint)request.Length, sys_socket.MSG_NOSIGNAL)) < 0)
            {
                return -errno.EPIPE;
            }
        }

        int result = Await(out socket);
        return result == 0 && socket is null ? -errno.EPIPE : result;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _socket.Dispose();

        // It may wait for an answer of this very mount: not on this thread.
        new Thread(() => HelperProgram.Wait(_pid)) { IsBackground = true, Name = "binder end" }.Start();
    }

    private int Await(out SafeFileHandle? passed)
    {
        passed = null;
        if (!poll.WaitReadable(_socket, Limit))
        {
            return -errno.ETIMEDOUT;
        }

        int result;
        byte* control = stackalloc byte[cmsg.SpaceOfDescriptor];
        var part = new iovec { iov_base = &result, iov_len = sizeof(int) };
        var message = new msghdr { msg_iov = &part, msg_iovlen = 1, msg_control = control, msg_controllen = (nuint)cmsg.SpaceOfDescriptor };

        // SAFETY: all is on this stack.
        long received = LibC.Result(LibC.recvmsg((int)_socket.DangerousGetHandle(), &message, msg_flags.MSG_CMSG_CLOEXEC));
        if (received != sizeof(int))
        {
            return -errno.EPIPE;
        }

        int descriptor = cmsg.TakeDescriptor(&message);
        passed = descriptor < 0 ? null : new SafeFileHandle(descriptor, ownsHandle: true);
        return result;
    }

    // The beginning of what it is asked, before the name.
    private struct Question
    {
        public int Type;
        public int What;
        public uint Uid;
        public uint Gid;
    }
}
