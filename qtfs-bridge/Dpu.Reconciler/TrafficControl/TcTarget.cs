using System.Buffers.Binary;
using System.Globalization;
using Dpu.Flows.Classifier;
using Dpu.Flows.Keys;
using Dpu.Flows.Table;
using Dpu.Linux;
using Dpu.Reconciler.Records;
using Dpu.Reconciler.Targets;

namespace Dpu.Reconciler.TrafficControl;

/// <summary>
/// The flower filters of an interface or of a block, through rtnetlink (tc(8), tc-flower(8)). A chain is a table, a filter's priority counts down
/// where a flow's counts up, an interface's number is a port's. Filters of other classifiers, and flower's that a flow cannot be, are foreign. They are
/// named by chain, priority and handle; changing one keeps its place and begins its counters anew. One caller at a time.
/// </summary>
/// <remarks>
/// With <c>fullEvery</c> above 1 the dumps between two full ones are terse (TCA_DUMP_FLAGS_TERSE): of filters that are known by name and cookie,
/// counters and presence alone are asked, and only unknown ones are read whole; where
/// others' filters cannot be dumped so (u32's), each is full. Somebody who changes a filter in its place and keeps its cookie is
/// then seen with the next full dump.
/// </remarks>
public sealed class TcTarget : IFlowTarget, IDisposable
{
    // Answers to so many requests fit into the smallest buffer of a socket.
    private const int Batch = 32;
    private readonly TcPlace _place;
    private readonly int _fullEvery;
    private readonly NetlinkSession _session;
    private readonly TcPorts _ports;
    private readonly NetlinkWriter _writer = new();
    private readonly Dictionary<(byte Table, ushort Priority, FlowMatch Match), string> _refusals = [];
    private readonly Dictionary<ulong, string> _notes = []; // Why hardware did not take filters that software has.
    private Dictionary<ulong, TcFilter> _known = [];
    private int _reads;

    /// <summary>For the network namespace of the calling thread.</summary>
    /// <param name="place">Where the filters are.</param>
    /// <param name="devices">Ports and names of their interfaces; null where a port's number is its interface's.</param>
    /// <param name="fullEvery">Of so many dumps one is full; 1 for all.</param>
    /// <exception cref="TargetException">The kernel has no routing netlink for us.</exception>
    public TcTarget(TcPlace place, IReadOnlyDictionary<uint, string>? devices = null, int fullEvery = 1)
        : this(place, NetlinkSocket.Open(), devices, fullEvery)
    {
    }

    internal TcTarget(TcPlace place, INetlinkChannel channel, IReadOnlyDictionary<uint, string>? devices = null, int fullEvery = 1)
    {
        ArgumentNullException.ThrowIfNull(place);
        ArgumentOutOfRangeException.ThrowIfLessThan(fullEvery, 1);
        (_place, _session, _ports, _fullEvery) = (place, new NetlinkSession(channel), new TcPorts(devices), fullEvery);
    }

    /// <inheritdoc/>
    public string Name => $"tc:{_place}";

    /// <inheritdoc/>
    public TargetTraits Traits { get; } = new(Writable: true, UniqueKeys: true, Cookies: true, Timeouts: false, Capacity: null);

    /// <inheritdoc/>
    public TargetDump Read(CancellationToken cancellation = default)
    {
        uint index = FindInterfaces(cancellation);
        Dictionary<ulong, TcFilter> filters = [];
        List<TcFilter> unknown = [];
        bool interrupted;
        if (_reads++ % _fullEvery == 0 || !TryDump(index, terse: true, Terse, cancellation, out interrupted, out _))
        {
            // Among others' filters are some that cannot be told in short, such as u32's.
            filters.Clear();
            unknown.Clear();
            _ = TryDump(index, terse: false, filter => filters[filter.Name] = filter, cancellation, out interrupted, out NetlinkAnswer answer) ? 0
                : throw new TargetException($"{Name}: reading filters through rtnetlink failed: {answer.Reason}");
        }

        void Terse(TcFilter filter)
        {
            if (_known.TryGetValue(filter.Name, out TcFilter? known) && known.Protocol == filter.Protocol && known.Facts.Cookie == filter.Facts.Cookie && known.Facts.Ufid == filter.Facts.Ufid)
            {
                filters[filter.Name] = known.Seen(filter);
            }
            else
            {
                unknown.Add(filter);
            }
        }

        foreach (TcFilter filter in unknown)
        {
            cancellation.ThrowIfCancellationRequested();
            if (Get(index, filter.Chain, filter.Preference, filter.Protocol, filter.Handle, filter.Kind) is { } whole)
            {
                filters[whole.Name] = whole;
            }
        }

        _known = filters;
        foreach (ulong gone in _notes.Keys.Where(name => !filters.ContainsKey(name)).ToArray())
        {
            _notes.Remove(gone);
        }

        FlowSet flows = new();
        foreach (TcFilter filter in filters.Values)
        {
            _ = flows.Add(filter.Flow, filter.FactsOf((filter.Flags & linux_pkt_cls.TCA_CLS_FLAGS_NOT_IN_HW) != 0 ? _notes.GetValueOrDefault(filter.Name) : null));
        }

        return new TargetDump(flows, interrupted);
    }

