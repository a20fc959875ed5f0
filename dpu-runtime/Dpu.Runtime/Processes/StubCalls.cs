using Dpu.Linux;
using Dpu.Relay.Processes;

namespace Dpu.Runtime.Processes;

/// <summary>Calls that were asked of a process's host and are not answered yet. On the channel's thread.</summary>
internal sealed class StubCalls
{
    // A view's listeners have fewer under way.
    private const int Most = 4096;

    private readonly Dictionary<ulong, Action<ProcessCallAnswer>> _waiting = [];
    private ulong _last;

    /// <summary>Whether the host takes calls; one of an older version does not.</summary>
    public bool IsTaken { get; set; }

    /// <summary>Asks.</summary>
    /// <param name="channel">The process's.</param>
    /// <param name="call">What; its id is chosen here.</param>
    /// <param name="answered">Told once: the answer, or EHOSTUNREACH and ENOSYS where it could not be asked.</param>
    public void Ask(ProcessChannel channel, ProcessCall call, Action<ProcessCallAnswer> answered)
    {
        if (!channel.IsConnected || !IsTaken || _waiting.Count >= Most)
        {
            answered(new(call.Id, !channel.IsConnected ? -errno.EHOSTUNREACH : IsTaken ? -errno.EAGAIN : -errno.ENOSYS, []));
            return;
        }

        ProcessCall numbered = call with { Id = ++_last };
        _waiting[numbered.Id] = answered;
        channel.Send(ProcessFrameKind.Call, numbered.ToBytes());
    }

    /// <summary>The host has answered; false where nobody has asked that.</summary>
    public bool Answer(ReadOnlySpan<byte> content)
    {
        if (ProcessCallAnswer.Read(content) is not { } answer || !_waiting.Remove(answer.Id, out Action<ProcessCallAnswer>? answered))
        {
            return false;
        }

        answered(answer);
        return true;
    }

    /// <summary>The link is gone, or the process: whether what was asked was done is not known.</summary>
    /// <param name="error">The errno.</param>
    public void Lose(int error)
    {
        foreach (Action<ProcessCallAnswer> answered in _waiting.Values)
        {
            answered(new(0, -error, []));
        }

        _waiting.Clear();
    }
}
