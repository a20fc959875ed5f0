namespace Dpu.TestSupport.Traffic;

/// <summary>Packets of a trace that miss a table of flows, by what others do with such a table. Pure.</summary>
public static class TableBaselines
{
    /// <summary>
    /// A time-out: a flow is put in with its first packet where there is room, and leaves when nothing came for so long, looked
    /// at each second. A full table takes nothing, as OVS' does (its limit of flows).
    /// </summary>
    public static int FixedTimeout(PacketTrace trace, int size, TimeSpan timeout)
    {
        Dictionary<int, TimeSpan> last = [];
        int missed = 0;
        TimeSpan sweep = TimeSpan.FromSeconds(1);
        foreach (TracePacket packet in trace.Packets)
        {
            for (; packet.Time >= sweep; sweep += TimeSpan.FromSeconds(1))
            {
                foreach (int flow in last.Where(item => sweep - item.Value >= timeout).Select(item => item.Key).ToArray())
                {
                    last.Remove(flow);
                }
            }

            bool hit = last.ContainsKey(packet.Flow);
            missed += hit ? 0 : 1;
            if (hit || last.Count < size)
            {
                last[packet.Flow] = packet.Time;
            }
        }

        return missed;
    }

    /// <summary>The flow that was used longest ago leaves for a new one; it takes a clock of each packet, which no NIC tells.</summary>
    public static int LeastRecentlyUsed(PacketTrace trace, int size)
    {
        Dictionary<int, LinkedListNode<int>> nodes = [];
        LinkedList<int> order = [];
        int missed = 0;
        foreach (TracePacket packet in trace.Packets)
        {
            if (nodes.TryGetValue(packet.Flow, out LinkedListNode<int>? node))
            {
                order.Remove(node);
                order.AddFirst(node);
                continue;
            }

            missed++;
            if (nodes.Count == size)
            {
                nodes.Remove(order.Last!.Value);
                order.RemoveLast();
            }

            nodes[packet.Flow] = order.AddFirst(packet.Flow);
        }

        return missed;
    }

    /// <summary>Knows the future (Belady 1966), also that a flow is not worth a place: nothing can miss less.</summary>
    public static int Belady(PacketTrace trace, int size)
    {
        IReadOnlyList<TracePacket> packets = trace.Packets;
        int[] next = new int[packets.Count];
        Dictionary<int, int> seen = [];
        for (int i = packets.Count - 1; i >= 0; i--)
        {
            next[i] = seen.TryGetValue(packets[i].Flow, out int later) ? later : int.MaxValue;
            seen[packets[i].Flow] = i;
        }

        SortedSet<(int Next, int Flow)> order = [];
        Dictionary<int, int> nextOf = [];
        int missed = 0;
        for (int i = 0; i < packets.Count; i++)
        {
            int flow = packets[i].Flow;
            if (nextOf.TryGetValue(flow, out int own))
            {
                order.Remove((own, flow));
            }
            else
            {
                missed++;
                if (nextOf.Count == size)
                {
                    (int Next, int Flow) last = order.Max;
                    if (last.Next <= next[i])
                    {
                        continue;
                    }

                    order.Remove(last);
                    nextOf.Remove(last.Flow);
                }
            }

            nextOf[flow] = next[i];
            order.Add((next[i], flow));
        }

        return missed;
    }
}
