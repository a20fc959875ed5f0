using System.Net;
using System.Reflection;
using Dpu.Rpc.Wire;
using Grpc.Core;

namespace Grpc.Net.Client;

/// <summary>Makes the HTTP request of a call.</summary>
internal static class ClientRequest
{
    private static readonly string UserAgent =
        $"grpc-dotnet-dpu/{typeof(ClientRequest).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion.Split('+')[0] ?? "0"}";

    public static HttpRequestMessage Create(Uri address, IMethod method, string? host, TimeSpan? timeout, Metadata? metadata)
    {
        var request = new HttpRequestMessage(HttpMethod.Post, new Uri(address, method.FullName))
        {
            Version = HttpVersion.Version20,
            VersionPolicy = HttpVersionPolicy.RequestVersionExact,
        };
        if (host is not null)
        {
            request.Headers.Host = host;
        }

        // The timeout before any metadata of the caller's (PROTOCOL-HTTP2.md, Requests).
        request.Headers.TryAddWithoutValidation("te", "trailers");
        if (timeout is TimeSpan left)
        {
            request.Headers.TryAddWithoutValidation(GrpcProtocol.TimeoutHeader, GrpcTimeout.Format(left));
        }

        request.Headers.TryAddWithoutValidation("user-agent", UserAgent);
        request.Headers.TryAddWithoutValidation(GrpcProtocol.AcceptEncodingHeader, GrpcProtocol.AcceptedEncodings);
        foreach (Metadata.Entry entry in metadata ?? Metadata.Empty)
        {
            if (MetadataCodec.IsSendable(entry))
            {
                request.Headers.TryAddWithoutValidation(entry.Key, MetadataCodec.Encode(entry));
            }
        }

        return request;
    }
}
