using System.Net;

namespace Dpu.Hosting.Control;

/// <summary>The place in Kestrel where streams that were accepted elsewhere come in.</summary>
internal sealed class StreamEndPoint : EndPoint
{
    public static StreamEndPoint Instance { get; } = new();

    public override string ToString() => "link";
}
