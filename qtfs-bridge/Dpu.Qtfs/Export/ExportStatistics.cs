using Dpu.Fuse;

namespace Dpu.Qtfs.Export;

/// <summary>What one mount of an export has done.</summary>
/// <param name="Session">The session's id, hexadecimal.</param>
/// <param name="Id">The mount's id, which the DPU chose.</param>
/// <param name="Peer">The peer's name.</param>
/// <param name="Export">The export's name.</param>
/// <param name="Path">What it exports.</param>
/// <param name="ReadOnly">Whether it refuses changes.</param>
/// <param name="Started">When it was made.</param>
/// <param name="Lanes">Lanes open now.</param>
/// <param name="OpenNodes">Nodes that the peer's kernel holds.</param>
/// <param name="OpenHandles">Open files and directories.</param>
/// <param name="Refused">Requests refused by policy or limit.</param>
/// <param name="Operations">What was done, by opcode.</param>
/// <param name="OpcodesInFlight">The opcodes of the requests being served, one entry a request.</param>
public sealed record ExportMountStatistics(
    string Session,
    ulong Id,
    string Peer,
    string Export,
    string Path,
    bool ReadOnly,
    DateTimeOffset Started,
    int Lanes,
    long OpenNodes,
    long OpenHandles,
    long Refused,
    IReadOnlyList<FuseOperationStatistics> Operations,
    IReadOnlyList<uint> OpcodesInFlight);

/// <summary>What a peer has done with an export, over all its mounts, those that have ended included.</summary>
/// <param name="Peer">The peer's name.</param>
/// <param name="Export">The export's name.</param>
/// <param name="Operations">What was done, by opcode.</param>
public sealed record ExportTotals(string Peer, string Export, IReadOnlyList<FuseOperationStatistics> Operations);
