using Dpu.Flows.Table;

namespace Dpu.Flows.Text;

/// <summary>A flow that was read from text.</summary>
/// <param name="Definition">The flow.</param>
/// <param name="Packets">Packets that the text says.</param>
/// <param name="Bytes">Bytes that it says.</param>
/// <param name="Ufid">The data path's name of it; null where it has none. Repeats where several threads (PMDs) have the same flow.</param>
/// <param name="Offloaded">"yes", "partial", or null.</param>
/// <param name="DataPath">"ovs", "tc", "dpdk", "dummy", or null.</param>
public sealed record ParsedFlow(FlowDefinition Definition, ulong Packets = 0, ulong Bytes = 0, string? Ufid = null, string? Offloaded = null, string? DataPath = null);
