using Dpu.Proto.V1;
using Microsoft.Win32.SafeHandles;

namespace Dpu.Qtfs.Mount.Fifos;

/// <summary>A FIFO of a host that programs here have open.</summary>
/// <param name="Host">The host's name.</param>
/// <param name="Target">The mount point.</param>
/// <param name="MountId">The mount's number in the session, of the moment.</param>
/// <param name="Node">The FIFO's node.</param>
/// <param name="Direction">Which way its bytes go; unspecified where the host is to say.</param>
/// <param name="AtOnce">Whether the host is not to wait for a program.</param>
/// <param name="Program">Who has it open.</param>
public sealed record RemoteFifo(string Host, string Target, Func<ulong> MountId, ulong Node, FifoDirection Direction, bool AtOnce, FifoProgram Program);

/// <summary>A program here that has a FIFO open.</summary>
/// <param name="Pid">The process.</param>
/// <param name="Uid">Its user.</param>
/// <param name="Gid">Its group.</param>
/// <param name="Groups">Its supplementary groups.</param>
public sealed record FifoProgram(int Pid, uint Uid, uint Gid, IReadOnlyList<uint> Groups);

/// <summary>One way of a FIFO through the link. Thread-safe.</summary>
public interface IAskedFifo
{
    /// <summary>Waits until a program of the host is at the other end; blocks.</summary>
    /// <param name="direction">Which way it goes.</param>
    /// <returns>0 or a negated errno; EACCES where the host's policy forbids it, EIO where the link broke or <see cref="Cancel"/> was called.</returns>
    int Wait(out FifoDirection direction);

    /// <summary>Nobody waits any more, or there is nothing to relay; also before <see cref="Wait"/>.</summary>
    void Cancel();

    /// <summary>After the wait: relays a socket's bytes, of which either closes its end when it is over.</summary>
    /// <param name="socket">It; owned from now on.</param>
    /// <returns>False where the runtime is stopping.</returns>
    bool TryStart(SafeFileHandle socket);
}
