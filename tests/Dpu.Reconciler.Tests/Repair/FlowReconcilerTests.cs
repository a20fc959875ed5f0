using Dpu.Flows.Nic;
using Dpu.Flows.Table;
using Dpu.Reconciler.Diff;
using Dpu.Reconciler.Records;
using Dpu.Reconciler.Repair;
using Dpu.Reconciler.Targets;
using Dpu.Reconciler.Tests.Support;
using Dpu.TestSupport;

namespace Dpu.Reconciler.Tests.Repair;

/// <summary>Passes: what they touch, what they leave, and what stops them.</summary>
[TestClass]
public sealed class FlowReconcilerTests
{
    private static readonly FlowDefinition[] _ten = [.. Enumerable.Range(0, 10).Select(Samples.Numbered)];

    [TestMethod, TestCategory("unit")]
    public async Task Pass_WithoutApply_ChangesNothing()
    {
        FlowTable table = new();
        PassReport pass = await FaultMatrixTests.Reconciler(_ten, new TableTarget(table)).RunAsync(apply: false);
        Assert.AreEqual((10, 10, 0), (pass.Found.Problems, pass.Plan.Steps.Count, table.Statistics.Flows));
        Assert.IsFalse(pass.InStep);
    }

    [TestMethod, TestCategory("unit")]
    public async Task Table_InAllWaysOutOfStep_IsRepairedAndKeepsCountersOfChangedFlows()
    {
        FlowTable table = new();
        FlowId changed = default;
        foreach (FlowDefinition flow in _ten)
        {
            FlowDefinition there = flow.Cookie switch
            {
                2 => flow with { Actions = [FlowAction.Output(77)] },
                3 => flow with { Priority = 9 },
                4 => flow with { IdleTimeout = 60 },
                _ => flow,
            };
            if (flow.Cookie != 1)
            {
                _ = table.Add(there, out FlowId id);
                changed = flow.Cookie == 2 ? id : changed;
            }
        }

        _ = table.Add(Samples.Numbered(500), out _);
        table.Commit();
        using (FlowPipeline pipeline = new(table))
        {
            Dpu.Flows.Keys.FlowKey key = new() { InPort = 2, EthType = 0x0800 };
            _ = pipeline.Process(ref key, 100, new uint[4]);
        }

        FlowReconciler reconciler = FaultMatrixTests.Reconciler(_ten, new TableTarget(table));
        PassReport pass = await reconciler.RunAsync(apply: true);
        CollectionAssert.AreEquivalent(new[] { "missing", "divergent-action", "divergent-priority", "divergent-attribute", "stale" }, pass.Found.Differences.Select(d => d.Word).ToArray());
        Assert.AreEqual((0, 10, 1), (pass.Remaining.Problems, table.Statistics.Flows, pass.Rounds));
        Assert.IsTrue(table.TryReadCounters(changed, out FlowCounters counters));
        Assert.AreEqual(1ul, counters.Packets);
        Assert.IsEmpty((await reconciler.RunAsync(apply: true)).Plan.Steps);
    }

    [TestMethod, TestCategory("unit")]
    public async Task ReplacedEntry_OfANic_CarriesItsCounters()
    {
        EmulatedNic nic = new(100, new NicFaults { CorruptAction = 1 });
        NicTarget target = new(nic);
        ulong old = target.Apply([new TargetChange(_ten[0])])[0].Handle;
        nic.Touch(new NicHandle(old), 5, 500);
        nic.Faults = NicFaults.None;
        FlowReconciler reconciler = FaultMatrixTests.Reconciler(_ten[..1], target);
        _ = await reconciler.RunAsync(apply: true);
        ulong heir = nic.Dump(0).Entries.Single().Handle.Value;
        Assert.AreNotEqual(old, heir);
        Assert.AreEqual((5ul, 500ul), reconciler.Carried.Of(heir));
        Assert.AreEqual((0ul, 0ul), reconciler.Carried.Of(old));
    }

    [TestMethod, TestCategory("unit")]
    public async Task ForeignFlows_AreToldAndStay()
    {
        EmulatedNic nic = new(100);
        NicTarget target = new(nic);
        _ = target.Apply([new TargetChange(Samples.Numbered(0) with { Cookie = 0x1000 }), new TargetChange(Samples.Numbered(50) with { Cookie = 0x1001 })]);
        PassReport pass = await FaultMatrixTests.Reconciler(_ten, target, new ReconcilerOptions { Owner = new OwnerFilter(0, 0xf000) }).RunAsync(apply: true);
        Assert.AreEqual((2, 9), (pass.Found.CountOf(DifferenceCategory.Foreign), pass.Counts.Added));
        Assert.AreEqual(2, nic.Dump(0).Entries.Count(e => e.Flow.Cookie >= 0x1000));
        Assert.AreEqual(1, pass.Remaining.Problems, "the flow whose place is taken");
    }

