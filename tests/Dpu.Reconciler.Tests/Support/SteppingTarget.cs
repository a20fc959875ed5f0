using Dpu.Flows.Table;
using Dpu.Reconciler.Targets;

namespace Dpu.Reconciler.Tests.Support;

/// <summary>Another target, that is looked at after each batch of changes, and that is gone after some of them.</summary>
internal sealed class SteppingTarget(IFlowTarget inner, Action? after = null) : IFlowTarget
{
    /// <summary>Batches until it is gone.</summary>
    internal int Left { get; set; } = int.MaxValue;

    internal int Batches { get; private set; }

    public string Name => inner.Name;

    public TargetTraits Traits => inner.Traits;

    public TargetDump Read(CancellationToken cancellation = default) => Left < 0 ? throw new TargetException("gone") : inner.Read(cancellation);

    public IReadOnlyList<ChangeResult> Apply(IReadOnlyList<TargetChange> changes, CancellationToken cancellation = default)
    {
        if (--Left < 0)
        {
            throw new TargetException("gone");
        }

        Batches++;
        IReadOnlyList<ChangeResult> results = inner.Apply(changes, cancellation);
        after?.Invoke();
        return results;
    }

    public (ulong Packets, ulong Bytes)? Find(ulong handle) => inner.Find(handle);

    public string? RefusalOf(FlowDefinition flow) => inner.RefusalOf(flow);
}
