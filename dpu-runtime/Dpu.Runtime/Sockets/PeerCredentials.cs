using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Dpu.Fuse;
using Dpu.Linux;

namespace Dpu.Runtime.Sockets;

/// <summary>Who is at the other end of a unix socket, as this machine's kernel says: at the time of its connect(2).</summary>
/// <param name="Pid">The process.</param>
/// <param name="Uid">Its user.</param>
/// <param name="Gid">Its group.</param>
/// <param name="Groups">Its supplementary groups; of more than count on the host the first.</param>
internal sealed record PeerCredentials(int Pid, uint Uid, uint Gid, uint[] Groups)
{
    // NGROUPS_MAX is 65,536; who has more than these is given the others' denial.
    private const int MaxRead = 4096;

    /// <summary>Reads them; null where the kernel does not say, and nobody may be taken for the program.</summary>
    [SkipLocalsInit]
    public static unsafe PeerCredentials? Read(SafeHandle socket)
    {
        ucred credentials;
        uint size = (uint)sizeof(ucred);

        // SAFETY: the kernel writes at most `size` bytes, the local's own size.
        if (sys_socket.getsockopt(socket, sys_socket.SOL_SOCKET, sys_socket.SO_PEERCRED, &credentials, &size) < 0)
        {
            return null;
        }

        uint* groups = stackalloc uint[MaxRead];
        size = MaxRead * sizeof(uint);

        // SAFETY: the kernel writes at most `size` bytes, the room on this stack.
        if (sys_socket.getsockopt(socket, sys_socket.SOL_SOCKET, sys_socket.SO_PEERGROUPS, groups, &size) < 0)
        {
            size = 0;
        }

        return new PeerCredentials(credentials.pid, credentials.uid, credentials.gid, [.. new ReadOnlySpan<uint>(groups, Math.Min((int)size / sizeof(uint), IdentityPolicy.MaxGroups))]);
    }
}