    [TestMethod, TestCategory("unit")]
    public async Task Difference_ThatASecondLookDoesNotFind_IsNotRepaired()
    {
        EmulatedNic nic = new(100);
        NicTarget target = new(nic);
        _ = target.Apply([.. _ten.Skip(1).Select(f => new TargetChange(f))]);
        FlowSet desired = new();
        Array.ForEach(_ten, f => desired.Add(f));

        // Its owner puts it in between both looks.
        FlowReconciler reconciler = new(new MemoryTarget(desired), target, null, null, (_, _) =>
        {
            _ = target.Apply([new TargetChange(_ten[0])]);
            return Task.CompletedTask;
        });
        PassReport pass = await reconciler.RunAsync(apply: true);
        Assert.AreEqual((0, 0, 10), (pass.Found.Problems, pass.Rounds, nic.Count));
    }

    [TestMethod, TestCategory("unit")]
    public async Task Guard_OnAnEmptyDesiredSideOrTooMuchChange_Refuses()
    {
        EmulatedNic nic = new(100);
        NicTarget target = new(nic);
        _ = target.Apply([.. _ten.Select(f => new TargetChange(f))]);
        PassReport pass = await FaultMatrixTests.Reconciler([], target).RunAsync(apply: true);
        StringAssert.Contains(pass.Refused, "delete everything");
        Assert.AreEqual(10, nic.Count);
        FlowDefinition[] others = [.. Enumerable.Range(30, 10).Select(Samples.Numbered)];
        pass = await FaultMatrixTests.Reconciler(others, target, new ReconcilerOptions { MaxDifferences = 5 }).RunAsync(apply: true);
        StringAssert.Contains(pass.Refused, "right two sides");
        pass = await FaultMatrixTests.Reconciler(others, target, new ReconcilerOptions { MaxDifferences = 5, Force = true }).RunAsync(apply: true);
        Assert.AreEqual(0, pass.Remaining.Problems);
    }

    [TestMethod, TestCategory("unit")]
    public async Task MaxDeletes_LeavesTheRestToLaterPasses()
    {
        EmulatedNic nic = new(100);
        NicTarget target = new(nic);
        _ = target.Apply([.. _ten.Select(f => new TargetChange(f))]);
        PassReport pass = await FaultMatrixTests.Reconciler(_ten[..2], target, new ReconcilerOptions { MaxDeletes = 3 }).RunAsync(apply: true);
        Assert.AreEqual((3, 5), (pass.Plan.Steps.Count, pass.Plan.Left.Count));
        Assert.AreEqual((7, 3, 5), (nic.Count, pass.Counts.Deleted, pass.Remaining.Problems));
    }

    [TestMethod, TestCategory("unit")]
    public async Task DumpsThatAreAlwaysInterrupted_EndThePassAndChangeNothing()
    {
        EmulatedNic nic = new(100, new NicFaults { InterruptedDump = 1 });
        TargetException failure = await Assert.ThrowsExactlyAsync<TargetException>(() => FaultMatrixTests.Reconciler(_ten, new NicTarget(nic)).RunAsync(apply: true));
        StringAssert.Contains(failure.Message, "each of 40 dumps");
        Assert.AreEqual(0, nic.Count);
    }

    [TestMethod, TestCategory("unit")]
    public async Task FlowThatTheNicCannotHave_IsNotOffloadedWithTheReasonAndHoldsUpNothing()
    {
        EmulatedNic nic = new(100);
        NicTarget target = new(nic);
        FlowDefinition impossible = Samples.Numbered(3) with { Actions = [FlowAction.Goto(5)] };
        _ = target.Apply([new TargetChange(Samples.Numbered(70))]);
        FlowReconciler reconciler = FaultMatrixTests.Reconciler([.. _ten[..2], impossible], target);
        PassReport pass = await reconciler.RunAsync(apply: true);
        CollectionAssert.AreEqual(new[] { "not-offloaded" }, pass.Remaining.Differences.Select(d => d.Word).ToArray());
        StringAssert.Contains(pass.Remaining.Differences[0].Reason, "cannot");
        Assert.AreEqual(2, nic.Count, "the stale flow went all the same");
    }

    [TestMethod, TestCategory("unit")]
    public async Task FlowThatSomebodyElseChangesAgainAndAgain_IsLeftAloneForAWhile()
    {
        ManualTime time = new();
        FlowTable table = new(null, time);
        TableTarget target = new(table);
        FlowSet desired = new();
        _ = desired.Add(_ten[0]);
        FlowReconciler reconciler = new(new MemoryTarget(desired), target, new ReconcilerOptions { FlapLimit = 3 }, time, (_, _) => Task.CompletedTask);
        int repaired = 0;
        for (int i = 0; i < 8; i++)
        {
            _ = table.Add(_ten[0] with { Actions = [FlowAction.Output((uint)i)] }, out _);
            table.Commit();
            repaired += (await reconciler.RunAsync(apply: true)).Counts.Replaced;
        }

        Assert.AreEqual(4, repaired);
        time.Advance(TimeSpan.FromMinutes(11));
        Assert.AreEqual(1, (await reconciler.RunAsync(apply: true)).Counts.Replaced);
    }

