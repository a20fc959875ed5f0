using Dpu.Flows.Nic;

namespace Dpu.Flows.Ageing;

/// <summary>What ageing did.</summary>
/// <param name="Offloaded">Flows in the NIC now.</param>
/// <param name="Inserted">Flows that were put in.</param>
/// <param name="Evicted">Flows that were given up for others.</param>
/// <param name="Declined">Packets whose flow was not worth another one's place.</param>
/// <param name="Failed">Commands that the NIC refused.</param>
public readonly record struct OffloadStatistics(int Offloaded, long Inserted, long Evicted, long Declined, long Failed);

/// <summary>
/// Decides which flows are in a NIC's table: each flow that comes to the slow path, while there is room; then those that are
/// expected back soonest. Instead of a fixed time-out, nothing leaves before its place is wanted. One thread at a time.
/// </summary>
/// <remarks>
/// <see cref="Poll"/> is to be called each <see cref="PollInterval"/>, whose length the estimates are in; it reads one bit an
/// entry. A flow is named by its cookie.
/// </remarks>
public sealed class OffloadAgeing
{
    // Flows that are remembered after they left, for each entry of the table.
    private const int MemoryFactor = 4;

    private readonly INicTable _nic;
    private readonly HeatScores _scores;
    private readonly GapMemory _memory;
    private readonly Dictionary<ulong, NicHandle> _handles = [];
    private readonly ulong[] _owners;
    private readonly ulong[] _activity;
    private uint _polls = 1;
    private OffloadStatistics _statistics;

    /// <summary>Manages a table that nobody else puts entries into.</summary>
    public OffloadAgeing(INicTable nic)
    {
        ArgumentNullException.ThrowIfNull(nic);
        _nic = nic;
        _scores = new HeatScores(nic.Capacity);
        _memory = new GapMemory(nic.Capacity * MemoryFactor);
        _owners = new ulong[nic.Capacity];
        _activity = new ulong[(nic.Capacity + 63) / 64];
    }

    /// <summary>How far polls are apart.</summary>
    public static TimeSpan PollInterval { get; } = TimeSpan.FromSeconds(0.5);

    /// <summary>What it did.</summary>
    public OffloadStatistics Statistics => _statistics with { Offloaded = _handles.Count };

    /// <summary>The NIC's name of a flow, where it has it.</summary>
    public bool TryGetHandle(ulong cookie, out NicHandle handle) => _handles.TryGetValue(cookie, out handle);

    /// <summary>Packets of these flows came to the slow path: puts those in that are worth it.</summary>
    /// <returns>How many are in the NIC now.</returns>
    public int Offer(IReadOnlyList<NicFlow> flows)
    {
        ArgumentNullException.ThrowIfNull(flows);
        List<(NicFlow Flow, float Gap)> wanted = [];
        List<NicHandle> victims = [];
        int room = _nic.Capacity - _nic.Count;
        int there = 0;
        HashSet<ulong> seen = [];
        foreach (NicFlow flow in flows)
        {
            if (_handles.ContainsKey(flow.Cookie) || !seen.Add(flow.Cookie))
            {
                there++;
                continue;
            }

            float gap = _memory.Recall(Hash(flow.Cookie), _polls);
            int victim = room > 0 ? -1 : _scores.Coldest(gap > 0 ? gap : _scores.NewcomerWait);
            if (room > 0)
            {
                room--;
            }
            else if (victim < 0)
            {
                _memory.Missed(Hash(flow.Cookie), _polls);
                _statistics = _statistics with { Declined = _statistics.Declined + 1 };
                continue;
            }
            else
            {
                victims.Add(Forget(victim));
            }

            wanted.Add((flow, gap));
        }

        Delete(victims);
        return there + Insert(wanted);
    }

    /// <summary>Reads which entries were active, and learns from it.</summary>
    public void Poll()
    {
        _nic.ReadActivity(0, _activity, clear: true);
        _polls++;
        _scores.Poll(_activity);
    }

    /// <summary>Takes flows out that have ended; nothing of them is remembered.</summary>
    public void Remove(IReadOnlyList<ulong> cookies)
    {
        ArgumentNullException.ThrowIfNull(cookies);
        List<NicHandle> gone = [];
        foreach (ulong cookie in cookies)
        {
            if (_handles.Remove(cookie, out NicHandle handle))
            {
                gone.Add(handle);
                if (_nic.IndexOf(handle) is >= 0 and int index)
                {
                    _scores.Removed(index);
                }
            }
        }

        Delete(gone);
    }

    private NicHandle Forget(int index)
    {
        ulong cookie = _owners[index];
        _memory.Remember(Hash(cookie), _polls, _scores.Removed(index));
        _statistics = _statistics with { Evicted = _statistics.Evicted + 1 };
        return _handles.Remove(cookie, out NicHandle handle) ? handle : default;
    }

    private int Insert(List<(NicFlow Flow, float Gap)> wanted)
    {
        if (wanted.Count == 0)
        {
            return 0;
        }

        NicHandle[] handles = new NicHandle[wanted.Count];
        NicStatus[] status = new NicStatus[wanted.Count];
        _nic.Insert([.. wanted.Select(item => item.Flow)], handles, status);
        int inserted = 0;
        for (int i = 0; i < wanted.Count; i++)
        {
            int index = status[i] == NicStatus.Ok ? _nic.IndexOf(handles[i]) : -1;
            if (index < 0)
            {
                // Refused, or the NIC says that it is done and has no such entry.
                _statistics = _statistics with { Failed = _statistics.Failed + 1 };
                continue;
            }

            _handles[wanted[i].Flow.Cookie] = handles[i];
            _owners[index] = wanted[i].Flow.Cookie;
            _scores.Inserted(index, wanted[i].Gap);
            inserted++;
        }

        _statistics = _statistics with { Inserted = _statistics.Inserted + inserted };
        return inserted;
    }

    private void Delete(List<NicHandle> handles)
    {
        if (handles.Count == 0)
        {
            return;
        }

        NicStatus[] status = new NicStatus[handles.Count];
        _nic.Delete([.. handles], status);
        _statistics = _statistics with { Failed = _statistics.Failed + status.Count(s => s != NicStatus.Ok) };
    }

    // Cookies count up; places in the memory want all bits.
    private static ulong Hash(ulong cookie)
    {
        ulong hash = (cookie ^ (cookie >> 31)) * 0x9e3779b97f4a7c15;
        return hash ^ (hash >> 29);
    }
}
