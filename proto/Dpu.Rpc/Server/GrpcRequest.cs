using Dpu.Rpc.Wire;
using Grpc.Core;
using Microsoft.AspNetCore.Http;

namespace Dpu.Rpc.Server;

/// <summary>Checks and reads the headers of a request.</summary>
internal static class GrpcRequest
{
    /// <summary>Answers in HTTP what is no gRPC at all; true where the request may go on.</summary>
    public static bool TryAccept(HttpContext http)
    {
        if (!HttpProtocol.IsHttp2(http.Request.Protocol))
        {
            http.Response.StatusCode = StatusCodes.Status426UpgradeRequired;
            http.Response.Headers.Upgrade = "h2c";
            return false;
        }

        if (!GrpcProtocol.IsGrpcContentType(http.Request.ContentType))
        {
            http.Response.StatusCode = StatusCodes.Status415UnsupportedMediaType;
            return false;
        }

        return true;
    }

    /// <summary>The time that the client gives; null for no limit.</summary>
    /// <exception cref="RpcException">INTERNAL where the header is malformed.</exception>
    public static TimeSpan? ReadTimeout(HttpRequest request)
    {
        if (!request.Headers.TryGetValue(GrpcProtocol.TimeoutHeader, out Microsoft.Extensions.Primitives.StringValues values))
        {
            return null;
        }

        return values.Count == 1 && GrpcTimeout.TryParse(values[0], out TimeSpan timeout)
            ? timeout
            : throw GrpcProtocol.Error(StatusCode.Internal, $"The header {GrpcProtocol.TimeoutHeader} is malformed: at most 8 digits and one of H, M, S, m, u, n.");
    }

    /// <summary>The client's metadata.</summary>
    /// <exception cref="RpcException">INTERNAL where a binary entry is no base64.</exception>
    public static Metadata ReadMetadata(HttpRequest request)
    {
        var metadata = new Metadata();
        foreach ((string name, Microsoft.Extensions.Primitives.StringValues values) in request.Headers)
        {
            foreach (string? value in values)
            {
                if (!MetadataCodec.TryAdd(metadata, name, value ?? ""))
                {
                    throw GrpcProtocol.Error(StatusCode.Internal, $"The metadata '{name.ToLowerInvariant()}' is not base64.");
                }
            }
        }

        return metadata;
    }

    /// <summary>The encoding of the client's messages, or null where none is named.</summary>
    public static string? Encoding(HttpRequest request) =>
        request.Headers.TryGetValue(GrpcProtocol.EncodingHeader, out Microsoft.Extensions.Primitives.StringValues values) ? values.ToString() : null;
}
