using Dpu.Flows.Classifier;
using Dpu.Flows.Keys;
using Dpu.Flows.Tests.Support;
using FsCheck;
using FsCheck.Fluent;

namespace Dpu.Flows.Tests.Classifier;

/// <summary>Every way through the classifier against comparing with all rules.</summary>
[TestClass]
public sealed class ClassifierTests
{
    /// <summary>Tables only; trees as soon as there are two tables; and few tables, so that rules must share them.</summary>
    private static readonly ClassifierOptions[] _shapes =
    [
        new() { CompileAboveTables = int.MaxValue, CompileAboveRules = int.MaxValue },
        new() { CompileAboveTables = 1, FewTables = 1, CompileInBackground = false },
        new() { CompileAboveTables = int.MaxValue, CompileAboveRules = int.MaxValue, MaxTables = 3, MaxChain = 2 },
        new() { CompileAboveTables = 6, FewTables = 2, CompileAboveRules = 30, CompileInBackground = false, MaxChain = 1 },
    ];

    [TestMethod, TestCategory("unit")]
    public void Lookup_OfAnyRulesAndChanges_IsWhatBruteForceFinds() =>
        Prop.ForAll((from seed in Gen.Choose(0, int.MaxValue) from shape in Gen.Choose(0, _shapes.Length - 1) select (seed, shape)).ToArbitrary(), item =>
        {
            RuleSets sets = new(item.seed);
            FlowClassifier classifier = new(_shapes[item.shape]);
            BruteForce oracle = new();
            using ClassifierReader plain = classifier.CreateReader(cached: false), cached = classifier.CreateReader();
            List<(uint Id, (int, long) Name, FlowMatch Match)> live = [];
            uint value = 0;
            for (int batch = 0; batch < 6; batch++)
            {
                int changes = sets.Random.Next(60);
                for (int i = 0; i < changes; i++)
                {
                    if (live.Count > 0 && sets.Random.Next(3) == 0)
                    {
                        int which = sets.Random.Next(live.Count);
                        classifier.Remove(live[which].Id);
                        oracle.Remove(live[which].Name);
                        live.RemoveAt(which);
                    }
                    else
                    {
                        FlowMatch match = sets.Match();
                        ushort priority = (ushort)sets.Random.Next(8);
                        live.Add((classifier.Add(match, priority, ++value), oracle.Add(match, priority, value), match));
                    }
                }

                classifier.Publish();
                Compare(sets, oracle, plain, cached, [.. live.Select(rule => rule.Match)]);
            }

            return classifier.Statistics.Rules == oracle.Count && classifier.Statistics.CompileFailure is null;
        }).Check(Config.QuickThrowOnFailure.WithMaxTest(150));

    [TestMethod, TestCategory("unit")]
    public void Explain_OfAnyPacket_GivesAMaskUnderWhichAllPacketsHaveItsResult() =>
        Prop.ForAll((from seed in Gen.Choose(0, int.MaxValue) from shape in Gen.Choose(0, _shapes.Length - 1) select (seed, shape)).ToArbitrary(), item =>
        {
            RuleSets sets = new(item.seed);
            FlowClassifier classifier = new(_shapes[item.shape]);
            BruteForce oracle = new();
            List<FlowMatch> matches = [];
            for (uint value = 0; value < 80; value++)
            {
                FlowMatch match = sets.Match();
                matches.Add(match);
                ushort priority = (ushort)sets.Random.Next(8);
                classifier.Add(match, priority, value);
                oracle.Add(match, priority, value);
            }

            classifier.Publish();
            using ClassifierReader reader = classifier.CreateReader(cached: false);
            for (int i = 0; i < 40; i++)
            {
                FlowKey key = sets.PacketOf(matches[sets.Random.Next(matches.Count)]);
                uint expected = oracle.Lookup(key);
                Assert.AreEqual(expected, reader.Explain(key, out FlowMask mask));
                for (int other = 0; other < 20; other++)
                {
                    FlowKey packet = sets.PacketOf(matches[sets.Random.Next(matches.Count)]);
                    for (int word = 0; word < FlowKey.Words; word++)
                    {
                        packet.SetWord(word, (packet.Word(word) & ~mask.Bits.Word(word)) | (key.Word(word) & mask.Bits.Word(word)));
                    }

                    Assert.AreEqual(expected, oracle.Lookup(packet), "a packet that agrees under the mask");
                }
            }

            return true;
        }).Check(Config.QuickThrowOnFailure.WithMaxTest(60));

