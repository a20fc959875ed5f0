using Dpu.Flows.Classifier;
using Dpu.Flows.Keys;
using Dpu.Linux;

namespace Dpu.Benchmarks.Flows;

/// <summary>What the works of <c>bench flows</c> share: pinned threads, headers, timed look-ups.</summary>
internal static class Measure
{
    private static readonly TimeSpan Span = TimeSpan.FromSeconds(0.5);

    /// <summary>Binds the calling thread to a processor.</summary>
    public static unsafe void Pin(int processor)
    {
        // Sixteen words: more processors than the kernel's default bound has.
        ulong* mask = stackalloc ulong[16];
        new Span<ulong>(mask, 16).Clear();
        mask[processor / 64] = 1ul << (processor & 63);

        // SAFETY: the mask has the size that is given.
        if (LibC.sched_setaffinity(0, 16 * sizeof(ulong), mask) != 0)
        {
            throw new IOException($"sched_setaffinity to processor {processor} failed; is it allowed here?");
        }
    }

    /// <summary>
    /// Millions of look-ups a second, of all headers again and again. Seconds are those that the thread has the processor, as
    /// the peer's are: what else runs on the machine takes from the caches, and not from the time.
    /// </summary>
    public static double Lookups(ClassifierReader reader, KeyBuffer[] batches, uint[] values)
    {
        TimeSpan start = LibC.ThreadTime();
        long done = 0;
        do
        {
            foreach (KeyBuffer batch in batches)
            {
                reader.Lookup(batch, batch.Capacity, values);
                done += batch.Capacity;
            }
        }
        while (LibC.ThreadTime() - start < Span);
        return done / (LibC.ThreadTime() - start).TotalSeconds / 1e6;
    }

    /// <summary>Headers in batches of 256.</summary>
    public static KeyBuffer[] Batches(KeyBuffer headers)
    {
        KeyBuffer[] batches = new KeyBuffer[headers.Capacity / 256];
        for (int i = 0; i < batches.Length; i++)
        {
            batches[i] = new KeyBuffer(256);
            headers.Span.Slice(i * 256, 256).CopyTo(batches[i].Span);
        }

        return batches;
    }

    /// <summary>Headers of rules chosen uniformly; a tenth has random addresses, which mostly miss.</summary>
    public static KeyBuffer Headers(ClassicRule[] rules, int count, int seed)
    {
        Random random = new(seed);
        KeyBuffer headers = new(count);
        for (int i = 0; i < count; i++)
        {
            headers[i] = RuleGenerator.HeaderOf(rules[random.Next(rules.Length)], random);
            if (random.Next(10) == 0)
            {
                headers[i].IpSrc.Word0 = (uint)random.NextInt64(1L << 32);
                headers[i].IpDst.Word0 = (uint)random.NextInt64(1L << 32);
            }
        }

        return headers;
    }

    /// <summary>The rules in a classifier, compiled as far as it wants; values are from 1 on.</summary>
    public static FlowClassifier Build(ClassicRule[] rules, ClassifierOptions? options, out uint[] ids)
    {
        FlowClassifier classifier = new(options);
        ids = new uint[rules.Length];
        for (int i = 0; i < rules.Length; i++)
        {
            ids[i] = classifier.Add(rules[i].ToMatch(), PriorityOf(i, rules.Length), (uint)i + 1);
        }

        classifier.Publish();
        classifier.WhenCompiled().Wait();
        return classifier;
    }

    /// <summary>The first rules have the highest priority; equal ones keep their order.</summary>
    public static ushort PriorityOf(int rule, int count) => (ushort)(65535 - (rule * 65535L / Math.Max(1, count)));

    /// <summary>Compares a sample with brute force; throws where one differs.</summary>
    public static void Verify(ClassicRule[] rules, KeyBuffer headers, ClassifierReader reader, int sample)
    {
        FlowMatch[] matches = [.. rules.Select(rule => rule.ToMatch())];
        for (int n = 0; n < sample; n++)
        {
            int i = n * (headers.Capacity / sample);
            uint expected = ClassifierReader.None;
            for (int rule = 0; rule < matches.Length && expected == ClassifierReader.None; rule++)
            {
                expected = matches[rule].Matches(headers[i]) ? (uint)rule + 1 : expected;
            }

            uint found = reader.Lookup(headers[i]);
            if (found != expected)
            {
                throw new InvalidOperationException($"header {i} gives rule {found}; comparing with all gives {expected}");
            }
        }
    }
}
