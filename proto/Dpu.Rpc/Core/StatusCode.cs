namespace Grpc.Core;

/// <summary>The result of a call, as numbered in gRPC's doc/statuscodes.md.</summary>
public enum StatusCode
{
    /// <summary>The call succeeded.</summary>
    OK = 0,

    /// <summary>The call was cancelled, as a rule by its caller.</summary>
    Cancelled = 1,

    /// <summary>An error that says nothing else about itself, such as an exception of a handler.</summary>
    Unknown = 2,

    /// <summary>The request is wrong whatever the state of the system.</summary>
    InvalidArgument = 3,

    /// <summary>The deadline passed before the call ended; its effect may have happened all the same.</summary>
    DeadlineExceeded = 4,

    /// <summary>What was asked for does not exist.</summary>
    NotFound = 5,

    /// <summary>What was to be created exists.</summary>
    AlreadyExists = 6,

    /// <summary>The caller is known and may not do this.</summary>
    PermissionDenied = 7,

    /// <summary>A quota or a size limit is reached.</summary>
    ResourceExhausted = 8,

    /// <summary>The state has to be mended before the call is tried again.</summary>
    FailedPrecondition = 9,

    /// <summary>A conflict with another call: try again from a higher level.</summary>
    Aborted = 10,

    /// <summary>Past the valid range.</summary>
    OutOfRange = 11,

    /// <summary>The method is unknown or not supported here.</summary>
    Unimplemented = 12,

    /// <summary>An invariant is broken, such as the protocol itself.</summary>
    Internal = 13,

    /// <summary>The service is away: the same call may be tried again later.</summary>
    Unavailable = 14,

    /// <summary>Data is lost beyond repair.</summary>
    DataLoss = 15,

    /// <summary>The caller has not said, or not proved, who it is.</summary>
    Unauthenticated = 16,
}
