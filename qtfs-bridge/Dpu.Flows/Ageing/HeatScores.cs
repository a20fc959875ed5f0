namespace Dpu.Flows.Ageing;

/// <summary>
/// How long each entry of a table will probably wait for its next packet, learnt from one bit of activity an entry and poll.
/// The entry that waits longest is the one to give up. Not thread-safe.
/// </summary>
/// <remarks>
/// An entry that was active again and again is expected back after its usual gap; one that stays away longer is expected
/// the later the longer it is silent (lives of flows are heavy-tailed), so that what has ended cools by itself. What a new entry
/// is worth is learnt from what became of the others: while a scan goes on, next to nothing.
/// </remarks>
public sealed class HeatScores
{
    // How much of a gap's estimate the last gap is.
    private const float GapWeight = 0.15f;

    // A silence of so many usual gaps is no longer usual.
    private const float Patience = 3.0f;

    // What is expected of an entry that is silent for longer: so many times what it is silent already.
    private const float Tail = 1.5f;

    // Polls that a new entry is expected to wait where every one comes back.
    private const float NewcomerGap = 4;

    // After so many polls without a packet a new entry counts as one that does not come back.
    private const int Probation = 4;

    // The share of newcomers that come back: how much one newcomer changes it, and its least.
    private const float LearningRate = 1f / 512;
    private const float LeastReturn = 0.02f;

    private readonly float[] _gap;
    private readonly ushort[] _idle;
    private readonly byte[] _state;
    private readonly int[] _candidates;
    private readonly float[] _waits;
    private readonly float[] _keys;
    private float _returning = 0.5f;
    private int _candidateCount;
    private int _nextCandidate;

    /// <summary>Scores of a table of so many entries.</summary>
    public HeatScores(int capacity)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(capacity);
        (_gap, _idle, _state) = (new float[capacity], new ushort[capacity], new byte[capacity]);
        (_candidates, _waits, _keys) = (new int[capacity], new float[capacity], new float[capacity]);
    }

    /// <summary>Polls that a newcomer of which nothing is known is expected to wait.</summary>
    public float NewcomerWait => NewcomerGap / Math.Max(_returning, LeastReturn);

    /// <summary>An entry is there; <paramref name="gap"/> in polls is what is known of its gaps, 0 for nothing.</summary>
    public void Inserted(int index, float gap)
    {
        (_state[index], _gap[index], _idle[index]) = (gap > 0 ? Known : Newcomer, gap, 0);
    }

    /// <summary>An entry is gone; what was learnt of its gaps, in polls, 0 for nothing.</summary>
    public float Removed(int index)
    {
        float gap = _state[index] == Known ? Math.Max(_gap[index], _idle[index]) : 0;
        _state[index] = Absent;
        return gap;
    }

    /// <summary>How many polls it will probably wait from now on.</summary>
    public float Wait(int index)
    {
        float idle = _idle[index];
        float usual = _state[index] == Known ? _gap[index] : NewcomerWait;
        return _state[index] == Absent ? 0 : idle <= usual * Patience ? usual : Math.Max(usual, idle * Tail);
    }

    /// <summary>A poll: which entries were active since the last.</summary>
    /// <param name="activity">A bit for each entry, as bulk reads give them.</param>
    public void Poll(ReadOnlySpan<ulong> activity)
    {
        for (int index = 0; index < _state.Length; index++)
        {
            if (_state[index] == Absent)
            {
                continue;
            }

            if (((activity[index / 64] >> (index & 63)) & 1) != 0)
            {
                Active(index);
            }
            else if (_idle[index] < ushort.MaxValue)
            {
                _idle[index]++;
                if (_state[index] == Newcomer && _idle[index] == Probation)
                {
                    Learn(0);
                }
            }
        }

        Rank();
    }

    /// <summary>
    /// The entry to give up for one that will probably wait <paramref name="wait"/> polls; negative where all are expected back
    /// sooner. Each is named once between two polls.
    /// </summary>
    public int Coldest(float wait)
    {
        while (_nextCandidate < _candidateCount)
        {
            int index = _candidates[_nextCandidate];
            if (_state[index] == Absent || _waits[index] != Wait(index))
            {
                // It is gone, or another one is in its place.
                _nextCandidate++;
                continue;
            }

            return _waits[index] > wait ? _candidates[_nextCandidate++] : -1;
        }

        return -1;
    }

    private const byte Absent = 0;
    private const byte Newcomer = 1;
    private const byte Known = 2;

    private void Active(int index)
    {
        float gap = _idle[index] + 1;
        if (_state[index] == Newcomer)
        {
            // The poll after its insertion sees the packets that made it come: only a later one tells of a return.
            if (_idle[index] < Probation)
            {
                Learn(1);
            }

            (_state[index], _gap[index]) = (Known, gap);
        }
        else
        {
            _gap[index] += (gap - _gap[index]) * GapWeight;
        }

        _idle[index] = 0;
    }

    private void Learn(float returned) => _returning += (returned - _returning) * LearningRate;

    // All entries, those that wait longest first.
    private void Rank()
    {
        _candidateCount = 0;
        _nextCandidate = 0;
        for (int index = 0; index < _state.Length; index++)
        {
            if (_state[index] != Absent)
            {
                _waits[index] = Wait(index);
                _keys[_candidateCount] = -_waits[index];
                _candidates[_candidateCount++] = index;
            }
        }

        Array.Sort(_keys, _candidates, 0, _candidateCount);
    }
}
