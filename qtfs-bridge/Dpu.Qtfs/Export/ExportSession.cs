namespace Dpu.Qtfs.Export;

/// <summary>One runtime's mounts, bound to the name that its certificate (or uid) gave it.</summary>
/// <param name="Id">The 16 bytes of its hello, hexadecimal.</param>
/// <param name="Peer">The peer's name.</param>
/// <param name="Started">When it was first seen.</param>
internal sealed record ExportSession(string Id, string Peer, DateTimeOffset Started)
{
    /// <summary>Mounts by the id that the DPU chose. Guarded by the registry's lock.</summary>
    public Dictionary<ulong, ExportedMount> Mounts { get; } = [];
}

/// <summary>A session as an operator sees it.</summary>
/// <param name="Id">Hexadecimal.</param>
/// <param name="Peer">The peer's name.</param>
/// <param name="Started">When it was first seen.</param>
/// <param name="Connections">Lanes open now.</param>
/// <param name="Mounts">Mounts held.</param>
/// <param name="OpenNodes">Nodes that the peer's kernel holds.</param>
/// <param name="OpenHandles">Open files and directories.</param>
/// <param name="Requests">Requests received.</param>
/// <param name="Refused">Requests refused by policy or limit.</param>
public sealed record ExportSessionSnapshot(
    string Id,
    string Peer,
    DateTimeOffset Started,
    int Connections,
    int Mounts,
    long OpenNodes,
    long OpenHandles,
    long Requests,
    long Refused);
