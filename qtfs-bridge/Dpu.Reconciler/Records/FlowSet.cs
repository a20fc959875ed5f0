using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Dpu.Flows.Classifier;
using Dpu.Flows.Table;

namespace Dpu.Reconciler.Records;

/// <summary>Whether hardware executes a flow, as its target says.</summary>
public enum OffloadState
{
    /// <summary>The target does not say.</summary>
    Unknown,

    /// <summary>It does.</summary>
    Yes,

    /// <summary>A part of it: matching, but not all actions.</summary>
    Partial,

    /// <summary>It does not.</summary>
    No,
}

/// <summary>What a target says of a flow besides what the flow does.</summary>
/// <param name="Handle">The target's own name of it; 0 where it has none.</param>
/// <param name="Packets">Packets that hit it.</param>
/// <param name="Bytes">Their bytes.</param>
/// <param name="Offload">Whether hardware executes it.</param>
/// <param name="Ufid">The data path's name of it, which takes the cookie's place as the correlator; null for none.</param>
public readonly record struct FlowFacts(ulong Handle = 0, ulong Packets = 0, ulong Bytes = 0, OffloadState Offload = OffloadState.Unknown, string? Ufid = null)
{
    /// <summary>Why it is a flow of others that is never touched, as it is none that can be kept; null where it can be.</summary>
    public string? Foreign { get; init; }

    /// <summary>Why hardware does not execute it, where the target knows; null where it does not.</summary>
    public string? Note { get; init; }

    /// <summary>What stands as the cookie is the hash of a ufid.</summary>
    internal bool IsUfid { get; init; }
}

/// <summary>
/// Flows in their canonical form and nothing but: 64 bytes each, and the words of the key that its mask looks at. Masks and
/// lists of actions are kept once. A multiset: equal flows count. Written by one thread; any may read afterwards.
/// </summary>
public sealed class FlowSet
{
    private const int RecordShift = 10;
    private const int WordShift = 12;
    private readonly List<Record[]> _records = [];
    private readonly List<ulong[]> _words = [];
    private readonly Dictionary<int, string> _notes = [];
    private uint _nextWord;

    /// <summary>How many flows.</summary>
    public int Count { get; private set; }

    internal FlowShapes Shapes { get; } = new();

    internal ActionLists Actions { get; } = new();

    /// <summary>Adds a flow.</summary>
    /// <returns>Its number: how many came before.</returns>
    public int Add(FlowDefinition flow, FlowFacts facts = default)
    {
        ArgumentNullException.ThrowIfNull(flow);
        return Add(flow.Table, flow.Priority, flow.Match, flow.Cookie, Actions.Of(flow.Actions), flow.IdleTimeout, flow.HardTimeout, facts);
    }

    internal int Add(byte table, ushort priority, in FlowMatch match, ulong cookie, int actions, ushort idle, ushort hard, in FlowFacts facts)
    {
        // Without a range, what is canonical is to leave out the bits that do not count, which packing does.
        return match.HasRange
            ? Pack(table, priority, match.Canonical(), cookie, actions, idle, hard, facts)
            : Pack(table, priority, match, cookie, actions, idle, hard, facts);
    }

    // It runs for each of a million lines: compiled well from the first one on.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private int Pack(byte table, ushort priority, in FlowMatch match, ulong cookie, int actions, ushort idle, ushort hard, in FlowFacts facts)
    {
        int number = Shapes.Of(match);
        FlowShape shape = Shapes[number];
        Span<ulong> words = Take(shape.Words, out uint at);
        shape.Pack(match, words);
        ulong hash = RecordHash.Add(shape.Hash, table);
        foreach (ulong word in words)
        {
            hash = RecordHash.Add(hash, word);
        }

        if (Count >> RecordShift == _records.Count)
        {
            _records.Add(new Record[1 << RecordShift]);
        }

        this[Count] = new Record
        {
            MatchHash = hash,
            Correlator = facts.Ufid is null ? cookie : RecordHash.OfUfid(facts.Ufid),
            Handle = facts.Handle,
            Packets = facts.Packets,
            Bytes = facts.Bytes,
            WordAt = at,
            Shape = number,
            Actions = actions,
            Priority = priority,
            Table = table,
            Flags = (byte)((int)facts.Offload | (facts.Ufid is null && !facts.IsUfid ? 0 : Record.HasUfid) | (facts.Foreign is null ? 0 : Record.IsForeign)),
            IdleTimeout = idle,
            HardTimeout = hard,
        };
        if ((facts.Foreign ?? facts.Note) is { } note)
        {
            _notes.Add(Count, note);
        }

        return Count++;
    }

