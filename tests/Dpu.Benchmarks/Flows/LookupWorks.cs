using System.Diagnostics;
using Dpu.Benchmarks.Harness;
using Dpu.Flows.Classifier;
using Dpu.Flows.Keys;
using Dpu.Flows.Packets;
using Dpu.TestSupport;

namespace Dpu.Benchmarks.Flows;

/// <summary>Look-ups in rule sets, with and without caches, in rounds that alternate with the peer's.</summary>
internal static class LookupWorks
{
    private const int HeaderCount = 65536;
    private const int UpdatesPerSecond = 10_000;

    /// <summary>One rule set, ours and rte_acl on the same headers and processor.</summary>
    public static void Run(string family, int count, int rounds, string folder, Results results)
    {
        string set = FlowsBenchmark.SetName(family, count);
        ClassicRule[] rules = new RuleGenerator(family, 7).Make(count);
        KeyBuffer headers = Measure.Headers(rules, HeaderCount, 11);
        long begin = Stopwatch.GetTimestamp();
        FlowClassifier classifier = Measure.Build(rules, null, out uint[] ids);
        results.Add($"{set} compile", FlowsBenchmark.Ours, Stopwatch.GetElapsedTime(begin).TotalSeconds);
        results.Add($"{set} memory", FlowsBenchmark.Ours, classifier.Statistics.Bytes / (double)count);
        using ClassifierReader reader = classifier.CreateReader(cached: false);
        Measure.Verify(rules, headers, reader, 2048);
        AclPeer? peer = StartPeer(folder, rules, headers, results, set);
        KeyBuffer[] batches = Measure.Batches(headers);
        uint[] values = new uint[256];
        OnPinnedThread(() =>
        {
            _ = Measure.Lookups(reader, batches, values);
            for (int round = 0; round < rounds; round++)
            {
                results.Add(set, FlowsBenchmark.Ours, Measure.Lookups(reader, batches, values));
                if (peer is not null)
                {
                    results.Add(set, FlowsBenchmark.Scalar, peer.Run(scalar: true));
                    results.Add(set, FlowsBenchmark.Fastest, peer.Run(scalar: false));
                }

                if (count == 50_000)
                {
                    WithUpdates(set, rules, classifier, ids, reader, batches, results);
                    if (peer is not null)
                    {
                        // It cannot be changed in place: the same as without updates.
                        results.Add($"{set} +10k updates/s", FlowsBenchmark.Scalar, peer.Run(scalar: true));
                    }
                }
            }
        });
        if (peer is not null)
        {
            VerifyPeer(peer, headers, reader, count);
            peer.Dispose();
        }
    }

    /// <summary>100,000 packets, Zipf 1.1, from bytes to values, over the 10k access list.</summary>
    public static void RunCached(int rounds, Results results)
    {
        const int Distinct = 100_000, Trace = 1 << 18;
        const string Work = "zipf 100k headers";
        ClassicRule[] rules = new RuleGenerator("acl", 7).Make(10_000);
        KeyBuffer headers = Measure.Headers(rules, Distinct, 13);
        FlowClassifier classifier = Measure.Build(rules, null, out _);
        byte[] packets = new byte[Distinct * 64];
        for (int i = 0; i < Distinct; i++)
        {
            Frames.Write(headers[i], packets.AsSpan(i * 64, 64));
        }

        int[] order = Frames.Zipf(Distinct, Trace, 1.1, 17);
        using ClassifierReader cached = classifier.CreateReader(), plain = classifier.CreateReader(cached: false);
        OnPinnedThread(() =>
        {
            for (int round = -1; round < rounds; round++)
            {
                double ours = Frames.Classify(cached, packets, order), without = Frames.Classify(plain, packets, order);
                if (round >= 0)
                {
                    // The first round fills the caches and compiles.
                    results.Add(Work, FlowsBenchmark.Ours, ours);
                    results.Add(Work, FlowsBenchmark.Uncached, without);
                }
            }
        });
    }

    // One rule of a hundred goes and comes back each time, in batches of 100, 10,000 changes a second.
    private static void WithUpdates(string set, ClassicRule[] rules, FlowClassifier classifier, uint[] ids, ClassifierReader reader, KeyBuffer[] batches, Results results)
    {
        bool ended = false;
        long changes = 0;
        long begin = Stopwatch.GetTimestamp();
        Thread writer = new(() =>
        {
            Measure.Pin(WriterProcessor);
            Random random = new(3);
            while (!Volatile.Read(ref ended))
            {
                for (int i = 0; i < 50; i++)
                {
                    int rule = random.Next(rules.Length);
                    classifier.Remove(ids[rule]);
                    ids[rule] = classifier.Add(rules[rule].ToMatch(), Measure.PriorityOf(rule, rules.Length), (uint)rule + 1);
                }

                classifier.Publish();
                changes += 100;
                while (changes / Stopwatch.GetElapsedTime(begin).TotalSeconds > UpdatesPerSecond && !Volatile.Read(ref ended))
                {
                    Thread.SpinWait(20);
                }
            }
        });
        writer.Start();
        uint[] values = new uint[256];
        double ours = 0;
        for (int part = 0; part < 3; part++)
        {
            ours += Measure.Lookups(reader, batches, values) / 3;
        }

        double rate = changes / Stopwatch.GetElapsedTime(begin).TotalSeconds;
        Volatile.Write(ref ended, true);
        writer.Join();
        results.Add($"{set} +10k updates/s", FlowsBenchmark.Ours, ours);
        results.Add($"{set} updates done", FlowsBenchmark.Ours, rate / 1000);
    }

    private static AclPeer? StartPeer(string folder, ClassicRule[] rules, KeyBuffer headers, Results results, string set)
    {
        try
        {
            AclPeer peer = AclPeer.Start(AclPeer.Compile(folder), folder, rules, headers, 0);
            results.Add($"{set} compile", FlowsBenchmark.Scalar, peer.BuildTime.TotalSeconds);
            return peer;
        }
        catch (Exception e) when (e is UnavailableException or RequirementException)
        {
            results.Unavailable.TryAdd(FlowsBenchmark.Scalar, e.Message);
            return null;
        }
    }

    // Priorities that are equal are 10 of 50,000: a peer may then take another one of the same priority. Ours is checked already.
    private static void VerifyPeer(AclPeer peer, KeyBuffer headers, ClassifierReader reader, int count)
    {
        uint[] found = peer.Results();
        int differing = 0;
        for (int i = 0; i < headers.Capacity; i++)
        {
            uint ours = reader.Lookup(headers[i]);
            differing += (ours == ClassifierReader.None ? 0 : ours) == found[i] ? 0 : 1;
        }

        if (differing > (count == 50_000 ? headers.Capacity / 10 : 0))
        {
            throw new InvalidOperationException($"rte_acl gives another rule for {differing} of {headers.Capacity} headers");
        }
    }

    internal static int WriterProcessor => Environment.ProcessorCount > 1 ? 1 : 0;

    internal static void OnPinnedThread(Action action)
    {
        Exception? failure = null;
        Thread thread = new(() =>
        {
            try
            {
                Measure.Pin(0);
                action();
            }
            catch (Exception e) when (e is not OutOfMemoryException)
            {
                failure = e;
            }
        });
        thread.Start();
        thread.Join();
        if (failure is not null)
        {
            throw new InvalidOperationException($"bench flows: {failure.Message}", failure);
        }
    }
}
