using System.Globalization;
using Dpu.Rpc.Wire;
using Grpc.Core;
using Microsoft.AspNetCore.Http;

namespace Dpu.Rpc.Server;

/// <summary>Writes the end of a call.</summary>
internal static class TrailersOnly
{
    /// <summary>Ends a call that has sent nothing: the status stands in its only HEADERS.</summary>
    public static Task WriteAsync(HttpContext http, Status status)
    {
        if (!GrpcRequest.TryAccept(http))
        {
            return Task.CompletedTask;
        }

        http.Response.ContentType = GrpcProtocol.ContentType;
        Append(http.Response.Headers, status, Metadata.Empty);
        return http.Response.CompleteAsync();
    }

    /// <summary>Adds status and metadata to headers, be they the first or the trailing ones.</summary>
    public static void Append(IHeaderDictionary headers, Status status, params ReadOnlySpan<Metadata> trailers)
    {
        headers[GrpcProtocol.StatusHeader] = ((int)status.StatusCode).ToString(CultureInfo.InvariantCulture);
        if (status.Detail.Length > 0)
        {
            headers[GrpcProtocol.MessageHeader] = PercentEncoding.Encode(status.Detail);
        }

        foreach (Metadata metadata in trailers)
        {
            Append(headers, metadata);
        }
    }

    /// <summary>Adds metadata to headers, but for names that belong to the protocol.</summary>
    public static void Append(IHeaderDictionary headers, Metadata metadata)
    {
        foreach (Metadata.Entry entry in metadata)
        {
            if (MetadataCodec.IsSendable(entry))
            {
                headers.Append(entry.Key, MetadataCodec.Encode(entry));
            }
        }
    }
}
