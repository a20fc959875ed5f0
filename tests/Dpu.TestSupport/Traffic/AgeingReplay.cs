using Dpu.Flows.Ageing;
using Dpu.Flows.Classifier;
using Dpu.Flows.Nic;
using Dpu.Flows.Table;

namespace Dpu.TestSupport.Traffic;

/// <summary>Plays a trace against <see cref="OffloadAgeing"/> on an emulated NIC.</summary>
public static class AgeingReplay
{
    /// <summary>Returns packets that were not in the NIC, what ageing did, and entries in the NIC at the end.</summary>
    public static (int Missed, OffloadStatistics Statistics, int InNic) Run(PacketTrace trace, int size, NicFaults? faults = null)
    {
        EmulatedNic nic = new(size, faults);
        OffloadAgeing ageing = new(nic);
        TimeSpan poll = OffloadAgeing.PollInterval;
        int missed = 0;
        foreach (TracePacket packet in trace.Packets)
        {
            for (; packet.Time >= poll; poll += OffloadAgeing.PollInterval)
            {
                ageing.Poll();
            }

            if (ageing.TryGetHandle((ulong)packet.Flow, out NicHandle handle))
            {
                nic.Touch(handle, 1, 64);
            }
            else
            {
                missed++;
                ageing.Offer([FlowOf(packet.Flow)]);
            }
        }

        return (missed, ageing.Statistics, nic.Count);
    }

    /// <summary>A flow that no other number's is.</summary>
    public static NicFlow FlowOf(int number)
    {
        FlowMatch match = FlowMatch.Any;
        (match.Key.InPort, match.Mask.Bits.InPort) = ((uint)number, uint.MaxValue);
        return new NicFlow((ulong)number, 1, match, [FlowAction.Output(1)]);
    }
}