    [TestMethod, TestCategory("unit")]
    public void Explain_OfOneRuleAmongOthers_LeavesBitsOutThatDoNotMatter()
    {
        FlowClassifier classifier = new();
        FlowMatch web = FlowMatch.Any;
        (web.Key.IpDst, web.Mask.Bits.IpDst) = (new Address128(0x0a000000), Address128.Prefix(8));
        web.TpDst = new PortRange(80, 443);
        classifier.Add(web, 10, 1);
        classifier.Add(FlowMatch.Any, 1, 2);
        classifier.Publish();
        using ClassifierReader reader = classifier.CreateReader();
        Assert.AreEqual(1u, reader.Explain(new FlowKey { IpDst = new Address128(0x0a010203), TpDst = 200, TpSrc = 5 }, out FlowMask hit));
        Assert.AreEqual((0xff000000u, (ushort)0, (ushort)0xff80), (hit.Bits.IpDst.Word0, hit.Bits.TpSrc, hit.Bits.TpDst), "ports 128 to 255 lie in the range");
        List<LookupStep> steps = [];
        Assert.AreEqual(2u, reader.Explain(new FlowKey { IpDst = new Address128(0x0b010203), TpDst = 200 }, out FlowMask miss, steps));
        Assert.AreEqual((ushort)0, miss.Bits.TpDst, "the address alone said that the first rule does not match");
        Assert.AreEqual(2, steps.Count);
        Assert.AreEqual((null, 2u), (steps[0].Hit, steps[1].Hit));
    }

    [TestMethod, TestCategory("unit")]
    public void Publish_OfABatch_IsSeenAsOne()
    {
        FlowClassifier classifier = new();
        using ClassifierReader reader = classifier.CreateReader();
        uint first = classifier.Add(FlowMatch.Any, 1, 1);
        Assert.AreEqual(ClassifierReader.None, reader.Lookup(default), "not yet");
        classifier.Publish();
        Assert.AreEqual(1u, reader.Lookup(default));
        classifier.Remove(first);
        classifier.Add(FlowMatch.Any, 1, 2);
        Assert.AreEqual(1u, reader.Lookup(default), "neither is visible yet");
        classifier.Publish();
        Assert.AreEqual(2u, reader.Lookup(default));
        Assert.Throws<InvalidOperationException>(() => classifier.Remove(first));
    }

    [TestMethod, TestCategory("unit")]
    public void Lookup_OfEqualPriorities_GivesTheOldest()
    {
        FlowClassifier classifier = new();
        using ClassifierReader reader = classifier.CreateReader();
        uint first = classifier.Add(FlowMatch.Any, 5, 1);
        FlowMatch narrow = FlowMatch.Any;
        narrow.Mask.Bits.IpProto = 0xff;
        classifier.Add(narrow, 5, 2);
        classifier.Publish();
        Assert.AreEqual(1u, reader.Lookup(default));
        classifier.Remove(first);
        classifier.Publish();
        Assert.AreEqual(2u, reader.Lookup(default));
    }

