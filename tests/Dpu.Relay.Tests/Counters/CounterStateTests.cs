using Dpu.Relay.Counters;
using FsCheck;
using FsCheck.Fluent;

namespace Dpu.Relay.Tests.Counters;

/// <summary>Two ends of a counter, and what each hears of the other, in any order.</summary>
[TestClass]
public sealed class CounterStateTests
{
    [TestMethod]
    [TestCategory("unit")]
    [DataRow(false)]
    [DataRow(true)]
    public void ReaderOfOneEnd_HasEachCountOnce_WhateverTheOrder(bool semaphore) => Prop.ForAll<byte[]>(steps =>
    {
        var ends = new End[] { new(semaphore), new(semaphore) };
        ulong added = 0;
        ulong read = 0;
        foreach (byte step in steps)
        {
            End one = ends[step & 1];
            switch ((step >> 1) % 4)
            {
                case 0:
                    one.Value += (ulong)(step >> 3) + 1;
                    added += (ulong)(step >> 3) + 1;
                    break;
                case 1:
                    // One end alone has readers.
                    read += ends[1].Read();
                    break;
                case 2:
                    one.Look();
                    break;
                default:
                    Tell(one, ends[1 - (step & 1)]);
                    break;
            }
        }

        for (int i = 0; i < 4; i++)
        {
            Tell(ends[i & 1], ends[1 - (i & 1)]);
        }

        Assert.AreEqual(added, read + ends[1].Value, "what was read and what is left is what was added");
        Assert.AreEqual(ends[0].Value, ends[1].Value);
    }).QuickCheckThrowOnFailure();

    [TestMethod]
    [TestCategory("unit")]
    [DataRow(false)]
    [DataRow(true)]
    public void ReadersOfBothEnds_LoseNothing(bool semaphore) => Prop.ForAll<byte[]>(steps =>
    {
        var ends = new End[] { new(semaphore), new(semaphore) };
        ulong added = 0;
        ulong read = 0;
        foreach (byte step in steps)
        {
            End one = ends[step & 1];
            one.Look();
            if ((step & 6) == 0)
            {
                one.Value += 3;
                added += 3;
            }
            else if ((step & 6) == 2)
            {
                read += one.Read();
            }
            else
            {
                Tell(one, ends[1 - (step & 1)]);
            }

            one.Look();
        }

        for (int i = 0; i < 4; i++)
        {
            Tell(ends[i & 1], ends[1 - (i & 1)]);
        }

        Assert.IsGreaterThanOrEqualTo(added, read + ends[1].Value);
        Assert.AreEqual(ends[0].Value, ends[1].Value);
    }).QuickCheckThrowOnFailure();

    [TestMethod]
    [TestCategory("unit")]
    public void WhatAnHonestPeerNeverTells_IsRefused()
    {
        var state = new CounterState(semaphore: false);
        Assert.IsTrue(state.Observe(5));
        Assert.IsFalse(state.TryHear(new byte[CounterState.Size - 1]));
        Assert.IsFalse(state.TryHear(Told(0, 0, 6)), "more taken than was added here");
        Assert.IsFalse(state.TryHear(Told(1, 2, 0)), "more taken than was added there");
        Assert.IsFalse(state.TryHear(Told(CounterState.Most + 1, 0, 0)));
        Assert.IsTrue(state.TryHear(Told(7, 0, 5)));
        Assert.IsFalse(state.TryHear(Told(6, 0, 5)), "less than before");
        Assert.AreEqual(7UL, state.Pending);
        Assert.IsFalse(state.Observe(ulong.MaxValue - 1), "more than can be told");
    }

    [TestMethod]
    [TestCategory("unit")]
    public void AnyBytes_AreHeardOrRefused() => Prop.ForAll<byte[]>(bytes =>
    {
        var state = new CounterState(semaphore: true);
        _ = state.Observe(3);
        _ = state.TryHear(bytes);
        Assert.IsLessThanOrEqualTo(2 * CounterState.Most, state.Pending);
    }).QuickCheckThrowOnFailure();

    private static byte[] Told(params ulong[] totals) => [.. totals.SelectMany(BitConverter.GetBytes)];

    private static void Tell(End from, End to)
    {
        from.Look();
        byte[] told = new byte[CounterState.Size];
        from.State.Tell(told);
        to.Look();
        Assert.IsTrue(to.State.TryHear(told));
        to.Value = to.State.Pending;
        to.State.Set(to.Value);
    }

    private sealed class End(bool semaphore)
    {
        public CounterState State = new(semaphore);

        public ulong Value { get; set; }

        public void Look() => Assert.IsTrue(State.Observe(Value));

        public ulong Read()
        {
            ulong read = semaphore ? Math.Min(Value, 1) : Value;
            Value -= read;
            return read;
        }
    }
}
