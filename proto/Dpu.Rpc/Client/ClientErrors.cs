using System.Net.Sockets;
using System.Security.Authentication;
using Dpu.Rpc.Wire;
using Grpc.Core;

namespace Grpc.Net.Client;

/// <summary>What a failure of the transport means as a status.</summary>
internal static class ClientErrors
{
    public static Status ToStatus(Exception failure)
    {
        StatusCode code = StatusCode.Internal;
        for (Exception? e = failure; e is not null; e = e.InnerException)
        {
            if (e is RpcException rpc)
            {
                return rpc.Status;
            }

            if (Classify(e) is StatusCode found)
            {
                code = found;
                if (e is HttpProtocolException)
                {
                    // The server's own word on this stream or connection: nothing deeper says more.
                    break;
                }
            }
        }

        return new Status(code, $"The call failed in transport: {failure.Message}", failure);
    }

    private static StatusCode? Classify(Exception e) => e switch
    {
        HttpProtocolException reset => StatusMapping.FromReset(reset.ErrorCode),
        // So says .NET, without a cause, where the server closed the connection before its HTTP/2 settings: no call was sent. Where
        // there is a cause, that counts.
        HttpRequestException { HttpRequestError: HttpRequestError.Unknown } => StatusCode.Unavailable,
        HttpRequestException http => FromHttpError(http.HttpRequestError),
        HttpIOException http => FromHttpError(http.HttpRequestError),
        IOException or SocketException or AuthenticationException or TimeoutException => StatusCode.Unavailable,
        OperationCanceledException => StatusCode.Cancelled,
        _ => null,
    };

    private static StatusCode FromHttpError(HttpRequestError error) => error switch
    {
        HttpRequestError.NameResolutionError
            or HttpRequestError.ConnectionError
            or HttpRequestError.SecureConnectionError
            or HttpRequestError.ProxyTunnelError
            or HttpRequestError.ResponseEnded
            or HttpRequestError.VersionNegotiationError => StatusCode.Unavailable,
        HttpRequestError.ConfigurationLimitExceeded => StatusCode.ResourceExhausted,
        _ => StatusCode.Internal,
    };
}
