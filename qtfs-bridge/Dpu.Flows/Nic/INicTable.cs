using Dpu.Flows.Classifier;
using Dpu.Flows.Table;

namespace Dpu.Flows.Nic;

/// <summary>A flow as it is given to a NIC.</summary>
/// <param name="Cookie">What its owner finds it by.</param>
/// <param name="Priority">The higher wins.</param>
/// <param name="Match">What it matches.</param>
/// <param name="Actions">What is done.</param>
public sealed record NicFlow(ulong Cookie, ushort Priority, FlowMatch Match, IReadOnlyList<FlowAction> Actions);

/// <summary>A NIC's name of an entry; 0 is none. It is never another entry's.</summary>
/// <param name="Value">A number that only the NIC understands.</param>
public readonly record struct NicHandle(ulong Value);

/// <summary>What came of one command of a batch.</summary>
public enum NicStatus
{
    /// <summary>The NIC says that it is done.</summary>
    Ok,

    /// <summary>There is no room.</summary>
    Full,

    /// <summary>There is no such entry.</summary>
    NoSuchEntry,

    /// <summary>The NIC cannot match or do that.</summary>
    Unsupported,
}

/// <summary>An entry's counters, as the NIC tells them.</summary>
/// <param name="Packets">Packets.</param>
/// <param name="Bytes">Bytes.</param>
public readonly record struct NicCounters(ulong Packets, ulong Bytes);

/// <summary>An entry as a dump shows it.</summary>
/// <param name="Handle">Its name.</param>
/// <param name="Index">Its place, and its bit in bitmaps.</param>
/// <param name="Flow">What it does.</param>
/// <param name="Counters">What it counted.</param>
public sealed record NicEntry(NicHandle Handle, int Index, NicFlow Flow, NicCounters Counters);

/// <summary>A step of a dump.</summary>
/// <param name="Entries">Entries of this step.</param>
/// <param name="Next">Where to go on; negative at the end.</param>
/// <param name="Interrupted">
/// Entries came or went since the dump began, so that it shows no one moment (netlink's NLM_F_DUMP_INTR): not to be believed.
/// </param>
public sealed record NicDumpStep(IReadOnlyList<NicEntry> Entries, long Next, bool Interrupted);

/// <summary>
/// A table of flows in a NIC. Commands come in batches, each with its own status; state is read by entry, or as one bit an
/// entry. Any thread; a batch is one command to the NIC, and batches are carried out one after the other.
/// </summary>
public interface INicTable
{
    /// <summary>Entries that fit.</summary>
    int Capacity { get; }

    /// <summary>Entries that are there, as the NIC counts them.</summary>
    int Count { get; }

    /// <summary>Puts flows in; each gets a handle where its status is <see cref="NicStatus.Ok"/>.</summary>
    void Insert(IReadOnlyList<NicFlow> flows, Span<NicHandle> handles, Span<NicStatus> status);

    /// <summary>Takes entries out.</summary>
    void Delete(ReadOnlySpan<NicHandle> handles, Span<NicStatus> status);

    /// <summary>Reads counters, one command an entry.</summary>
    NicStatus Query(NicHandle handle, out NicCounters counters);

    /// <summary>
    /// Which entries from an index on, a multiple of 64, were hit since the last call that cleared; one bit each. Returns the
    /// words that were written.
    /// </summary>
    int ReadActivity(int first, Span<ulong> bits, bool clear);

    /// <summary>Where an entry's bit is; negative where there is no such entry.</summary>
    int IndexOf(NicHandle handle);

    /// <summary>Reads entries, a step at a time; 0 begins.</summary>
    NicDumpStep Dump(long position);

    /// <summary>Takes everything out.</summary>
    void Reset();
}
