namespace Dpu.Fuse;

/// <summary>Why a server ended.</summary>
public enum FuseServerEndReason
{
    /// <summary>The kernel unmounted it (ENODEV).</summary>
    Unmounted,

    /// <summary>The connection was aborted (ECONNABORTED).</summary>
    Aborted,

    /// <summary>Reading or writing the device failed otherwise, or a thread could not go on; the connection was aborted.</summary>
    Failed,
}

/// <summary>How a server ended: the first reason that any of its threads met.</summary>
/// <param name="Reason">Why.</param>
/// <param name="Error">The errno that said so, or 0.</param>
/// <param name="Fault">The exception, where one ended a thread.</param>
public sealed record FuseServerEnd(FuseServerEndReason Reason, int Error, Exception? Fault);
