using Dpu.Relay.Processes;

namespace Dpu.HostAgent.Processes;

// What a DPU is told of it that knows nothing of it.
internal sealed partial class HostProcess
{
    /// <summary>What it is and how its streams stand; null while its DPU has a connection for it, when it is gone, and after the limit.</summary>
    public HeldProcess? Held(TimeSpan limit)
    {
        var told = new TaskCompletionSource<HeldProcess?>(TaskCreationOptions.RunContinuationsAsynchronously);
        _channel?.Post(
            () => told.SetResult(_channel.IsConnected ? null : new HeldProcess(
                Token, Number, What.Uid, new DateTimeOffset(_memory.Since, TimeSpan.Zero).ToUnixTimeMilliseconds(), What.LeftBy.Length > 0, _channel.Streams, What.Command)),
            () => told.SetResult(null));
        return _channel is not null && told.Task.Wait(limit) ? told.Task.Result : null;
    }
}
