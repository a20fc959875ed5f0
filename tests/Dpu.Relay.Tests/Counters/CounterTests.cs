using Dpu.Linux;
using Dpu.TestSupport;
using Microsoft.Win32.SafeHandles;

namespace Dpu.Relay.Tests.Counters;

/// <summary>A counter of eventfd(2) and its twin.</summary>
[TestClass]
public sealed unsafe class CounterTests : IDisposable
{
    private readonly Twins _twins = new();

    public void Dispose() => _twins.Dispose();

    [TestMethod]
    [TestCategory("unit")]
    public void Additions_ShowAtTheOtherEnd_AndReadsDrainBoth()
    {
        using SafeFileHandle original = Make(5, 0);
        using SafeFileHandle twin = _twins.Pass(original);
        AssertReads(5, twin);
        AssertEmpty(original);
        Add(original, 2);
        Add(twin, 3);
        AssertReads(5, original);
        AssertEmpty(twin);
        Add(twin, 7);
        AssertReads(7, original);
        AssertEmpty(twin);
    }

    [TestMethod]
    [TestCategory("unit")]
    public void Semaphore_GivesOneForEachRead()
    {
        using SafeFileHandle original = Make(0, eventfd_h.EFD_SEMAPHORE);
        using SafeFileHandle twin = _twins.Pass(original);
        Add(original, 3);
        for (int i = 0; i < 3; i++)
        {
            AssertReads(1, twin);
        }

        AssertEmpty(twin);
        AssertEmpty(original);
    }

    [TestMethod]
    [TestCategory("unit")]
    [DataRow(0)]
    [DataRow(eventfd_h.EFD_SEMAPHORE)]
    public void ManyWritersAndOneReader_EachCountIsReadOnce(int flags)
    {
        const int Rounds = 20_000;
        using SafeFileHandle original = Make(0, flags);
        using SafeFileHandle twin = _twins.Pass(original);
        Thread[] writers = [.. new[] { original, twin, original }.Select(end => new Thread(() =>
        {
            for (int i = 0; i < Rounds; i++)
            {
                Add(end, 1);
            }
        }))];
        Array.ForEach(writers, writer => writer.Start());
        long read = 0;
        Eventually.True(
            () =>
            {
                while (TryRead(twin, out ulong value))
                {
                    read += (long)value;
                }

                return read >= 3 * Rounds;
            },
            Twins.Limit,
            "all counts");
        Array.ForEach(writers, writer => writer.Join());
        AssertEmpty(original);
        AssertEmpty(twin);
        Assert.AreEqual(3 * Rounds, read);
    }

    [TestMethod]
    [TestCategory("unit")]
    public void ProgramThatFillsTheCounter_EndsIt_AndNothingHangs()
    {
        using SafeFileHandle original = Make(0, 0);
        using SafeFileHandle twin = _twins.Pass(original);
        Add(original, ulong.MaxValue - 1);
        Add(twin, 1);
        _twins.AssertOver();
    }

    [TestMethod]
    [TestCategory("unit")]
    public void LinkThatBreaks_LeavesEachEndItsOwn_AndNothingIsLeft()
    {
        using SafeFileHandle original = Make(0, 0);
        using SafeFileHandle twin = _twins.Pass(original);
        Add(original, 1);
        AssertReads(1, twin);

        // What the other end has taken is told; a link that breaks before leaves it here too.
        Eventually.True(() => Dpu.Relay.Descriptors.EventCounter.Look((int)original.DangerousGetHandle()).Count == 0, Twins.Limit, "what was taken");
        _twins.Break();
        _twins.AssertOver();
        Add(original, 4);
        AssertReads(4, original);
    }

    private static SafeFileHandle Make(uint value, int flags) => new(LibC.eventfd(value, flags | eventfd_h.EFD_CLOEXEC | eventfd_h.EFD_NONBLOCK), ownsHandle: true);

    private static void Add(SafeFileHandle counter, ulong count) =>
        Assert.AreEqual(sizeof(ulong), (int)LibC.write((int)counter.DangerousGetHandle(), &count, sizeof(ulong)));

    private static bool TryRead(SafeFileHandle counter, out ulong value)
    {
        ulong read = 0;
        bool there = LibC.read((int)counter.DangerousGetHandle(), &read, sizeof(ulong)) == sizeof(ulong);
        value = read;
        return there;
    }

    // Looked at in /proc, for a read would take it.
    private static void AssertReads(ulong expected, SafeFileHandle counter)
    {
        Eventually.True(() => Dpu.Relay.Descriptors.EventCounter.Look((int)counter.DangerousGetHandle()).Count >= expected, Twins.Limit, $"{expected} at the counter");
        Assert.IsTrue(TryRead(counter, out ulong value));
        Assert.AreEqual(expected, value);
    }

    private static void AssertEmpty(SafeFileHandle counter) =>
        Eventually.True(() => Dpu.Relay.Descriptors.EventCounter.Look((int)counter.DangerousGetHandle()).Count == 0, Twins.Limit, "an empty counter");
}
