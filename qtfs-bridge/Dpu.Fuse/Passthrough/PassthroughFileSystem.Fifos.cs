using System.Runtime.CompilerServices;
using Dpu.Linux;
using Microsoft.Win32.SafeHandles;
using static Dpu.Linux.LibC;

namespace Dpu.Fuse;

// FIFOs of this machine, of which a peer's programs are at the other end.
public sealed unsafe partial class PassthroughFileSystem
{
    /// <summary>Which file a FIFO's node is.</summary>
    /// <param name="node">The node.</param>
    /// <param name="device">Its device, major number in the high half.</param>
    /// <param name="inode">Its inode's number.</param>
    /// <returns>0 or a negated errno; <c>-ESPIPE</c> where it is no FIFO.</returns>
    public int FindFifo(ulong node, out ulong device, out ulong inode)
    {
        using NodePin file = _nodes.Pin(node);
        (device, inode) = (0, 0);
        int error = !file.Valid ? file.Error : file.Type != stat.S_IFIFO ? -errno.ESPIPE : _boundary.Check(file.Descriptor);
        if (error == 0 && (error = StatusOf(file.Descriptor, out statx status)) == 0)
        {
            (device, inode) = (DeviceOf(status), status.stx_ino);
        }

        return error;
    }

    /// <summary>Opens a FIFO as a user of the peer; never waits.</summary>
    /// <param name="caller">Whose program is at the other end.</param>
    /// <param name="node">The node.</param>
    /// <param name="access">O_RDONLY, O_WRONLY or O_RDWR.</param>
    /// <param name="opened">It, non-blocking.</param>
    /// <returns>0 or a negated errno: <c>-ENXIO</c> where it is to be written and nobody reads. The thread keeps the identity.</returns>
    [SkipLocalsInit]
    public int OpenFifo(in FuseCaller caller, ulong node, int access, out SafeFileHandle? opened)
    {
        opened = null;
        using NodePin file = _nodes.Pin(node);
        int error = !file.Valid ? file.Error : file.Type != stat.S_IFIFO ? -errno.ESPIPE : 0;
        if (error < 0 || (error = _boundary.Check(file.Descriptor)) < 0 || (error = _identity.AssumeMapped(caller, out _, out _)) < 0)
        {
            return error;
        }

        byte* path = stackalloc byte[DescriptorPath.MaxSize];
        _ = DescriptorPath.Format(file.Descriptor, path);

        // SAFETY: a NUL-terminated string on this stack; the node's descriptor is pinned.
        int descriptor = Result(openat(fcntl.AT_FDCWD, path, access | fcntl.O_NONBLOCK | fcntl.O_CLOEXEC, 0));
        opened = descriptor < 0 ? null : new SafeFileHandle(descriptor, ownsHandle: true);
        return Math.Min(descriptor, 0);
    }
}
