using Microsoft.Extensions.Logging;

namespace Dpu.Qtfs.Mount.Fifos;

/// <summary>Events 2240-2259: FIFOs of mounts.</summary>
internal static partial class Log
{
    [LoggerMessage(2240, LogLevel.Warning, "{Target}: a FIFO that thread {Thread} opens reaches programs of this machine only: {Problem}")]
    public static partial void FifoNotRelayed(ILogger logger, string target, int thread, string problem);
}