    /// <summary>What a flow is, in its canonical form.</summary>
    public FlowDefinition Definition(int flow)
    {
        ref Record record = ref this[flow];
        return new FlowDefinition
        {
            Table = record.Table,
            Priority = record.Priority,
            Match = MatchOf(flow),
            Cookie = record.Cookie,
            IdleTimeout = record.IdleTimeout,
            HardTimeout = record.HardTimeout,
            Actions = Actions[record.Actions],
        };
    }

    /// <summary>The target's name of a flow; 0 where it has none.</summary>
    public ulong HandleOf(int flow) => this[flow].Handle;

    /// <summary>Packets that a flow's target says.</summary>
    public ulong PacketsOf(int flow) => this[flow].Packets;

    /// <summary>Bytes that a flow's target says.</summary>
    public ulong BytesOf(int flow) => this[flow].Bytes;

    /// <summary>Whether hardware executes a flow, as its target says.</summary>
    public OffloadState OffloadOf(int flow) => this[flow].Offload;

    /// <summary>Whether a flow is none that can be kept: what it matches and does is not known here.</summary>
    public bool IsForeign(int flow) => (this[flow].Flags & Record.IsForeign) != 0;

    /// <summary>What the target says of a flow, for people: why it is foreign, or not in hardware; null for most.</summary>
    public string? NoteOf(int flow) => _notes.GetValueOrDefault(flow);

    internal ref Record this[int flow] => ref _records[flow >> RecordShift][flow & ((1 << RecordShift) - 1)];

    internal FlowMatch MatchOf(int flow)
    {
        ref Record record = ref this[flow];
        FlowShape shape = Shapes[record.Shape];
        return shape.Unpack(WordsOf(record.WordAt, shape.Words));
    }

    internal ReadOnlySpan<ulong> WordsOf(uint at, int count) => _words[(int)(at >> WordShift)].AsSpan((int)(at & ((1 << WordShift) - 1)), count);

    // A flow's words lie in one chunk.
    private Span<ulong> Take(int count, out uint at)
    {
        if (_words.Count == 0 || (_nextWord & ((1 << WordShift) - 1)) + count > 1 << WordShift || _nextWord >> WordShift == _words.Count)
        {
            _nextWord = (uint)_words.Count << WordShift;
            _words.Add(new ulong[1 << WordShift]);
        }

        at = _nextWord;
        _nextWord += (uint)count;
        return _words[(int)(at >> WordShift)].AsSpan((int)(at & ((1 << WordShift) - 1)), count);
    }

    /// <summary>One flow.</summary>
    [StructLayout(LayoutKind.Sequential, Size = 64)]
    internal struct Record
    {
        internal const int HasUfid = 0x80;
        internal const int IsForeign = 0x40;

        /// <summary>Of table and match, without the priority.</summary>
        internal ulong MatchHash;

        /// <summary>The cookie, or a hash of the ufid.</summary>
        internal ulong Correlator;
        internal ulong Handle;
        internal ulong Packets;
        internal ulong Bytes;
        internal uint WordAt;
        internal int Shape;
        internal int Actions;
        internal ushort Priority;
        internal byte Table;
        internal byte Flags;
        internal ushort IdleTimeout;
        internal ushort HardTimeout;

        internal readonly ulong KeyHash => RecordHash.Add(MatchHash, Priority);

        internal readonly ulong Cookie => (Flags & HasUfid) == 0 ? Correlator : 0;

        internal readonly OffloadState Offload => (OffloadState)(Flags & 3);
    }
}
