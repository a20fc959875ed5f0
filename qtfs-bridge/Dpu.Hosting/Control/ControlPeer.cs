using System.Globalization;
using Microsoft.AspNetCore.Http;

namespace Dpu.Hosting.Control;

/// <summary>By which way a caller of the control interface came.</summary>
public enum ControlPeerKind
{
    /// <summary>The control socket: root of this machine, or the daemon's own user.</summary>
    Local,

    /// <summary>TCP with an operator's certificate.</summary>
    Operator,

    /// <summary>The link: the machine at its other end.</summary>
    Link,
}

/// <summary>
/// Who is at the other end of a control connection. A connection without one is served nothing. Immutable.
/// </summary>
/// <param name="Kind">By which way it came.</param>
/// <param name="Name">The certificate's name; <c>uid N</c> on the control socket.</param>
public sealed record ControlPeer(ControlPeerKind Kind, string Name)
{
    /// <summary>The peer of a request.</summary>
    /// <exception cref="InvalidOperationException">The request came by a way that is none for control.</exception>
    public static ControlPeer Of(HttpContext context)
    {
        ArgumentNullException.ThrowIfNull(context);
        return context.Features.Get<ControlPeer>()
            ?? throw new InvalidOperationException("The connection has not been authenticated for control.");
    }

    internal static ControlPeer Local(uint uid) =>
        new(ControlPeerKind.Local, string.Create(CultureInfo.InvariantCulture, $"uid {uid}"));
}
