using System.Runtime.InteropServices;
using Dpu.Fuse.Wire;
using Dpu.Linux;
using Dpu.Qtfs.Export;
using FsCheck;
using FsCheck.Fluent;

namespace Dpu.Qtfs.Tests.Export;

/// <summary>What an agent has answered, in memory that outlives it.</summary>
[TestClass]
public sealed unsafe class ReplyRecordTests
{
    // A lane and agents that are cut and die at any point, in any order: no request is executed twice but one that may be, and its lane is
    // told what came of it, or that nobody knows.
    [TestMethod]
    [TestCategory("unit")]
    public void AnyOrderOfCutsAndDeaths_ExecutesEachRequestOnceAndAnswersTruly() =>
        Prop.ForAll(ArbMap.Default.ArbFor<int[]>(), choices =>
        {
            using Model model = new();
            foreach (int choice in choices)
            {
                model.Step(choice & int.MaxValue);
            }

            // Whatever was, the next whole exchange has an answer.
            return model.Exchange();
        }).Check(Config.QuickThrowOnFailure.WithMaxTest(3000));

    [TestMethod]
    [TestCategory("unit")]
    public void Record_IsAPage() => Assert.AreEqual(ReplyRecord.Size, sizeof(ReplyRecord));

    [TestMethod]
    [TestCategory("unit")]
    [DataRow(SlotPoint.Received, SlotTurn.Execute)]
    [DataRow(SlotPoint.Started, SlotTurn.Execute)]
    [DataRow(SlotPoint.Numbered, SlotTurn.Unknown)]
    [DataRow(SlotPoint.Executed, SlotTurn.Unknown)]
    [DataRow(SlotPoint.Copied, SlotTurn.Unknown)]
    [DataRow(SlotPoint.Answered, SlotTurn.Answered)]
    public void RequestAskedAgainAfterADeath_IsTreatedByWhatTheMemorySays(object point, object turn)
    {
        using Model model = new();
        Assert.IsTrue(model.Exchange());
        model.Die((SlotPoint)point);
        Assert.AreEqual((SlotTurn)turn, model.Ask());
    }

    private sealed class DeathException : Exception;

    private sealed class Model : IDisposable
    {
        private readonly ReplyRecord* _record = (ReplyRecord*)NativeMemory.AllocZeroed(ReplyRecord.Size);
        private readonly Dictionary<ulong, List<int>> _executed = [];
        private readonly List<ulong> _late = [];
        private ReplySlot _slot;
        private SlotPoint? _fatal;
        private ulong _number = 1;
        private int _given;

        public Model() => _slot = Begin();

        public void Step(int choice)
        {
            int detail = choice / 5;
            switch (choice % 5)
            {
                case 0:
                    Assert.IsTrue(Exchange());
                    break;
                case 1:
                    _late.Add(_number);
                    break;
                case 2 when _late.Count > 0:
                    _ = Deliver(_late[detail % _late.Count], out _);
                    break;
                case 3:
                    _ = Deliver(_number, out _);
                    break;
                default:
                    Die((SlotPoint)(detail % 6), _late.Count > 0 && detail % 7 == 0 ? _late[0] : _number);
                    break;
            }
        }

        /// <summary>Sends the lane's request until it has its answer; whether that is true.</summary>
        public bool Exchange()
        {
            SlotTurn turn = Deliver(_number, out int error);
            List<int> executed = _executed.GetValueOrDefault(_number) ?? [];
            bool isTrue = turn != SlotTurn.Old && (error == -errno.EIO ? executed.Count <= 1 && !MayRepeat(_number) : executed[^1] == error);
            _number++;
            return isTrue;
        }

        public SlotTurn Ask() => Deliver(_number, out _);

        public void Die(SlotPoint point) => Die(point, _number);

        public void Dispose() => NativeMemory.Free(_record);

        private static bool MayRepeat(ulong number) => number % 3 == 0;

        private void Die(SlotPoint point, ulong number)
        {
            _fatal = point;
            try
            {
                _ = Deliver(number, out _);
            }
            catch (DeathException)
            {
                // The next agent finds what this one has left.
            }

            _fatal = null;
            _slot = Begin();
        }

        private ReplySlot Begin() => new(_record, this, point =>
        {
            if (point == _fatal)
            {
                throw new DeathException();
            }
        });

        private SlotTurn Deliver(ulong number, out int error)
        {
            byte* room = stackalloc byte[ReplySlot.Most];
            SlotTurn turn = _slot.Begin(number, room, out _, CancellationToken.None, MayRepeat(number));
            error = turn == SlotTurn.Old ? 0 : ((fuse_out_header*)room)->error;
            if (turn != SlotTurn.Execute)
            {
                return turn;
            }

            if (!_executed.TryGetValue(number, out List<int>? before))
            {
                _executed.Add(number, before = []);
            }

            Assert.IsTrue(before.Count == 0 || MayRepeat(number), $"{number} is executed twice");
            error = -1000 - _given++;
            before.Add(error);
            var answer = new fuse_out_header { len = (uint)sizeof(fuse_out_header), error = error, unique = number };

            // Some are longer than the record.
            int length = number % 4 == 0 ? ReplyRecord.Most + 8 : sizeof(fuse_out_header);
            *(fuse_out_header*)room = answer;
            _slot.End(number, room, length);
            return turn;
        }
    }
}
