using Dpu.Link;
using Dpu.Proto.V1;
using Dpu.Relay.Processes;

namespace Dpu.HostAgent.Processes;

/// <summary>Which processes there are, for a DPU that knows nothing of them any more: it was rebooted, or its keeper died with its runtime.</summary>
public sealed partial class ProcessService
{
    // A loop that does not answer is one that hangs: the DPU asks again.
    private static readonly TimeSpan HeldLimit = TimeSpan.FromSeconds(10);

    private static bool AsksForList(Hello hello) => hello.ParametersCase == Hello.ParametersOneofCase.Exec && hello.Exec.List && hello.Exec.Token.IsEmpty;

    private void List(LinkConnection connection)
    {
        var exec = new ExecConnection(connection);
        foreach (HostProcess? process in _processes.Values)
        {
            // What one has left running that is there itself is told of by that one.
            if (process is not null && process.What.Peer == connection.Peer.Name && !LeaverIsThere(process) && process.Held(HeldLimit) is { } held)
            {
                Answer(exec, ProcessFrameKind.Held, held.ToBytes());
            }
        }

        Answer(exec, ProcessFrameKind.HeldEnd, []);
    }

    private bool LeaverIsThere(HostProcess process) => Guid.TryParseExact(process.What.LeftBy, "N", out Guid leaver) && _processes.ContainsKey(leaver);
}
