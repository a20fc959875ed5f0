using System.Net;
using System.Net.Http.Headers;
using Dpu.Rpc.Wire;
using Grpc.Core;

namespace Grpc.Net.Client;

/// <summary>Reads what the headers and trailers of a response say about the call.</summary>
internal static class ClientResponse
{
    /// <summary>Whether the headers already end the call: it is no gRPC, or it is Trailers-Only.</summary>
    public static bool IsEnded(HttpResponseMessage response, out Status status)
    {
        string? contentType = First(response.Content.Headers, "content-type");
        if (response.StatusCode != HttpStatusCode.OK)
        {
            status = new Status(StatusMapping.FromHttp((int)response.StatusCode), $"The server answered with HTTP status {(int)response.StatusCode} instead of 200.");
            return true;
        }

        if (!GrpcProtocol.IsGrpcContentType(contentType))
        {
            status = new Status(StatusCode.Unknown, $"The server answered with content-type '{contentType ?? ""}', which is not gRPC.");
            return true;
        }

        return TryReadStatus(response.Headers, out status);
    }

    /// <summary>How the call ended, once the body was read to its end.</summary>
    public static Status ReadTrailingStatus(HttpResponseMessage response) =>
        TryReadStatus(response.TrailingHeaders, out Status status)
            ? status
            : new Status(StatusCode.Unknown, "The server ended the call without a grpc-status.");

    /// <summary>The encoding of the response's messages, or null where none was named.</summary>
    public static string? Encoding(HttpResponseMessage response) => First(response.Headers, GrpcProtocol.EncodingHeader);

    /// <summary>The metadata among headers.</summary>
    /// <exception cref="RpcException">INTERNAL where a binary entry is no base64.</exception>
    public static Metadata ReadMetadata(HttpHeaders headers)
    {
        var metadata = new Metadata();
        foreach ((string name, HeaderStringValues values) in headers.NonValidated)
        {
            foreach (string value in values)
            {
                if (!MetadataCodec.TryAdd(metadata, name, value))
                {
                    throw GrpcProtocol.Error(StatusCode.Internal, $"The server's metadata '{name}' is not base64.");
                }
            }
        }

        return metadata;
    }

    private static bool TryReadStatus(HttpHeaders headers, out Status status)
    {
        if (First(headers, GrpcProtocol.StatusHeader) is not string code)
        {
            status = default;
            return false;
        }

        status = StatusMapping.FromHeaders(code, First(headers, GrpcProtocol.MessageHeader));
        return true;
    }

    private static string? First(HttpHeaders headers, string name)
    {
        if (headers.NonValidated.TryGetValues(name, out HeaderStringValues values))
        {
            foreach (string value in values)
            {
                return value;
            }
        }

        return null;
    }
}
