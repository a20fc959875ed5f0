using System.Globalization;
using Dpu.Flows.Table;
using Dpu.Flows.Text;
using Dpu.Reconciler.Records;

namespace Dpu.Reconciler.Targets;

/// <summary>
/// The flows of Open vSwitch's data path (megaflows), read through the daemon's control socket as they come. The daemon makes them itself, of packets,
/// so none can be added; what one does can be changed, and one that should not be there (a ghost, which no revalidator took) deleted: its next packet
/// then asks the OpenFlow tables again. They are named by their ufids, and each is read again before it is touched.
/// </summary>
/// <param name="socket">The control socket of ovs-vswitchd.</param>
/// <param name="dataPath">Such as dummy@dp0; null where there is only one.</param>
/// <param name="skipUnreadable">Leave out flows that cannot be kept as they are; otherwise they are an error.</param>
/// <param name="progress">Called with the number of lines that were read, each 100,000; null for nobody.</param>
public sealed class DataPathTarget(string socket, string? dataPath = null, bool skipUnreadable = false, Action<long>? progress = null) : IFlowTarget
{
    private static readonly TimeSpan _limit = TimeSpan.FromMinutes(2);
    private readonly DatapathText _text = new();
    private IReadOnlyDictionary<ulong, UInt128> _ufids = new Dictionary<ulong, UInt128>();

    /// <inheritdoc/>
    public string Name => $"datapath:{socket}";

    /// <inheritdoc/>
    public TargetTraits Traits { get; } = new(Writable: true, UniqueKeys: true, Cookies: false, Timeouts: false, Capacity: null);

    /// <inheritdoc/>
    public TargetDump Read(CancellationToken cancellation = default)
    {
        FlowFileReader reader = new(null, named: true);

        // Numbers of ports, as names mean nothing elsewhere.
        UnixControl.Call(socket, "dpctl/dump-flows", ["-m", "--no-names", .. Place()], text => reader.Read(text, progress, cancellation), _limit);
        _ufids = reader.Ufids;
        return reader.Unreadable == 0 || skipUnreadable
            ? new TargetDump(reader.Flows)
            : throw new TargetException(string.Create(CultureInfo.InvariantCulture, $"{Name}: {reader.Unreadable} flows cannot be kept as they are, the first: {reader.Problems[0]}"));
    }

    /// <inheritdoc/>
    public IReadOnlyList<ChangeResult> Apply(IReadOnlyList<TargetChange> changes, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(changes);
        ChangeResult[] results = new ChangeResult[changes.Count];
        for (int i = 0; i < results.Length; i++)
        {
            cancellation.ThrowIfCancellationRequested();
            results[i] = Apply(changes[i]);
        }

        return results;
    }

    /// <inheritdoc/>
    public (ulong Packets, ulong Bytes)? Find(ulong handle) => Get(handle) is { } found ? (found.Packets, found.Bytes) : null;

    /// <inheritdoc/>
    public string? RefusalOf(FlowDefinition flow) => null;

    private string[] Place() => dataPath is null ? [] : [dataPath];

    private ChangeResult Apply(TargetChange change)
    {
        if (change.Handle == 0)
        {
            return new ChangeResult(ChangeStatus.Refused, 0, "Open vSwitch makes megaflows itself: this one comes with its next packet");
        }

        if (Get(change.Handle) is not { } found || (change.Definition is { } expected && !Same(expected, found.Definition)))
        {
            return new ChangeResult(ChangeStatus.Gone, 0, "the megaflow went, or does something else by now");
        }

        string name = $"ufid:{Ufid.Format(_ufids[change.Handle])}";
        if (change.Flow is not { } flow)
        {
            return Ask("dpctl/del-flow", [.. Place(), name], 0);
        }

        if (dataPath is not null)
        {
            // Its key in full is told only where no data path is named (dpctl.c: two arguments at most), and one in short is not understood.
            return new ChangeResult(ChangeStatus.Refused, 0, "what a megaflow does can be changed only where there is one data path");
        }

        return DatapathText.TryFormatActions(flow.Actions, flow.Match) is { } actions
            ? Change(name, actions, change.Handle)
            : new ChangeResult(ChangeStatus.Refused, 0, $"data paths have no actions as {ActionText.Format(flow.Actions)} here; 'ovs-appctl revalidator/purge' has Open vSwitch make all megaflows anew");
    }

    private ChangeResult Ask(string method, string[] arguments, ulong handle)
    {
        try
        {
            _ = UnixControl.Ask(socket, method, arguments, _limit);
            return new ChangeResult(ChangeStatus.Done, handle);
        }
        catch (TargetException e) when (e.Data.Contains(UnixControl.Refused))
        {
            // Expected: it went since it was read, or the daemon cannot do that.
            return new ChangeResult(ChangeStatus.Refused, 0, e.Message);
        }
    }

    // The daemon changes a megaflow that it is told the key of; it gives that itself, in full.
    private ChangeResult Change(string name, string actions, ulong handle)
    {
        string? line = TryAsk("dpctl/get-flow", ["-m", name]);
        int key = line?.IndexOf(", ", StringComparison.Ordinal) ?? -1, end = line?.IndexOf(", packets:", StringComparison.Ordinal) ?? -1;
        return key < 0 || end <= key
            ? new ChangeResult(ChangeStatus.Gone, 0, "the megaflow went meanwhile")
            : Ask("dpctl/mod-flow", [$"{name},{line![(key + 2)..end]}", actions], handle);
    }

    // A megaflow as it is now; null where it is no more. Of another one under the same handle nothing is known.
    private ParsedFlow? Get(ulong handle)
    {
        if (!_ufids.TryGetValue(handle, out UInt128 ufid) || TryAsk("dpctl/get-flow", [.. Place(), $"ufid:{Ufid.Format(ufid)}"]) is not { } text)
        {
            return null;
        }

        try
        {
            // Some versions have the ufid on a line of its own before it.
            return _text.Parse(text.Trim().Split('\n')[^1]);
        }
        catch (FlowTextException e)
        {
            throw new TargetException($"{Name}: a megaflow cannot be read any more: {e.Message}", e);
        }
    }

    private string? TryAsk(string method, string[] arguments)
    {
        try
        {
            return UnixControl.Ask(socket, method, arguments, _limit);
        }
        catch (TargetException e) when (e.Data.Contains(UnixControl.Refused))
        {
            // Expected: what it is about is no more.
            return null;
        }
    }

    private static bool Same(FlowDefinition one, FlowDefinition other)
    {
        ActionLists lists = new();
        return one.Match.Canonical() == other.Match.Canonical() && lists.Of(one.Actions) == lists.Of(other.Actions);
    }
}
