using Dpu.Flows.Classifier;
using Dpu.Flows.Keys;
using Dpu.Flows.Tests.Support;

namespace Dpu.Flows.Tests.Classifier;

/// <summary>Readers beside a writer who changes, compiles and gives memory back all the time.</summary>
[TestClass]
public sealed class ConcurrentTests
{
    /// <summary>
    /// Each batch moves a generation of rules as a whole to the next one. All rules of a generation match the same packets, so a
    /// reader who sees part of a batch, a rule of no generation, or none gives a wrong value.
    /// </summary>
    [TestMethod, TestCategory("unit")]
    [DataRow(false)]
    [DataRow(true)]
    public void Lookup_BesideAWriter_SeesWholeBatchesOnly(bool compiled)
    {
        FlowClassifier classifier = new(compiled
            ? new ClassifierOptions { CompileAboveTables = 3, FewTables = 2, MaxChain = 3 }
            : new ClassifierOptions { CompileAboveTables = int.MaxValue, CompileAboveRules = int.MaxValue });
        RuleSets sets = new(11);
        FlowMatch[] stable = [.. Enumerable.Range(0, 300).Select(_ => sets.Match())];
        for (uint i = 0; i < stable.Length; i++)
        {
            classifier.Add(stable[i], 1, 1_000_000 + i);
        }

        // Two rules that cover every packet between them, above all others.
        FlowMatch low = FlowMatch.Any, high = FlowMatch.Any;
        low.TpDst = new PortRange(0, 1023);
        high.TpDst = new PortRange(1024, 65535);
        const uint Generations = 1500;
        uint published = 0;
        uint[] ids = [classifier.Add(low, 9, 0), classifier.Add(high, 9, 0)];
        classifier.Publish();
        string? wrong = null;
        bool ended = false;
        Thread[] readers = [.. Enumerable.Range(0, 2).Select(number => new Thread(() => wrong ??= Read(number)) { IsBackground = true })];
        foreach (Thread reader in readers)
        {
            reader.Start();
        }

        Queue<uint> churn = new();
        for (uint generation = 1; generation <= Generations; generation++)
        {
            Array.ForEach(ids, classifier.Remove);
            ids = [classifier.Add(low, 9, generation), classifier.Add(high, 9, generation)];
            for (uint i = 0; i < 10; i++)
            {
                churn.Enqueue(classifier.Add(sets.Match(), (ushort)(2 + (i % 6)), 2_000_000));
                if (churn.Count > 200)
                {
                    classifier.Remove(churn.Dequeue());
                }
            }

            Volatile.Write(ref published, generation);
            classifier.Publish();
        }

        Volatile.Write(ref ended, true);
        foreach (Thread reader in readers)
        {
            Assert.IsTrue(reader.Join(TimeSpan.FromSeconds(30)));
        }

        Assert.IsNull(wrong);
        Assert.IsNull(classifier.Statistics.CompileFailure);
        if (compiled)
        {
            Assert.IsTrue(classifier.WhenCompiled().Wait(TimeSpan.FromSeconds(30)));
            Assert.IsGreaterThan(1, classifier.Statistics.Compilations);
        }

        string? Read(int number)
        {
            RuleSets packets = new(100 + number);
            using ClassifierReader reader = classifier.CreateReader(cached: number == 0);
            KeyBuffer keys = new(ClassifierReader.MaxBatch);
            uint[] values = new uint[keys.Capacity];
            uint last = 0;
            while (!Volatile.Read(ref ended))
            {
                for (int i = 0; i < keys.Capacity; i++)
                {
                    keys[i] = packets.Packet();
                }

                reader.Lookup(keys, keys.Capacity, values);
                uint latest = Volatile.Read(ref published);
                foreach (uint value in values)
                {
                    if (value != values[0] || value < last || value > latest)
                    {
                        return $"got {value} in a batch of {values[0]}, after {last}, before {latest}";
                    }
                }

                last = values[0];
            }

            return null;
        }
    }
}