    /// <inheritdoc/>
    public IReadOnlyList<ChangeResult> Apply(IReadOnlyList<TargetChange> changes, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(changes);
        uint index = FindInterfaces(cancellation);
        ChangeResult[] results = new ChangeResult[changes.Count];
        for (int at = 0; at < results.Length; at += Batch)
        {
            cancellation.ThrowIfCancellationRequested();
            Apply(index, changes, at, Math.Min(results.Length, at + Batch), results);
        }

        return results;
    }

    /// <inheritdoc/>
    public (ulong Packets, ulong Bytes)? Find(ulong handle)
    {
        if (!_known.TryGetValue(handle, out TcFilter? known))
        {
            return null;
        }

        uint index = _place.Device is null ? 0 : _ports.IndexOf(_place.Device) ?? 0;
        return Get(index, known.Chain, known.Preference, known.Protocol, known.Handle, known.Kind) is { } filter ? (filter.Facts.Counters.Packets, filter.Facts.Counters.Bytes) : null;
    }

    /// <inheritdoc/>
    public string? RefusalOf(FlowDefinition flow)
    {
        ArgumentNullException.ThrowIfNull(flow);
        return _refusals.Count == 0 ? null : _refusals.GetValueOrDefault(KeyOf(flow));
    }

    /// <inheritdoc/>
    public void Dispose() => _session.Dispose();

    private static (byte Table, ushort Priority, FlowMatch Match) KeyOf(FlowDefinition flow) => (flow.Table, flow.Priority, flow.Match.Canonical());

    // Asks what interfaces there are: their names are what filters match, and their numbers what actions send to.
    private uint FindInterfaces(CancellationToken cancellation)
    {
        _ports.Ask(_session, _writer, cancellation);
        return _place.Device is null ? 0
            : _ports.IndexOf(_place.Device) ?? throw new TargetException($"{Name}: there is no interface {_place.Device} in this network namespace; see 'ip link'");
    }

    private bool TryDump(uint index, bool terse, Action<TcFilter> each, CancellationToken cancellation, out bool interrupted, out NetlinkAnswer answer)
    {
        _writer.Clear();
        uint sequence = _session.NextSequence();
        _writer.Begin(linux_rtnetlink.RTM_GETTFILTER, linux_rtnetlink.NLM_F_REQUEST | linux_netlink.NLM_F_DUMP, sequence, _place.Head(index));
        if (terse)
        {
            _writer.Attribute(linux_rtnetlink.TCA_DUMP_FLAGS, new nla_bitfield32 { value = linux_rtnetlink.TCA_DUMP_FLAGS_TERSE, selector = linux_rtnetlink.TCA_DUMP_FLAGS_TERSE });
        }

        _writer.End();
        interrupted = _session.TryDump(_writer.Written, sequence, (_, type, body) =>
        {
            if (type == linux_rtnetlink.RTM_NEWTFILTER && TcFilter.Read(body, _place, _ports, terse) is { } filter)
            {
                each(filter);
            }
        }, cancellation, out answer);
        return answer.Error == 0;
    }

    private TcFilter? Get(uint index, uint chain, ushort preference, ushort protocol, uint handle, string kind)
    {
        _writer.Clear();
        uint sequence = _session.NextSequence();
        Begin(linux_rtnetlink.RTM_GETTFILTER, linux_rtnetlink.NLM_F_REQUEST | linux_rtnetlink.NLM_F_ACK, sequence, index, chain, preference, protocol, handle, kind);
        _writer.End();
        TcFilter? found = null;
        NetlinkAnswer answer = _session.Ask(_writer.Written, sequence, 1, (_, type, body) => found = type == linux_rtnetlink.RTM_NEWTFILTER ? TcFilter.Read(body, _place, _ports) : found)[0];
        return answer.Error is 0 or errno.ENOENT or errno.EINVAL ? found : throw new TargetException($"{Name}: reading one filter failed: {answer.Reason}");
    }

