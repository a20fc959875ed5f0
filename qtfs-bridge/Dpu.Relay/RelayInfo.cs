namespace Dpu.Relay;

/// <summary>What a relay is between, for people.</summary>
/// <param name="Peer">The other end of the link.</param>
/// <param name="Path">The socket, as this end names it.</param>
/// <param name="Kind">Its type.</param>
/// <param name="Uid">Whom it serves: on the DPU the program's uid, on the host the one it was mapped to.</param>
/// <param name="Gid">Likewise.</param>
/// <param name="Pid">The program on the DPU; 0 where it is not known.</param>
public sealed record RelayInfo(string Peer, string Path, SocketKind Kind, uint Uid, uint Gid, int Pid)
{
    /// <summary>What this end is.</summary>
    public LocalEnd End { get; init; }

    /// <summary>Which way the bytes of a FIFO go; none where it is a socket.</summary>
    public FifoFlow Fifo { get; init; }
}

/// <summary>Which way the bytes of a FIFO go.</summary>
public enum FifoFlow
{
    /// <summary>It is no FIFO.</summary>
    None,

    /// <summary>From a program of the DPU to one of the host.</summary>
    ToHost,

    /// <summary>From a program of the host to one of the DPU.</summary>
    ToDpu,
}

/// <summary>A relay at one moment.</summary>
/// <param name="Id">Its number, unique in this process.</param>
/// <param name="Info">What it is between.</param>
/// <param name="Started">When it began.</param>
/// <param name="Sent">Bytes that the local program has sent.</param>
/// <param name="Received">Bytes that it has received.</param>
/// <param name="Away">Whether its link is lost, and it waits for another.</param>
public sealed record RelaySnapshot(long Id, RelayInfo Info, DateTimeOffset Started, long Sent, long Received, bool Away);
