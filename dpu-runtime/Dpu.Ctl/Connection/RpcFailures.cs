using Dpu.Hosting;
using Grpc.Core;

namespace Dpu.Ctl.Connection;

/// <summary>What a failed call means for the person at the terminal.</summary>
internal static class RpcFailures
{
    /// <summary>The exit code and message of a status.</summary>
    /// <param name="status">How the call ended.</param>
    /// <param name="timeout">The time limit it had.</param>
    /// <param name="isLocal">Whether it went to this machine's socket; otherwise, over TLS 1.3, a refused certificate shows only now.</param>
    public static CtlException Explain(Status status, TimeSpan timeout, bool isLocal)
    {
        string detail = Output.Human.Clean(status.Detail);
        return status.StatusCode switch
        {
            StatusCode.Unavailable when !isLocal => new(
                ExitCodes.Unreachable, $"dpu-runtime closed the connection: is your certificate in its control.operators, valid and not revoked? ({detail})"),
            StatusCode.Unavailable => new(ExitCodes.Unreachable, $"dpu-runtime went away or cannot answer now: {detail}"),
            StatusCode.DeadlineExceeded => new(
                ExitCodes.Timeout, $"no answer within {Output.Human.Duration(timeout)}; give it more time with --timeout, and see dpuctl status"),
            StatusCode.NotFound => new(ExitCodes.NotFound, detail),
            StatusCode.PermissionDenied or StatusCode.Unauthenticated or StatusCode.FailedPrecondition
                or StatusCode.AlreadyExists or StatusCode.Aborted or StatusCode.ResourceExhausted => new(ExitCodes.Refused, detail),
            StatusCode.InvalidArgument or StatusCode.OutOfRange => new(ExitCodes.Usage, detail),
            StatusCode.Unimplemented => new(
                ExitCodes.Failure, "the daemon does not know this request: it is the host agent, which knows status, stats, top, reload, health and version, or it is older than this dpuctl"),
            StatusCode.Cancelled => new(ExitCodes.Failure, "cancelled"),
            _ => new(ExitCodes.Failure, $"dpu-runtime failed: {detail} ({status.StatusCode}); see journalctl -u dpu-runtime"),
        };
    }
}
