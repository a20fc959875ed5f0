namespace Dpu.TestSupport.Traffic;

/// <summary>A packet of a trace.</summary>
/// <param name="Time">When it comes.</param>
/// <param name="Flow">Which flow it is of: a number, and no two flows have the same.</param>
public readonly record struct TracePacket(TimeSpan Time, int Flow);

/// <summary>A trace: packets in the order of their times.</summary>
/// <param name="Name">The family's name.</param>
/// <param name="Packets">The packets.</param>
public sealed record PacketTrace(string Name, IReadOnlyList<TracePacket> Packets)
{
    /// <summary>How many flows it has.</summary>
    public int Flows => Packets.Count == 0 ? 0 : Packets.Max(packet => packet.Flow) + 1;
}
