namespace Dpu.Qtfs.Export;

/// <summary>What is to be done with a numbered request.</summary>
internal enum SlotTurn
{
    /// <summary>It is new: execute it, and say <see cref="ReplySlot.End"/> whatever comes of it.</summary>
    Execute,

    /// <summary>It was executed before: this is its answer.</summary>
    Answered,

    /// <summary>It may have been executed in an earlier life of the agent, and must not be again: this is its answer, EIO.</summary>
    Unknown,

    /// <summary>Its lane has gone on to a later one: it is what was left in an older connection, and nobody waits for it.</summary>
    Old,
}

/// <summary>
/// The last request of a lane, and its answer: so a request that comes again, after its connection broke, is answered and not executed
/// again. A lane has one request at a time and numbers them in rising order, so that one place suffices (after the slots of
/// NFSv4.1, RFC 8881 2.10.6): the next number says that the answer before it has arrived. Thread-safe.
/// </summary>
internal sealed unsafe class ReplySlot
{
    /// <summary>The longest answer that is kept, in bytes: a listing's, which gives references. All others are far shorter.</summary>
    public const int Most = (128 << 10) + 4096;

    private static readonly TimeSpan Slice = TimeSpan.FromMilliseconds(200);

    private readonly object _gate = new();
    private readonly ReplyRecord* _record;
    private readonly object _memory;
    private readonly Action<SlotPoint>? _at;

    // Of an answer that is too long for the record: in this life alone.
    private byte[] _long = [];
    private int _longLength;
    private bool _executing;

    /// <summary>A slot in this process's own memory.</summary>
    public ReplySlot()
    {
        byte[] own = GC.AllocateArray<byte>(ReplyRecord.Size, pinned: true);

        // SAFETY: pinned, and held by _memory.
        _record = (ReplyRecord*)System.Runtime.InteropServices.Marshal.UnsafeAddrOfPinnedArrayElement(own, 0);
        _memory = own;
    }

    /// <summary>A slot in memory that an earlier life may have used.</summary>
    /// <param name="record">Where it lies.</param>
    /// <param name="memory">What keeps that mapped.</param>
    /// <param name="at">Told of each point that is reached; for tests.</param>
    public ReplySlot(ReplyRecord* record, object memory, Action<SlotPoint>? at = null)
    {
        _record = record;
        _memory = memory;
        _at = at;
    }

    /// <summary>A request has come.</summary>
    /// <param name="number">Its number.</param>
    /// <param name="answer">Where its answer goes if there is one: <see cref="Most"/> bytes.</param>
    /// <param name="length">The answer's length.</param>
    /// <param name="stopping">Ends the wait for another connection that still executes it.</param>
    /// <param name="mayRepeat">Whether executing it twice leaves the same as executing it once.</param>
    public SlotTurn Begin(ulong number, byte* answer, out int length, CancellationToken stopping, bool mayRepeat = false)
    {
        length = 0;
        lock (_gate)
        {
            while (number == _record->Number && _executing && !stopping.IsCancellationRequested)
            {
                _ = Monitor.Wait(_gate, Slice);
            }

            if (number < _record->Number || (number == _record->Number && _executing))
            {
                return SlotTurn.Old;
            }

            SlotTurn turn = SlotTurn.Answered;
            if (number > _record->Number || _record->State == ReplyState.None || (!IsAnswered && mayRepeat))
            {
                _executing = true;
                _record->Start(number, _at);
                return SlotTurn.Execute;
            }

            if (!IsAnswered)
            {
                _record->Answer([], _at);
                turn = SlotTurn.Unknown;
            }

            ReadOnlySpan<byte> known = _record->State == ReplyState.AnsweredAtLength ? _long.AsSpan(0, _longLength) : _record->Known;
            known.CopyTo(new Span<byte>(answer, Most));
            length = known.Length;
            return turn;
        }
    }

    /// <summary>A request without an answer has come (FUSE_FORGET, FUSE_BATCH_FORGET); whether it is to be executed.</summary>
    /// <remarks>Those are sent again until an answer to a later request shows that they have arrived.</remarks>
    public bool BeginForget(ulong number)
    {
        lock (_gate)
        {
            return _record->Forget(number);
        }
    }

    /// <summary>A request was executed.</summary>
    /// <param name="number">Its number.</param>
    /// <param name="answer">Its answer.</param>
    /// <param name="length">The answer's length; 0 where it has none: then what came of it is not known, and EIO if it is asked.</param>
    public void End(ulong number, byte* answer, int length)
    {
        lock (_gate)
        {
            if (number != _record->Number)
            {
                return;
            }

            ReadOnlySpan<byte> kept = new(answer, length is > 0 and <= Most ? length : 0);
            if (kept.Length > ReplyRecord.Most)
            {
                _long = kept.Length <= _long.Length ? _long : new byte[Math.Min(2 * kept.Length, Most)];
                kept.CopyTo(_long);
                _longLength = kept.Length;
            }

            _record->Answer(kept, _at);
            _executing = false;
            Monitor.PulseAll(_gate);
            GC.KeepAlive(_memory);
        }
    }

    // A long answer of an earlier life is lost with it.
    private bool IsAnswered => _record->State == ReplyState.Answered || (_record->State == ReplyState.AnsweredAtLength && _longLength > 0);
}
