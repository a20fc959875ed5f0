using System.Globalization;
using Dpu.Flows.Table;

namespace Dpu.Reconciler.Targets;

/// <summary>
/// The flows of Open vSwitch's data path (megaflows), read through the daemon's control socket as they come. It is read only: the
/// daemon's revalidators own them.
/// </summary>
/// <param name="socket">The control socket of ovs-vswitchd.</param>
/// <param name="dataPath">Such as dummy@dp0; null where there is only one.</param>
/// <param name="skipUnreadable">Leave out flows that cannot be kept as they are; otherwise they are an error.</param>
public sealed class DataPathTarget(string socket, string? dataPath = null, bool skipUnreadable = false) : IFlowTarget
{
    private static readonly TimeSpan _limit = TimeSpan.FromMinutes(2);

    /// <inheritdoc/>
    public string Name => $"datapath:{socket}";

    /// <inheritdoc/>
    public TargetTraits Traits { get; } = new(Writable: false, UniqueKeys: true, Cookies: false, Timeouts: false, Capacity: null);

    /// <inheritdoc/>
    public TargetDump Read(CancellationToken cancellation = default)
    {
        FlowFileReader reader = new();

        // Numbers of ports, as names mean nothing elsewhere.
        UnixControl.Call(socket, "dpctl/dump-flows", ["-m", "--no-names", .. dataPath is null ? [] : new[] { dataPath }], text => reader.Read(text, null, cancellation), _limit);
        return reader.Unreadable == 0 || skipUnreadable
            ? new TargetDump(reader.Flows)
            : throw new TargetException(string.Create(CultureInfo.InvariantCulture, $"{Name}: {reader.Unreadable} flows cannot be kept as they are, the first: {reader.Problems[0]}"));
    }

    /// <inheritdoc/>
    public IReadOnlyList<ChangeResult> Apply(IReadOnlyList<TargetChange> changes, CancellationToken cancellation = default) =>
        throw new TargetException($"{Name} is read only");

    /// <inheritdoc/>
    public (ulong Packets, ulong Bytes)? Find(ulong handle) => (0, 0);

    /// <inheritdoc/>
    public string? RefusalOf(FlowDefinition flow) => null;
}
