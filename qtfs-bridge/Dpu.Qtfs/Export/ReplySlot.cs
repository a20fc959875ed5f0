using Dpu.Fuse.Wire;
using Dpu.Linux;

namespace Dpu.Qtfs.Export;

/// <summary>What is to be done with a numbered request.</summary>
internal enum SlotTurn
{
    /// <summary>It is new: execute it, and say <see cref="ReplySlot.End"/> whatever comes of it.</summary>
    Execute,

    /// <summary>It was executed before: this is its answer.</summary>
    Answered,

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
    private byte[] _answer = new byte[512];
    private ulong _number;
    private ulong _forgotten;
    private int _length;
    private bool _executing;

    /// <summary>A request has come.</summary>
    /// <param name="number">Its number.</param>
    /// <param name="answer">Where its answer goes if there is one: <see cref="Most"/> bytes.</param>
    /// <param name="length">The answer's length.</param>
    /// <param name="stopping">Ends the wait for another connection that still executes it.</param>
    public SlotTurn Begin(ulong number, byte* answer, out int length, CancellationToken stopping)
    {
        length = 0;
        lock (_gate)
        {
            while (number == _number && _executing && !stopping.IsCancellationRequested)
            {
                _ = Monitor.Wait(_gate, Slice);
            }

            if (number < _number || (number == _number && _executing))
            {
                return SlotTurn.Old;
            }

            if (number == _number)
            {
                length = _length;
                _answer.AsSpan(0, length).CopyTo(new Span<byte>(answer, Most));
                return SlotTurn.Answered;
            }

            (_number, _executing) = (number, true);
            return SlotTurn.Execute;
        }
    }

    /// <summary>A request without an answer has come (FUSE_FORGET, FUSE_BATCH_FORGET); whether it is to be executed.</summary>
    /// <remarks>Those are sent again until an answer to a later request shows that they have arrived.</remarks>
    public bool BeginForget(ulong number)
    {
        lock (_gate)
        {
            bool isNew = number > _forgotten;
            _forgotten = Math.Max(number, _forgotten);
            return isNew;
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
            if (number != _number)
            {
                return;
            }

            if (length is > 0 and <= Most)
            {
                _answer = length <= _answer.Length ? _answer : new byte[Math.Min(2 * length, Most)];
                new ReadOnlySpan<byte>(answer, length).CopyTo(_answer);
            }
            else
            {
                length = sizeof(fuse_out_header);
                var unknown = new fuse_out_header { len = (uint)length, error = -errno.EIO, unique = number };
                new ReadOnlySpan<byte>(&unknown, length).CopyTo(_answer);
            }

            (_length, _executing) = (length, false);
            Monitor.PulseAll(_gate);
        }
    }
}
