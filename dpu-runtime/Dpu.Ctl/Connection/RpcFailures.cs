using Dpu.Hosting;
using Grpc.Core;

namespace Dpu.Ctl.Connection;

/// <summary>What a failed call means for the person at the terminal.</summary>
internal static class RpcFailures
{
    /// <summary>The exit code and message of a status.</summary>
    public static CtlException Explain(Status status, TimeSpan timeout)
    {
        string detail = Output.Human.Clean(status.Detail);
        return status.StatusCode switch
        {
            StatusCode.Unavailable => new(ExitCodes.Unreachable, $"dpu-runtime went away or cannot answer now: {detail}"),
            StatusCode.DeadlineExceeded => new(
                ExitCodes.Timeout, $"no answer within {Output.Human.Duration(timeout)}; give it more time with --timeout, and see dpuctl status"),
            StatusCode.NotFound => new(ExitCodes.NotFound, detail),
            StatusCode.PermissionDenied or StatusCode.Unauthenticated or StatusCode.FailedPrecondition
                or StatusCode.AlreadyExists or StatusCode.Aborted or StatusCode.ResourceExhausted => new(ExitCodes.Refused, detail),
            StatusCode.InvalidArgument or StatusCode.OutOfRange => new(ExitCodes.Usage, detail),
            StatusCode.Unimplemented => new(
                ExitCodes.Failure, "the daemon does not know this request: it is older than this dpuctl; upgrade it"),
            StatusCode.Cancelled => new(ExitCodes.Failure, "cancelled"),
            _ => new(ExitCodes.Failure, $"dpu-runtime failed: {detail} ({status.StatusCode}); see journalctl -u dpu-runtime"),
        };
    }
}
