using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;
using Dpu.Fuse.Wire;
using Dpu.Linux;

namespace Dpu.Qtfs.Export;

/// <summary>Where an agent may die in the life of a numbered request. Each name is one that <see cref="CrashPoints"/> takes.</summary>
internal enum SlotPoint
{
    /// <summary>The request is here, and nothing says so yet.</summary>
    Received,

    /// <summary>It says that a request has started, and not yet which.</summary>
    Started,

    /// <summary>It says which. The request is executed behind this point.</summary>
    Numbered,

    /// <summary>The request was executed.</summary>
    Executed,

    /// <summary>Its answer is in the record, which does not say so yet.</summary>
    Copied,

    /// <summary>The record has the answer.</summary>
    Answered,
}

/// <summary>How far the request of a <see cref="ReplyRecord"/> has come.</summary>
internal enum ReplyState : uint
{
    /// <summary>There was none.</summary>
    None = 0,

    /// <summary>It may have been executed.</summary>
    Started = 1,

    /// <summary>It was, and this is its answer.</summary>
    Answered = 2,

    /// <summary>It was, and the answer was too long for the record.</summary>
    AnsweredAtLength = 3,
}

/// <summary>
/// What a lane's last request was, in memory that outlives the process. A pure state machine: it may be left at any point, and what
/// it says is true at each of them.
/// </summary>
/// <remarks>
/// 1. A request is written down before it is executed: first that one has started, then its number. Left between the two it says that
///    the request before is unknown, for which nobody asks any more, as its lane sends the next one only when it has the answer.
/// 2. An answer is written down whole before the state says that there is one.
/// 3. Who finds <see cref="ReplyState.Started"/> of an earlier life does not know whether the request was executed.
/// </remarks>
internal unsafe struct ReplyRecord
{
    /// <summary>A record's size in bytes: a page.</summary>
    public const int Size = 4096;

    /// <summary>The longest answer that it holds: all but listings' and some ioctls'.</summary>
    public const int Most = Size - HeadSize;

    private const int HeadSize = 24;

    private ulong _number;
    private ulong _forgotten;
    private uint _state;
    private uint _length;
    private AnswerBytes _answer;

    /// <summary>The highest number of a request.</summary>
    public readonly ulong Number => _number;

    /// <summary>How far that one has come.</summary>
    public readonly ReplyState State => (ReplyState)_state;

    /// <summary>A new request is about to be executed.</summary>
    public void Start(ulong number, Action<SlotPoint>? at)
    {
        CrashPoints.Reach(SlotPoint.Received, at);
        Volatile.Write(ref _state, (uint)ReplyState.Started);
        CrashPoints.Reach(SlotPoint.Started, at);
        Volatile.Write(ref _number, number);
        CrashPoints.Reach(SlotPoint.Numbered, at);
    }

    /// <summary>It was executed.</summary>
    /// <param name="answer">Its answer; empty where what came of it is not known, and EIO if it is asked.</param>
    /// <param name="at">Told of the points that are reached.</param>
    public void Answer(ReadOnlySpan<byte> answer, Action<SlotPoint>? at)
    {
        CrashPoints.Reach(SlotPoint.Executed, at);
        if (answer.Length > Most)
        {
            Volatile.Write(ref _state, (uint)ReplyState.AnsweredAtLength);
            CrashPoints.Reach(SlotPoint.Answered, at);
            return;
        }

        var unknown = new fuse_out_header { len = (uint)sizeof(fuse_out_header), error = -errno.EIO, unique = _number };
        answer = answer.IsEmpty ? new ReadOnlySpan<byte>(&unknown, sizeof(fuse_out_header)) : answer;
        answer.CopyTo(_answer);
        _length = (uint)answer.Length;
        CrashPoints.Reach(SlotPoint.Copied, at);
        Volatile.Write(ref _state, (uint)ReplyState.Answered);
        CrashPoints.Reach(SlotPoint.Answered, at);
    }

    /// <summary>The answer of the last request, where its state says that there is one.</summary>
    [UnscopedRef]
    public readonly ReadOnlySpan<byte> Known => ((ReadOnlySpan<byte>)_answer)[..(int)Math.Min(_length, Most)];

    /// <summary>A request without an answer has come; whether it is to be executed. One that was is not executed again, and one that was not may be lost.</summary>
    public bool Forget(ulong number)
    {
        bool isNew = number > _forgotten;
        Volatile.Write(ref _forgotten, Math.Max(number, _forgotten));
        return isNew;
    }

    [InlineArray(Most)]
    private struct AnswerBytes
    {
        private byte _first;
    }
}