    private void Begin(ushort type, int flags, uint sequence, uint index, uint chain, ushort preference, ushort protocol, uint handle, string kind)
    {
        _writer.Begin(type, (ushort)flags, sequence, _place.Head(index, handle, ((uint)preference << 16) | BinaryPrimitives.ReverseEndianness(protocol)));
        _writer.Attribute(linux_rtnetlink.TCA_CHAIN, chain);
        _writer.Text(linux_rtnetlink.TCA_KIND, kind);
    }

    private void Apply(uint index, IReadOnlyList<TargetChange> changes, int begin, int end, ChangeResult[] results)
    {
        _writer.Clear();
        List<int> asked = [];
        uint first = 0;
        NetlinkWriter trial = new();
        for (int i = begin; i < end; i++)
        {
            string? refused = changes[i].Flow is { } flow ? TryWrite(trial, flow, index, out _) : null;
            if (refused is not null)
            {
                results[i] = new ChangeResult(ChangeStatus.Refused, 0, refused);
                Remember(changes[i].Flow!, refused);
                continue;
            }

            if (changes[i].Handle != 0 && !_known.ContainsKey(changes[i].Handle))
            {
                results[i] = new ChangeResult(ChangeStatus.Gone, 0, "there is no such filter any more");
                continue;
            }

            uint sequence = _session.NextSequence();
            first = asked.Count == 0 ? sequence : first;
            asked.Add(i);
            Write(changes[i], sequence, index);
        }

        if (asked.Count == 0)
        {
            return;
        }

        TcFilter?[] made = new TcFilter?[asked.Count];
        NetlinkAnswer[] answers = _session.Ask(_writer.Written, first, asked.Count, (sequence, type, body) =>
        {
            if (type == linux_rtnetlink.RTM_NEWTFILTER)
            {
                made[sequence - first] = TcFilter.Read(body, _place, _ports);
            }
        });
        for (int i = 0; i < asked.Count; i++)
        {
            results[asked[i]] = ResultOf(changes[asked[i]], answers[i], made[i]);
        }
    }

    private void Write(TargetChange change, uint sequence, uint index)
    {
        TcFilter? known = change.Handle == 0 ? null : _known[change.Handle];
        if (change.Flow is not { } flow)
        {
            Begin(linux_rtnetlink.RTM_DELTFILTER, linux_rtnetlink.NLM_F_REQUEST | linux_rtnetlink.NLM_F_ACK, sequence, index, known!.Chain, known.Preference, known.Protocol, known.Handle, known.Kind);
            _writer.End();
            return;
        }

        ushort protocol = known?.Protocol ?? ProtocolOf(flow, index);
        int flags = linux_rtnetlink.NLM_F_REQUEST | linux_rtnetlink.NLM_F_ACK | linux_rtnetlink.NLM_F_ECHO
            | (known is null ? linux_rtnetlink.NLM_F_CREATE | linux_rtnetlink.NLM_F_EXCL : 0);
        Begin(linux_rtnetlink.RTM_NEWTFILTER, flags, sequence, index, flow.Table, TcFilter.PreferenceOf(flow.Priority), protocol, known?.Handle ?? 0, "flower");
        _ = TryWrite(_writer, flow, index, out _);
        _writer.End();
    }

    private ushort ProtocolOf(FlowDefinition flow, uint index)
    {
        _ = TryWrite(new NetlinkWriter(), flow, index, out ushort protocol);
        return protocol;
    }

    // Writes TCA_OPTIONS. What would be read back as another flow is refused: it would differ for ever.
    private string? TryWrite(NetlinkWriter to, FlowDefinition flow, uint index, out ushort protocol)
    {
        protocol = 0;
        if (TcFilter.PreferenceOf(flow.Priority) == 0)
        {
            return "filters have 65,535 priorities: a flow's may be 0 to 65534";
        }

        int at = to.Written.Length;
        int options = to.BeginNest(linux_rtnetlink.TCA_OPTIONS | linux_rtnetlink.NLA_F_NESTED);
        uint flags = linux_pkt_cls.TCA_CLS_FLAGS_VERBOSE | _place.Offload switch
        {
            TcOffload.HardwareOnly => linux_pkt_cls.TCA_CLS_FLAGS_SKIP_SW,
            TcOffload.SoftwareOnly => linux_pkt_cls.TCA_CLS_FLAGS_SKIP_HW,
            _ => 0,
        };
        to.Attribute(linux_pkt_cls.TCA_FLOWER_FLAGS, flags);
        string? problem = FlowerMatch.Write(to, flow.Match.Canonical(), _place.Untagged, _ports.NameOf, out protocol)
            ?? TcActions.Write(to, linux_pkt_cls.TCA_FLOWER_ACT, flow, _ports.IndexOf, index);
        to.EndNest(options);
        return problem ?? Differs(to.Written[(at + System.Runtime.CompilerServices.Unsafe.SizeOf<nlattr>())..], flow, protocol);
    }

