using FsCheck;
using FsCheck.Fluent;

namespace Dpu.Fuse.Tests.Passthrough;

[TestClass]
public sealed class LockRangesTests
{
    // Where ranges of the model end; the last byte of the model stands for all that follow.
    private const int Size = 24;

    [TestMethod, TestCategory("unit")]
    public void SetAndClear_AnySequence_IsWhatAMapOfBytesSays()
    {
        Gen<(int What, int A, int B)[]> sequences =
            (from what in Gen.Choose(0, 4) from a in Gen.Choose(0, Size - 1) from b in Gen.Choose(0, Size - 1) select (what, a, b)).ArrayOf();
        Prop.ForAll(sequences.ToArbitrary(), sequence =>
        {
            var ranges = new LockRanges();
            int[] model = new int[Size];
            foreach ((int what, int a, int b) in sequence)
            {
                (int start, int end) = (Math.Min(a, b), Math.Max(a, b));
                int before = ranges.Count;
                Array.Fill(model, what, start, end - start + 1);
                if (what == 0)
                {
                    ranges.Clear((ulong)start, End(end));
                    Assert.IsLessThanOrEqualTo(before + 1, ranges.Count);
                }
                else
                {
                    ranges.Set(new LockRange((ulong)start, End(end), what % 2 == 1, (ulong)(what / 3)));
                    Assert.IsLessThanOrEqualTo(before + 2, ranges.Count);
                }

                CollectionAssert.AreEqual(model, Map(ranges));
                AssertConflicts(ranges, model, start, end);
            }

            return true;
        }).Check(Config.QuickThrowOnFailure.WithMaxTest(1000));
    }

    private static ulong End(int end) => end == Size - 1 ? long.MaxValue : (ulong)end;

    private static int[] Map(LockRanges ranges)
    {
        int[] map = new int[Size];
        LockRange? last = null;
        foreach (LockRange range in ranges.All)
        {
            Assert.IsTrue(range.Start <= range.End && (last is null || last.Value.End < range.Start), "sorted, without overlap");
            Assert.IsFalse(last is { } l && l.End + 1 == range.Start && l.Exclusive == range.Exclusive && l.Handle == range.Handle, "joined");
            last = range;
            for (ulong i = range.Start; i <= Math.Min(range.End, Size - 1); i++)
            {
                // 1 to 4: what % 2 is the kind, what / 3 the handle.
                map[i] = (range.Exclusive, range.Handle) switch { (true, 0) => 1, (false, 0) => 2, (true, _) => 3, _ => 4 };
            }
        }

        return map;
    }

    private static void AssertConflicts(LockRanges ranges, int[] model, int start, int end)
    {
        IEnumerable<int> within = model[start..(end + 1)];
        Assert.AreEqual(within.Any(what => what != 0), ranges.Conflicts((ulong)start, End(end), exclusive: true));
        Assert.AreEqual(within.Any(what => what % 2 == 1), ranges.Conflicts((ulong)start, End(end), exclusive: false));
    }
}
