using Dpu.Flows.Ageing;
using Dpu.Flows.Classifier;
using Dpu.Flows.Nic;
using Dpu.Flows.Table;
using Dpu.Flows.Tests.Support;
using Dpu.TestSupport.Traffic;

namespace Dpu.Flows.Tests.Ageing;

[TestClass]
public sealed class OffloadAgeingTests
{
    // Not the seed by which the policy's constants were chosen (2).
    private const int Seed = 1;

    /// <summary>The bar of SPECIFICATION.md, on all families.</summary>
    [TestMethod, TestCategory("unit")]
    public void Offer_OnAllFamilies_MissesFewerPacketsThanATimeoutOfTenSeconds()
    {
        List<double> ratios = [];
        foreach (PacketTrace trace in TraceFamilies.All(Seed))
        {
            int timeout = TableBaselines.FixedTimeout(trace, TraceFamilies.TableSize, TimeSpan.FromSeconds(10));
            int ours = AgeingReplay.Run(trace, TraceFamilies.TableSize, NicFaults.None).Missed;
            if (trace.Name is "periodic")
            {
                Assert.IsGreaterThanOrEqualTo(TableBaselines.Belady(trace, TraceFamilies.TableSize), ours, "nothing can miss less than who knows the future");
            }

            Assert.IsLessThanOrEqualTo(1.05, ours / (double)timeout, trace.Name);
            ratios.Add(ours / (double)timeout);
        }

        ratios.Sort();
        Assert.IsGreaterThanOrEqualTo(6, ratios.Count);
        double median = (ratios[(ratios.Count - 1) / 2] + ratios[ratios.Count / 2]) / 2;
        Assert.IsLessThanOrEqualTo(0.7, median);
    }

    [TestMethod, TestCategory("unit")]
    public void Baselines_OnASmallTrace_AreWhatOneCountsByHand()
    {
        PacketTrace trace = new("small", [.. new[] { 1, 2, 3, 1, 2, 3, 1, 2, 3 }.Select((flow, i) => new TracePacket(TimeSpan.FromSeconds(i), flow))]);
        Assert.AreEqual(9, TableBaselines.LeastRecentlyUsed(trace, 2), "a circle that is larger than the table");
        Assert.AreEqual(5, TableBaselines.Belady(trace, 2), "1 and 2 stay: each 3 misses");
        Assert.AreEqual(5, TableBaselines.FixedTimeout(trace, 2, TimeSpan.FromSeconds(10)), "no room for 3");
        Assert.AreEqual(9, TableBaselines.FixedTimeout(trace, 3, TimeSpan.FromSeconds(2)));
        Assert.AreEqual(3, TableBaselines.LeastRecentlyUsed(trace, 3));
    }

    [TestMethod, TestCategory("unit")]
    public void Offer_WhileThereIsRoom_TakesEverythingAndEvictsNothing()
    {
        OffloadAgeing ageing = new(new EmulatedNic(100));
        Assert.AreEqual(100, ageing.Offer([.. Enumerable.Range(0, 100).Select(Flow)]));
        for (int i = 0; i < 1000; i++)
        {
            ageing.Poll();
        }

        Assert.AreEqual(new OffloadStatistics(100, 100, 0, 0, 0), ageing.Statistics, "no time-out: nobody wants the places");
    }

    [TestMethod, TestCategory("unit")]
    public void Offer_WhenFull_GivesUpWhatIsSilentAndKeepsWhatIsBusy()
    {
        EmulatedNic nic = new(100);
        OffloadAgeing ageing = new(nic);
        ageing.Offer([.. Enumerable.Range(0, 100).Select(Flow)]);
        for (int poll = 0; poll < 40; poll++)
        {
            for (ulong busy = 0; busy < 50; busy++)
            {
                Assert.IsTrue(ageing.TryGetHandle(busy, out NicHandle handle));
                nic.Touch(handle, 1, 64);
            }

            ageing.Poll();
        }

        Assert.AreEqual(50, ageing.Offer([.. Enumerable.Range(100, 50).Select(Flow)]));
        Assert.IsTrue(Enumerable.Range(0, 50).All(i => ageing.TryGetHandle((ulong)i, out _)), "the busy ones stay");
        Assert.IsFalse(Enumerable.Range(50, 50).Any(i => ageing.TryGetHandle((ulong)i, out _)));
        Assert.AreEqual(0, ageing.Offer([Flow(500)]), "all are expected back sooner than a newcomer");
        Assert.AreEqual((100, 50L, 1L), (ageing.Statistics.Offloaded, ageing.Statistics.Evicted, ageing.Statistics.Declined));
        ageing.Remove([3, 4, 999]);
        Assert.AreEqual(98, nic.Count);
        Assert.AreEqual(1, ageing.Offer([Flow(500)]));
    }

    [TestMethod, TestCategory("unit")]
    public void NewcomerWait_DuringAScan_Rises()
    {
        HeatScores scores = new(64);
        float before = scores.NewcomerWait;
        ulong[] none = [0];
        for (int round = 0; round < 50; round++)
        {
            for (int i = 0; i < 64; i++)
            {
                scores.Inserted(i, 0);
            }

            for (int poll = 0; poll < 5; poll++)
            {
                scores.Poll(none);
            }
        }

        Assert.IsGreaterThan(before * 5, scores.NewcomerWait);
    }

    [TestMethod, TestCategory("unit")]
    public void Offer_OnANicThatFails_CountsAndGoesOn()
    {
        PacketTrace trace = TraceFamilies.Elephants(3);
        PacketTrace part = trace with { Packets = [.. trace.Packets.Where(p => p.Time < TimeSpan.FromSeconds(12))] };
        (int missed, OffloadStatistics statistics, int inNic) = AgeingReplay.Run(part, 1000, new NicFaults { LostInsert = 0.1, LostDelete = 0.02, FalselyFull = 0.1 });
        Assert.IsGreaterThan(0, statistics.Failed);
        Assert.IsGreaterThan(0, statistics.Evicted);
        int clean = AgeingReplay.Run(part, 1000, NicFaults.None).Missed;
        Assert.IsGreaterThan(clean, missed);
        Assert.IsLessThan(clean * 2, missed);
        Assert.IsLessThanOrEqualTo(1000, inNic);
        Assert.IsLessThanOrEqualTo(inNic, statistics.Offloaded);
    }

    private static NicFlow Flow(int number) => AgeingReplay.FlowOf(number);
}
