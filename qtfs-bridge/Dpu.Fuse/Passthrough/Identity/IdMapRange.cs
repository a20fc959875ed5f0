namespace Dpu.Fuse;

/// <summary>A range of ids of the peer and the equally long range of the host that stands for it.</summary>
/// <param name="PeerStart">The first id in the peer's user database.</param>
/// <param name="HostStart">The first id in the host's.</param>
/// <param name="Count">How many, at least 1.</param>
public readonly record struct IdMapRange(uint PeerStart, uint HostStart, uint Count);
