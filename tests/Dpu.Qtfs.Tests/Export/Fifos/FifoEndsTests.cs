using Dpu.Proto.V1;
using Dpu.Qtfs.Export.Fifos;

namespace Dpu.Qtfs.Tests.Export.Fifos;

/// <summary>Which ends of a FIFO an agent may have open at the same time.</summary>
[TestClass]
public sealed class FifoEndsTests
{
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(20);

    private readonly FifoEnds _ends = new();

    [TestMethod]
    [TestCategory("unit")]
    public void TryTake_OfOneFifo_OnlyToWriteTwice()
    {
        FifoDirection[] all = [FifoDirection.Unspecified, FifoDirection.ToHost, FifoDirection.ToDpu];
        foreach (FifoDirection first in all)
        {
            FifoEnd taken = _ends.TryTake(1, first)!;
            foreach (FifoDirection second in all)
            {
                FifoEnd? other = _ends.TryTake(1, second);
                Assert.AreEqual(first == FifoDirection.ToHost && second == FifoDirection.ToHost, other is not null, $"{first}, {second}");
                if (other is not null)
                {
                    _ends.GiveBack(other);
                }

                _ends.GiveBack(_ends.TryTake(2, second)!);
            }

            _ends.GiveBack(taken);
        }
    }

    [TestMethod]
    [TestCategory("unit")]
    public void AwaitTurn_IsInTheOrderOfTaking_AndOfOneFifoOnly()
    {
        FifoEnd first = _ends.TryTake(1, FifoDirection.ToHost)!;
        FifoEnd second = _ends.TryTake(1, FifoDirection.ToHost)!;
        FifoEnd other = _ends.TryTake(2, FifoDirection.ToHost)!;
        _ends.AwaitTurn(first);
        _ends.AwaitTurn(other);
        using ManualResetEventSlim turn = new();
        void Await()
        {
            _ends.AwaitTurn(second);
            turn.Set();
        }

        new Thread(Await) { IsBackground = true }.Start();
        _ends.GiveBack(other);
        Assert.IsFalse(turn.IsSet, "the first has not written all");
        _ends.GiveBack(first);
        Assert.IsTrue(turn.Wait(Limit), "the second's turn");
    }
}
