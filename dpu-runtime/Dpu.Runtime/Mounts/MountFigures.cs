using Dpu.Fuse;

namespace Dpu.Runtime.Mounts;

/// <summary>A mount's figures by opcode, for metrics.</summary>
/// <param name="Target">Where it is mounted.</param>
/// <param name="Operations">What became of its requests.</param>
public sealed record MountFigures(string Target, IReadOnlyList<FuseOperationStatistics> Operations);