    private string? Differs(ReadOnlySpan<byte> options, FlowDefinition flow, ushort protocol)
    {
        Span<(int At, int Length)> places = stackalloc (int, int)[FlowerAttributes.Count];
        FlowerAttributes flower = new(options, places);
        _ = flower.Take(linux_pkt_cls.TCA_FLOWER_FLAGS, out ReadOnlySpan<byte> _);
        _ = flower.Take(linux_pkt_cls.TCA_FLOWER_ACT, out ReadOnlySpan<byte> nest);
        string? problem = FlowerMatch.Read(ref flower, protocol, _place.Untagged, _ports.PortOf, out FlowMatch match);
        problem ??= TcActions.Read(nest, match, _ports.PortOf, out List<FlowAction> actions, out _) ?? Same(flow, match, actions);
        return problem is null ? null : $"traffic control has no filter that is just this flow: {problem}";
    }

    private static string? Same(FlowDefinition flow, in FlowMatch match, List<FlowAction> actions)
    {
        ActionLists lists = new();
        return match != flow.Match.Canonical() ? $"it would match {Dpu.Flows.Text.MatchText.Format(match)}"
            : lists.Of(flow.Actions) != lists.Of(actions) ? $"it would do {Dpu.Flows.Text.ActionText.Format(actions)}" : null;
    }

    private void Remember(FlowDefinition flow, string? refusal)
    {
        if (_refusals.Count >= TargetTraits.MaxRefusals)
        {
            // Of flows that nobody wants any more; those that are wanted are asked for again.
            _refusals.Clear();
        }

        _ = refusal is null ? _refusals.Remove(KeyOf(flow)) : (_refusals[KeyOf(flow)] = refusal) is null;
    }

    private ChangeResult ResultOf(TargetChange change, NetlinkAnswer answer, TcFilter? made)
    {
        if (change.Flow is not { } flow)
        {
            _ = answer.Error == 0 && _known.Remove(change.Handle);
            return answer.Error switch
            {
                0 => new ChangeResult(ChangeStatus.Done),
                errno.ENOENT => new ChangeResult(ChangeStatus.Gone, 0, "there is no such filter any more"),
                _ => new ChangeResult(ChangeStatus.Refused, 0, answer.Reason),
            };
        }

        if (answer.Error is errno.EPERM or errno.ENODEV)
        {
            throw new TargetException($"{Name}: changing filters failed: {answer.Reason}{(answer.Error == errno.EPERM ? "; it needs CAP_NET_ADMIN" : "")}");
        }

        bool gone = answer.Error == errno.ENOENT && change.Handle != 0;
        Remember(flow, answer.Error is 0 or errno.ENOSPC || gone ? null : ReasonOf(answer, flow));
        switch (answer.Error)
        {
            case 0:
                ulong name = made?.Name ?? change.Handle;
                if (made is not null)
                {
                    _known[name] = made;
                    _ = answer.Message.Length > 0 && (made.Flags & linux_pkt_cls.TCA_CLS_FLAGS_NOT_IN_HW) != 0 ? _notes[name] = $"hardware refused it: {answer.Message}" : "";
                }

                return new ChangeResult(ChangeStatus.Done, name) { CountersBeginAnew = change.Handle != 0 };
            case errno.ENOSPC:
                return new ChangeResult(ChangeStatus.Full, 0, answer.Reason);
            case errno.ENOENT when gone:
                return new ChangeResult(ChangeStatus.Gone, 0, "there is no such filter any more");
            default:
                return new ChangeResult(ChangeStatus.Refused, 0, ReasonOf(answer, flow));
        }
    }

    private string ReasonOf(NetlinkAnswer answer, FlowDefinition flow) => answer.Error switch
    {
        errno.ENOENT => $"{answer.Reason}: is the classifier flower in this kernel (modprobe cls_flower), and are its actions (act_mirred and others)?",
        errno.EINVAL when answer.Message.Contains("qdisc", StringComparison.OrdinalIgnoreCase) => $"{answer.Reason}; 'tc qdisc add dev {_place.Device} clsact' makes a place for filters",
        errno.EINVAL => $"{answer.Reason}; filters of chain {flow.Table} and priority {TcFilter.PreferenceOf(flow.Priority)} must be of one protocol and classifier",
        errno.EOPNOTSUPP => _place.Offload == TcOffload.HardwareOnly ? $"hardware refused it: {answer.Reason}" : answer.Reason,
        _ => answer.Reason,
    };
}