    [TestMethod, TestCategory("unit")]
    public async Task ChangesPerSecond_MakesBatchesWait()
    {
        ManualTime time = new();
        TimeSpan waited = TimeSpan.Zero;
        FlowSet desired = new();
        Array.ForEach(_ten, f => desired.Add(f));
        FlowReconciler reconciler = new(
            new MemoryTarget(desired), new NicTarget(new EmulatedNic(100)), new ReconcilerOptions { BatchSize = 1, ChangesPerSecond = 2, Confirmations = 1 }, time,
            (delay, _) =>
            {
                waited += delay;
                time.Advance(delay);
                return Task.CompletedTask;
            });
        _ = await reconciler.RunAsync(apply: true);
        Assert.AreEqual(4.0, waited.TotalSeconds, 0.01, "two at once, then eight more at two a second");
    }

    [TestMethod, TestCategory("unit")]
    public async Task FlowThatGoesBeforeItIsReplaced_IsAddedInTheSamePass()
    {
        FlowTable table = new();
        _ = table.Add(_ten[3] with { Actions = [] }, out _);
        table.Commit();
        LosingTarget target = new(table);
        PassReport pass = await FaultMatrixTests.Reconciler(_ten, target).RunAsync(apply: true);
        Assert.AreEqual((0, 10, 2), (pass.Remaining.Problems, table.Statistics.Flows, pass.Rounds), "it was gone, which is no refusal");
    }

    [TestMethod, TestCategory("unit")]
    public async Task FlowThatTheTableCannotHave_IsRefusedAndTheOthersAreIn()
    {
        FlowTable table = new();
        FlowDefinition circle = Samples.Of("cookie=99,table=3,priority=1,ip,actions=goto_table:2");
        PassReport pass = await FaultMatrixTests.Reconciler([.. _ten, circle], new TableTarget(table)).RunAsync(apply: true);
        Assert.AreEqual((10, 1, 10), (pass.Counts.Added, pass.Remaining.Problems, table.Statistics.Flows));
    }

    [TestMethod, TestCategory("unit")]
    public async Task CarriedCounters_OfEntriesThatWent_AreForgotten()
    {
        EmulatedNic nic = new(100);
        NicTarget target = new(nic);
        FlowDefinition[] other = [.. _ten.Select(f => f with { Actions = [FlowAction.Output(7)] })];
        FlowSet desired = new();
        Array.ForEach(_ten, f => desired.Add(f));
        FlowReconciler reconciler = new(new MemoryTarget(desired), target, new ReconcilerOptions { Confirmations = 1 });
        _ = target.Apply([.. other.Select(f => new TargetChange(f))]);
        _ = await reconciler.RunAsync(apply: true);
        Assert.AreEqual(10, reconciler.Carried.Count, "each was replaced");
        NicHandle[] all = [.. Enumerable.Range(0, target.Read().Flows.Count).Select(i => new NicHandle(target.Read().Flows.HandleOf(i)))];
        nic.Delete(all, new NicStatus[all.Length]);
        _ = await reconciler.RunAsync(apply: true);
        Assert.AreEqual(0, reconciler.Carried.Count);
    }

    // The first flow that is to be replaced is deleted by somebody just before.
    private sealed class LosingTarget(FlowTable table) : IFlowTarget
    {
        private readonly TableTarget _inner = new(table);
        private bool _lost;

        public string Name => _inner.Name;

        public TargetTraits Traits => _inner.Traits;

        public TargetDump Read(CancellationToken cancellation = default) => _inner.Read(cancellation);

        public IReadOnlyList<ChangeResult> Apply(IReadOnlyList<TargetChange> changes, CancellationToken cancellation = default)
        {
            if (_lost || changes[0].Handle == 0 || changes[0].Flow is null)
            {
                return _inner.Apply(changes, cancellation);
            }

            _lost = true;
            table.Batch(batch => batch.Delete(new FlowId(changes[0].Handle)));
            return [new ChangeResult(ChangeStatus.Gone, 0, "gone"), .. _inner.Apply([.. changes.Skip(1)], cancellation)];
        }

        public (ulong Packets, ulong Bytes)? Find(ulong handle) => _inner.Find(handle);

        public string? RefusalOf(FlowDefinition flow) => null;
    }

    [TestMethod, TestCategory("unit")]
    public void Backoff_DoublesToAMinute()
    {
        Backoff backoff = new();
        Assert.AreEqual(100.0, backoff.Failed().TotalMilliseconds);
        Assert.AreEqual(200.0, backoff.Failed().TotalMilliseconds);
        for (int i = 0; i < 20; i++)
        {
            _ = backoff.Failed();
        }

        Assert.AreEqual(60.0, backoff.Failed().TotalSeconds);
        backoff.Succeeded();
        Assert.AreEqual(100.0, backoff.Failed().TotalMilliseconds);
    }
}
