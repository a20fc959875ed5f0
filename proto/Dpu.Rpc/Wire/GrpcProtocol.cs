using Grpc.Core;

namespace Dpu.Rpc.Wire;

/// <summary>Names and customary numbers of gRPC over HTTP/2.</summary>
public static class GrpcProtocol
{
    /// <summary>What requests and responses are.</summary>
    public const string ContentType = "application/grpc";

    /// <summary>The header of the time left.</summary>
    public const string TimeoutHeader = "grpc-timeout";

    /// <summary>The header of the status.</summary>
    public const string StatusHeader = "grpc-status";

    /// <summary>The header of the status' text.</summary>
    public const string MessageHeader = "grpc-message";

    /// <summary>The header of the compression used.</summary>
    public const string EncodingHeader = "grpc-encoding";

    /// <summary>The header of the compressions understood.</summary>
    public const string AcceptEncodingHeader = "grpc-accept-encoding";

    /// <summary>The compressions understood here: none yet. What reads messages asks <see cref="IsEncodingSupported"/> only.</summary>
    public const string AcceptedEncodings = "identity";

    /// <summary>The longest message received unless set otherwise: 4 MiB, as every gRPC library has it.</summary>
    public const int DefaultMaxReceiveMessageSize = 4 * 1024 * 1024;

    /// <summary>Whether messages in that <c>grpc-encoding</c> can be read.</summary>
    public static bool IsEncodingSupported(string? encoding) =>
        string.IsNullOrEmpty(encoding) || string.Equals(encoding, "identity", StringComparison.OrdinalIgnoreCase);

    /// <summary>Whether a content type is gRPC's: <c>application/grpc</c>, also with <c>+proto</c> or parameters.</summary>
    public static bool IsGrpcContentType(ReadOnlySpan<char> contentType) =>
        contentType.StartsWith(ContentType, StringComparison.OrdinalIgnoreCase)
        && (contentType.Length == ContentType.Length || contentType[ContentType.Length] is '+' or ';');

    internal static RpcException Error(StatusCode code, string detail, Exception? cause = null) => new(new Status(code, detail, cause));
}