    [TestMethod, TestCategory("unit")]
    public void Add_OfManyMasks_KeepsTablesAtTheirCap()
    {
        // An attacker who chooses masks: 4,000 different ones.
        FlowClassifier classifier = new(new ClassifierOptions { CompileAboveTables = int.MaxValue, CompileAboveRules = int.MaxValue, MaxTables = 64 });
        BruteForce oracle = new();
        Random random = new(7);
        for (uint i = 0; i < 4000; i++)
        {
            FlowMatch match = FlowMatch.Any;
            match.Mask.Bits.IpSrc.Word0 = (uint)random.NextInt64();
            match.Mask.Bits.EthDst = (ulong)random.NextInt64();
            match.Key.IpSrc.Word0 = (uint)random.NextInt64();
            classifier.Add(match, (ushort)random.Next(100), i);
            oracle.Add(match.Canonical(), 0, i);
        }

        classifier.Publish();
        Assert.IsLessThanOrEqualTo(65, classifier.Statistics.Tables, "the cap, and the one for all that are left");
        Assert.AreEqual(4000, classifier.Statistics.Rules);
    }

    [TestMethod, TestCategory("unit")]
    public void Remove_OfEverything_GivesMemoryBack()
    {
        FlowClassifier classifier = new(_shapes[3]);
        RuleSets sets = new(5);
        for (int round = 0; round < 4; round++)
        {
            List<uint> ids = [];
            for (uint i = 0; i < 300; i++)
            {
                ids.Add(classifier.Add(sets.Match(), (ushort)(i % 9), i));
            }

            classifier.Publish();
            ids.ForEach(classifier.Remove);
            classifier.Publish();
            classifier.Publish();
            Assert.AreEqual(0, classifier.Statistics.Rules);
            using ClassifierReader reader = classifier.CreateReader();
            Assert.AreEqual(ClassifierReader.None, reader.Lookup(sets.Packet()));
        }

        Assert.IsLessThan(1000, classifier.Rules.Count, "rules that trees still name are few");
    }

    [TestMethod, TestCategory("unit")]
    public void Lookup_OfBatches_AllocatesNothing()
    {
        FlowClassifier classifier = new(_shapes[1]);
        RuleSets sets = new(3);
        for (uint i = 0; i < 200; i++)
        {
            classifier.Add(sets.Match(), (ushort)(i % 9), i);
        }

        classifier.Publish();
        using ClassifierReader plain = classifier.CreateReader(cached: false), cached = classifier.CreateReader();
        KeyBuffer keys = new(256);
        for (int i = 0; i < keys.Capacity; i++)
        {
            keys[i] = sets.Packet();
        }

        uint[] values = new uint[keys.Capacity];
        foreach (ClassifierReader reader in (ClassifierReader[])[plain, cached])
        {
            long allocated = long.MaxValue;
            for (int round = 0; round < 6; round++)
            {
                long before = GC.GetAllocatedBytesForCurrentThread();
                reader.Lookup(keys, keys.Capacity, values);
                allocated = Math.Min(allocated, GC.GetAllocatedBytesForCurrentThread() - before);
            }

            Assert.AreEqual(0, allocated);
        }

        Assert.IsGreaterThan(0, cached.CacheStatistics.SignatureHits);
        Assert.IsGreaterThan(0, cached.CacheStatistics.ExactHits);
    }

    private static void Compare(RuleSets sets, BruteForce oracle, ClassifierReader plain, ClassifierReader cached, List<FlowMatch> matches)
    {
        KeyBuffer keys = new(60);
        uint[] values = new uint[keys.Capacity];
        for (int i = 0; i < keys.Capacity; i++)
        {
            // Some twice in a batch, most of them such that something matches.
            keys[i] = i % 5 == 4 ? keys[i - 1] : matches.Count > 0 && i % 3 > 0 ? sets.PacketOf(matches[sets.Random.Next(matches.Count)]) : sets.Packet();
        }

        foreach (ClassifierReader reader in (ClassifierReader[])[plain, cached, cached])
        {
            reader.Lookup(keys, keys.Capacity, values);
            for (int i = 0; i < keys.Capacity; i++)
            {
                Assert.AreEqual(oracle.Lookup(keys[i]), values[i], $"packet {i}");
            }
        }
    }
}
