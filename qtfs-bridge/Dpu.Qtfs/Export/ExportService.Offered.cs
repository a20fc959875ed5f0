using System.Runtime.InteropServices;
using Dpu.Fuse;
using Dpu.Linux;
using Dpu.Proto.V1;
using Dpu.Qtfs.Export.Sockets;
using Microsoft.Win32.SafeHandles;

namespace Dpu.Qtfs.Export;

// Sockets that programs of peers have bound.
public sealed partial class ExportService
{
    /// <summary>Bound sockets that are told of at once: a hello's answer has 4,096 bytes at most.</summary>
    internal const int MostOffered = 64;

    private static int Accept(ExportedMount mount, RelayParameters asked, SafeHandle peer, out ServedSocket? served)
    {
        served = null;
        if (mount.Bound?.Find(asked.Offered.Node) is not { } bound)
        {
            return -errno.ECONNREFUSED;
        }

        if (asked.Offered.Closed)
        {
            mount.Bound.Close(bound.Node);
            return -errno.ECONNREFUSED;
        }

        IdentityPolicy policy = mount.Export.Identity;
        int error = bound.Accept(peer, (socket, backlog) => Listen(mount, asked, socket, backlog), out SafeFileHandle? accepted);
        if (error < 0)
        {
            return error;
        }

        var speaker = new ucred { pid = Environment.ProcessId, uid = policy.ToHostUser(asked.Uid), gid = policy.ToHostGroup(asked.Gid) };
        served = new ServedSocket(
            accepted!,
            speaker,
            relay =>
            {
                if (!mount.TryJoin(relay))
                {
                    return false;
                }

                if (bound.TryJoin(relay))
                {
                    return true;
                }

                mount.Leave(relay);
                return false;
            },
            relay =>
            {
                bound.Leave(relay);
                mount.Leave(relay);
            })
        {
            Visitor = VisitorOf(policy, accepted!),
        };
        return 0;
    }

    private static int Listen(ExportedMount mount, RelayParameters asked, SafeHandle socket, int backlog)
    {
        FuseWorkerThread.Enter();
        int error = mount.Files.ListenSocket(new FuseCaller { Uid = asked.Uid, Gid = asked.Gid }, socket, backlog, out _, out _);
        _ = FuseWorkerThread.Leave();
        return error;
    }

    // Of a datagram socket there is no one visitor.
    internal static unsafe (uint Uid, uint Gid) VisitorOf(IdentityPolicy policy, SafeHandle accepted)
    {
        ucred credentials;
        uint size = (uint)sizeof(ucred);

        // SAFETY: the kernel writes at most `size` bytes, the local's own size.
        bool known = sys_socket.getsockopt(accepted, sys_socket.SOL_SOCKET, sys_socket.SO_PEERCRED, &credentials, &size) == 0 && credentials.pid != 0;
        return known ? (policy.ToPeerUser(credentials.uid), policy.ToPeerGroup(credentials.gid)) : (IdentityPolicy.Nobody, IdentityPolicy.Nobody);
    }

    private static IEnumerable<OfferedNode> OfferedOf(ExportedMount mount, ulong after) => (mount.Bound?.All ?? [])
        .Where(socket => socket.Node > after).OrderBy(socket => socket.Node).Take(MostOffered)
        .Select(socket => new OfferedNode { Node = socket.Node, Type = (UnixSocketType)socket.Type, Inode = socket.Inode, Generation = socket.Generation });
}
