using Dpu.Linux;
using Microsoft.Win32.SafeHandles;

namespace Dpu.Relay.Addresses;

/// <summary>Connects to a socket of this machine for a program of a host, as the user that the socket's program shall see.</summary>
public static unsafe class VisitorSocket
{
    /// <summary>Connects; never waits.</summary>
    /// <param name="address">Of the socket.</param>
    /// <param name="type">SOCK_STREAM or another.</param>
    /// <param name="uid">The user.</param>
    /// <param name="gid">The group.</param>
    /// <param name="connected">The connection.</param>
    /// <returns>0 or a negated errno; EAGAIN where the queue is full.</returns>
    public static int Connect(string address, int type, uint uid, uint gid, out SafeFileHandle? connected)
    {
        var socket = new SafeFileHandle(sys_socket.socket(sys_socket.AF_UNIX, type | sys_socket.SOCK_CLOEXEC | sys_socket.SOCK_NONBLOCK, 0), ownsHandle: true);
        if (socket.IsInvalid)
        {
            connected = null;
            return -errno.EMFILE;
        }

        // A thread that is another user from then on, and ends.
        int error = 0;
        var thread = new Thread(() => error = Become(uid, gid) is < 0 and int refused ? refused : UnixAddress.Connect(socket, address), 256 * 1024) { IsBackground = true, Name = "visitor" };
        thread.Start();
        thread.Join();
        connected = error < 0 ? null : socket;
        if (error < 0)
        {
            socket.Dispose();
        }

        return error;
    }

    // What it may connect to has been decided by who has made the forward, or passed the socket: the file's mode does not matter.
    private static int Become(uint uid, uint gid)
    {
        int error = LibC.Result(LibC.ThreadSetGroups(null, 0));
        error = error < 0 ? error : LibC.Result(LibC.ThreadSetResGid(uint.MaxValue, gid, uint.MaxValue));
        error = error < 0 ? error : LibC.Result(LibC.ThreadSetResUid(uint.MaxValue, uid, uint.MaxValue));
        if (error < 0 || uid == 0)
        {
            return error;
        }

        __user_cap_header_struct header = new() { version = capability._LINUX_CAPABILITY_VERSION_3 };
        __user_cap_data_struct* data = stackalloc __user_cap_data_struct[capability._LINUX_CAPABILITY_U32S_3];

        // SAFETY: one header and, for version 3, two structs. Permitted still, as only the effective user has changed.
        error = LibC.Result(LibC.capget(&header, data));
        data[0].effective |= data[0].permitted & (1u << capability.CAP_DAC_OVERRIDE);
        return error < 0 ? error : LibC.Result(LibC.capset(&header, data));
    }
}
