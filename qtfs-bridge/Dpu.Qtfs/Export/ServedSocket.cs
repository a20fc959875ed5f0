using System.Runtime.InteropServices;
using Dpu.Linux;

namespace Dpu.Qtfs.Export;

/// <summary>A connected socket of this machine, for a program of a peer.</summary>
/// <param name="Socket">It; who gets it disposes of it.</param>
/// <param name="Speaker">Whom messages are from that are sent on it.</param>
/// <param name="Join">Takes what breaks the connection off, for the mount's end; false where that is to be done at once.</param>
/// <param name="Leave">Takes it back.</param>
public sealed record ServedSocket(SafeHandle Socket, ucred Speaker, Func<IDisposable, bool> Join, Action<IDisposable> Leave)
{
    /// <summary>Who is at its other end, as the peer names users, where the peer's program has bound it; null where that program connects.</summary>
    public (uint Uid, uint Gid)? Visitor { get; init; }
}
