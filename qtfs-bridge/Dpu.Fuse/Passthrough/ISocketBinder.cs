using Dpu.Fuse.Wire;
using Microsoft.Win32.SafeHandles;

namespace Dpu.Fuse;

/// <summary>Who has the sockets that are bound on this machine for programs of the peer. Thread-safe.</summary>
public interface ISocketBinder
{
    /// <summary>Whether the peer may bind a socket there.</summary>
    /// <param name="path">From the exported directory, without a slash before it.</param>
    bool MayBind(ReadOnlySpan<byte> path);

    /// <summary>One is bound.</summary>
    /// <param name="entry">Its file.</param>
    /// <param name="type">SOCK_STREAM, SOCK_DGRAM or SOCK_SEQPACKET.</param>
    /// <param name="path">As of <see cref="MayBind"/>.</param>
    /// <param name="socket">It; the binder's from now on.</param>
    void Bound(in fuse_entry_out entry, int type, ReadOnlySpan<byte> path, SafeFileHandle socket);
}
