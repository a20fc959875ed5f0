using Dpu.Flows.Table;

namespace Dpu.Flows.Tests.Table;

[TestClass]
public class ActivityBitsTests
{
    [TestMethod]
    [TestCategory("unit")]
    [DataRow(64)]
    [DataRow(5000)]
    [DataRow(3 * 4096)]
    public void AnyOrder_OfSettingForgettingAndReading_IsThatOfASet(int capacity)
    {
        var random = new Random(capacity);
        var bits = new ActivityBits(capacity);
        var model = new bool[capacity];
        var read = new ulong[bits.Words];
        Assert.AreEqual((capacity + 63) / 64, bits.Words);
        for (int step = 0; step < 4000; step++)
        {
            int index = random.Next(capacity);
            switch (random.Next(8))
            {
                case 0:
                    bits.Unset(index);
                    model[index] = false;
                    break;
                case 1:
                    // Half of all readings are whole.
                    bool clear = random.Next(2) == 0;
                    int first = random.Next(2) == 0 ? 0 : random.Next(bits.Words);
                    int asked = first == 0 ? bits.Words : random.Next(1, bits.Words + 1);
                    int words = bits.Read(first, read.AsSpan(0, asked), clear);
                    Assert.AreEqual(Math.Min(asked, bits.Words - first), words);
                    for (int i = first * 64; i < Math.Min(capacity, (first + words) * 64); i++)
                    {
                        Assert.AreEqual(model[i], ((read[(i / 64) - first] >> (i & 63)) & 1) != 0, $"entry {i} in step {step}");
                        model[i] &= !clear;
                    }

                    break;
                default:
                    bits.Set(index);
                    model[index] = true;
                    break;
            }
        }
    }

    [TestMethod]
    [TestCategory("unit")]
    public void WhatIsSetBesideAReaderThatTakes_IsToldOnceAtLeast()
    {
        const int Capacity = 2 * 4096;
        const int Hits = 20_000;
        var bits = new ActivityBits(Capacity);
        var told = new int[Capacity];
        using var done = new CancellationTokenSource();
        using var limit = new CancellationTokenSource(TimeSpan.FromMinutes(1));
        Task reader = Task.Run(() =>
        {
            var read = new ulong[bits.Words];
            var random = new Random(1);
            while (!done.IsCancellationRequested)
            {
                // Mostly whole segments; parts of one too.
                int first = random.Next(4) == 0 ? random.Next(bits.Words) : 0;
                int words = bits.Read(first, read, clear: true);
                for (int word = 0; word < words; word++)
                {
                    for (ulong left = read[word]; left != 0; left &= left - 1)
                    {
                        Interlocked.Increment(ref told[((first + word) * 64) + System.Numerics.BitOperations.TrailingZeroCount(left)]);
                    }
                }
            }
        });
        Task[] setters = [.. Enumerable.Range(0, 2).Select(setter => Task.Run(() =>
        {
            for (int hit = 0; hit < Hits; hit++)
            {
                // The setters' entries share words.
                int index = (((hit * 67) % (Capacity / 2)) * 2) + setter;
                int before = Volatile.Read(ref told[index]);
                bits.Set(index);
                while (Volatile.Read(ref told[index]) == before)
                {
                    Assert.IsFalse(limit.IsCancellationRequested, $"hit {hit} of entry {index} was lost");
                    Thread.Yield();
                }
            }
        }))];
        try
        {
            Task.WaitAll(setters);
        }
        finally
        {
            done.Cancel();
            reader.Wait();
        }
    }
}
