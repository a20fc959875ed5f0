using System.Globalization;
using Grpc.Core;

namespace Dpu.Rpc.Wire;

/// <summary>How other protocols' endings become a gRPC status.</summary>
public static class StatusMapping
{
    /// <summary>A response that is not gRPC's (doc/http-grpc-status-mapping.md); 200 itself is UNKNOWN there.</summary>
    public static StatusCode FromHttp(int httpStatus) => httpStatus switch
    {
        400 => StatusCode.Internal,
        401 => StatusCode.Unauthenticated,
        403 => StatusCode.PermissionDenied,
        404 => StatusCode.Unimplemented,
        429 or 502 or 503 or 504 => StatusCode.Unavailable,
        _ => StatusCode.Unknown,
    };

    /// <summary>A stream reset without a status (PROTOCOL-HTTP2.md, Errors; codes of RFC 9113, 7).</summary>
    public static StatusCode FromReset(long errorCode) => errorCode switch
    {
        Http2ErrorCodes.REFUSED_STREAM => StatusCode.Unavailable,
        Http2ErrorCodes.CANCEL => StatusCode.Cancelled,
        Http2ErrorCodes.ENHANCE_YOUR_CALM => StatusCode.ResourceExhausted,
        Http2ErrorCodes.INADEQUATE_SECURITY => StatusCode.PermissionDenied,
        _ => StatusCode.Internal,
    };

    /// <summary>The headers <c>grpc-status</c> and <c>grpc-message</c>.</summary>
    /// <param name="status">The code; one that is no number, or is unknown, becomes UNKNOWN.</param>
    /// <param name="message">The message, %-encoded; null for none.</param>
    public static Status FromHeaders(string status, string? message)
    {
        string detail = message is null ? "" : PercentEncoding.Decode(message);
        return int.TryParse(status, NumberStyles.None, CultureInfo.InvariantCulture, out int code) && code <= (int)StatusCode.Unauthenticated
            ? new Status((StatusCode)code, detail)
            : new Status(StatusCode.Unknown, $"The server answered with the unknown grpc-status '{status}'. {detail}".TrimEnd());
    }
}

/// <summary>HTTP/2 error codes (RFC 9113, 7) with their names there.</summary>
internal static class Http2ErrorCodes
{
    public const long REFUSED_STREAM = 0x7;
    public const long CANCEL = 0x8;
    public const long ENHANCE_YOUR_CALM = 0xb;
    public const long INADEQUATE_SECURITY = 0xc;
}
