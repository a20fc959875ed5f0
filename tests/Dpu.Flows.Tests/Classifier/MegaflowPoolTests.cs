using Dpu.Flows.Classifier;
using Dpu.Flows.Keys;

namespace Dpu.Flows.Tests.Classifier;

[TestClass]
public sealed unsafe class MegaflowPoolTests
{
    [TestMethod, TestCategory("unit")]
    public void FindOrAdd_OfMoreMasksAndKeysThanItHolds_GivesNoWrongResult()
    {
        MegaflowPool pool = new();
        pool.Enter(1);
        KeyBuffer keys = new(1);
        List<(ushort Number, FlowKey Key, uint Value)> last = [];
        const uint Flows = 80_000;
        for (uint i = 0; i < Flows; i++)
        {
            // Each of 20,000 masks is another one; four keys of each.
            FlowMask mask = default;
            (mask.Bits.IpSrc.Word0, mask.Bits.IpDst.Word0) = ((i / 4) + 1, uint.MaxValue);
            keys[0] = new FlowKey { IpSrc = new Address128(i), IpDst = new Address128(i * 2654435761) };
            ushort number = pool.FindOrAdd(keys.Pointer, mask, 1, i);
            Assert.AreEqual(number, pool.FindOrAdd(keys.Pointer, mask, 1, i));
            if (i >= Flows - 1000)
            {
                last.Add((number, keys[0], i));
            }
        }

        foreach ((ushort number, FlowKey key, uint value) in last)
        {
            keys[0] = key;
            Assert.IsTrue(pool.TryMatch(number, keys.Pointer, 1, out uint found));
            Assert.AreEqual(value, found);
            keys[0].IpDst.Word0 ^= 1;
            Assert.IsFalse(pool.TryMatch(number, keys.Pointer, 1, out _));
        }

        pool.Enter(2);
        keys[0] = last[0].Key;
        Assert.IsFalse(pool.TryMatch(last[0].Number, keys.Pointer, 2, out _), "of another version");
    }
}
