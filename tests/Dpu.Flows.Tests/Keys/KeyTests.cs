using System.Reflection;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Dpu.Flows.Keys;
using FsCheck;
using FsCheck.Fluent;

namespace Dpu.Flows.Tests.Keys;

[TestClass]
public sealed unsafe class KeyTests
{
    [TestMethod, TestCategory("unit")]
    public void FlowKey_Layout_HasNoHolesAndTwoCacheLines()
    {
        Assert.AreEqual(128, sizeof(FlowKey));
        Assert.AreEqual(128, sizeof(FlowMask));
        bool[] covered = new bool[FlowKey.Size];
        foreach (FieldInfo field in typeof(FlowKey).GetFields(BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic))
        {
            int offset = field.GetCustomAttribute<FieldOffsetAttribute>()!.Value;
            int size = field.FieldType.IsEnum ? 1 : Marshal.SizeOf(field.FieldType);
            for (int i = 0; i < size; i++)
            {
                Assert.IsFalse(covered[offset + i], $"{field.Name} overlaps");
                covered[offset + i] = true;
            }
        }

        Assert.DoesNotContain(false, covered);
    }

    [TestMethod, TestCategory("unit")]
    public void KeyBuffer_LiesOnCacheLines()
    {
        for (int capacity = 1; capacity < 40; capacity += 13)
        {
            KeyBuffer keys = new(capacity);
            Assert.AreEqual(0, (nint)Unsafe.AsPointer(ref keys[0]) % 64);
            Assert.AreEqual(0, (nint)Unsafe.AsPointer(ref keys[capacity - 1]) % 64);
            Assert.Throws<ArgumentOutOfRangeException>(() => keys[capacity]);
        }
    }

    [TestMethod, TestCategory("unit")]
    public void DependencyMask_OfAnyRangeAndPort_IsTheShortestThatDecides() =>
        Prop.ForAll(
            (from low in Gen.Choose(0, 65535)
             from high in Gen.Choose(0, 65535)
             from near in Gen.Choose(-3, 3)
             from any in Gen.Choose(0, 65535)
             from pick in Gen.Choose(0, 2)
             select (new PortRange((ushort)Math.Min(low, high), (ushort)Math.Max(low, high)), (ushort)(pick == 0 ? any : pick == 1 ? low + near : high + near))).ToArbitrary(),
            item =>
            {
                (PortRange range, ushort port) = item;
                ushort mask = range.DependencyMask(port);
                int low = port & mask, high = port | (ushort)~mask;
                bool uniform = AllAgree(range, low, high, range.Contains(port));
                int size = (ushort)~mask + 1;
                int wider = port & ~((size * 2) - 1);
                return uniform && (mask == 0 || !AllAgree(range, wider, wider + (size * 2) - 1, range.Contains(port)));
            }).Check(Config.QuickThrowOnFailure.WithMaxTest(500));

    [TestMethod, TestCategory("unit")]
    [DataRow(80, 80, true, 0xffff)]
    [DataRow(1024, 2047, true, 0xfc00)]
    [DataRow(0, 65535, true, 0)]
    [DataRow(1024, 65535, false, 0)]
    [DataRow(1, 2, false, 0)]
    public void TryToMask_OfARange_HoldsForAlignedBlocksOnly(int low, int high, bool expected, int mask)
    {
        Assert.AreEqual(expected, new PortRange((ushort)low, (ushort)high).TryToMask(out _, out ushort found));
        if (expected)
        {
            Assert.AreEqual(mask, found);
        }
    }

    [TestMethod, TestCategory("unit")]
    public void FlowMask_SubsetAndWords_AreThoseOfItsBits()
    {
        FlowMask narrow = default, wide = default;
        narrow.Bits.IpSrc = Address128.Prefix(16);
        wide.Bits.IpSrc = Address128.Prefix(24);
        wide.Bits.TpDst = 0xffff;
        Assert.IsTrue(narrow.IsSubsetOf(wide));
        Assert.IsFalse(wide.IsSubsetOf(narrow));
        Assert.AreEqual((0b110u, 40), (wide.WordMap, wide.BitCount));
        Assert.AreEqual(FlowKey.Size * 8, FlowMask.Exact.BitCount);
        Assert.AreEqual(new Address128(uint.MaxValue, uint.MaxValue, 0xfffe0000), Address128.Prefix(79));
    }

    private static bool AllAgree(PortRange range, int low, int high, bool inside)
    {
        for (int port = low; port <= high; port++)
        {
            if (range.Contains((ushort)port) != inside)
            {
                return false;
            }
        }

        return true;
    }
}
