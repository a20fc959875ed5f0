using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text;

namespace Dpu.Link;

/// <summary>How a link's bytes travel.</summary>
public enum LinkTransport
{
    /// <summary>TCP with mutual TLS 1.3: <c>tcp://host:port</c>, an IPv6 address in brackets.</summary>
    Tcp,

    /// <summary>A vsock stream with mutual TLS 1.3: <c>vsock://cid:port</c>; <c>any</c> listens on every cid.</summary>
    Vsock,

    /// <summary>A unix stream socket, the peer's uid checked: <c>unix:///path</c>.</summary>
    Unix,
}

/// <summary>Where a link listens or is dialled. Immutable; <see cref="ToString"/> and <see cref="Parse"/> are inverse.</summary>
public sealed record LinkEndpoint
{
    /// <summary>sun_path holds 108 bytes with its terminating NUL (unix(7)).</summary>
    public const int MaxUnixPathSize = 107;

    private const string Allowed = "allowed: tcp://host:port (an IPv6 address in brackets), vsock://cid:port, unix:///absolute/path";

    private LinkEndpoint(LinkTransport transport, string host, uint port)
    {
        Transport = transport;
        Host = host;
        Port = port;
    }

    /// <summary>How the bytes travel.</summary>
    public LinkTransport Transport { get; }

    /// <summary>tcp: host name or address without brackets; vsock: the cid as a decimal number or <c>any</c>; unix: the path.</summary>
    public string Host { get; }

    /// <summary>tcp: 0 to 65535; vsock: 0 to 2^32-1; unix: 0.</summary>
    public uint Port { get; }

    /// <summary>The context id of a vsock endpoint; VMADDR_CID_ANY for <c>any</c>.</summary>
    /// <exception cref="InvalidOperationException">Not a vsock endpoint.</exception>
    public uint Cid => Transport != LinkTransport.Vsock
        ? throw new InvalidOperationException($"{this} has no context id.")
        : Host == "any" ? Dpu.Linux.linux_vm_sockets.VMADDR_CID_ANY : uint.Parse(Host, CultureInfo.InvariantCulture);

    /// <summary>A TCP endpoint. Port 0 lets the kernel choose one when listening.</summary>
    public static LinkEndpoint Tcp(string host, int port) => Parse(host.Contains(':', StringComparison.Ordinal) ? $"tcp://[{host}]:{port}" : $"tcp://{host}:{port}");

    /// <summary>A unix endpoint.</summary>
    public static LinkEndpoint Unix(string path) => Parse("unix://" + path);

    /// <summary>A vsock endpoint.</summary>
    public static LinkEndpoint Vsock(uint cid, uint port) => Parse(cid == Dpu.Linux.linux_vm_sockets.VMADDR_CID_ANY
        ? string.Create(CultureInfo.InvariantCulture, $"vsock://any:{port}")
        : string.Create(CultureInfo.InvariantCulture, $"vsock://{cid}:{port}"));

    /// <summary>Reads an endpoint.</summary>
    /// <exception cref="FormatException">It is none; the message says what is allowed.</exception>
    public static LinkEndpoint Parse(string text) =>
        TryParse(text, out var endpoint, out var error) ? endpoint : throw new FormatException(error);

    /// <summary>Reads an endpoint; false where it is none.</summary>
    public static bool TryParse([NotNullWhen(true)] string? text, [NotNullWhen(true)] out LinkEndpoint? endpoint) =>
        TryParse(text, out endpoint, out _);

    /// <summary>Reads an endpoint; false with what is wrong and what is allowed.</summary>
    public static bool TryParse([NotNullWhen(true)] string? text, [NotNullWhen(true)] out LinkEndpoint? endpoint, [NotNullWhen(false)] out string? error)
    {
        endpoint = null;
        var reason = "it is empty";
        if (!string.IsNullOrEmpty(text))
        {
            reason = text.StartsWith("tcp://", StringComparison.Ordinal) ? ParseTcp(text["tcp://".Length..], out endpoint)
                : text.StartsWith("vsock://", StringComparison.Ordinal) ? ParseVsock(text["vsock://".Length..], out endpoint)
                : text.StartsWith("unix://", StringComparison.Ordinal) ? ParseUnix(text["unix://".Length..], out endpoint)
                : "its scheme is not known";
        }

        error = endpoint is null ? $"'{text}' is no endpoint: {reason}; {Allowed}" : null;
        return endpoint is not null;
    }

    /// <inheritdoc/>
    public override string ToString() => Transport switch
    {
        LinkTransport.Unix => "unix://" + Host,
        LinkTransport.Vsock => string.Create(CultureInfo.InvariantCulture, $"vsock://{Host}:{Port}"),
        _ when Host.Contains(':', StringComparison.Ordinal) => string.Create(CultureInfo.InvariantCulture, $"tcp://[{Host}]:{Port}"),
        _ => string.Create(CultureInfo.InvariantCulture, $"tcp://{Host}:{Port}"),
    };

    /// <summary>This endpoint with the port that the kernel chose.</summary>
    internal LinkEndpoint WithPort(uint port) => new(Transport, Host, port);

    private static string ParseTcp(string rest, out LinkEndpoint? endpoint)
    {
        endpoint = null;
        string host, port;
        if (rest.StartsWith('['))
        {
            var close = rest.IndexOf(']', StringComparison.Ordinal);
            if (close < 0 || close + 1 >= rest.Length || rest[close + 1] != ':')
            {
                return "an IPv6 address is written [address]:port";
            }

            host = rest[1..close];
            port = rest[(close + 2)..];
            if (!IPAddress.TryParse(host, out var address) || address.AddressFamily != AddressFamily.InterNetworkV6
                || host.Contains('[', StringComparison.Ordinal))
            {
                return "what stands in brackets is no IPv6 address";
            }
        }
        else
        {
            var colon = rest.LastIndexOf(':');
            if (colon < 0)
            {
                return "the port is missing";
            }

            host = rest[..colon];
            port = rest[(colon + 1)..];
            if (!IsHostName(host))
            {
                return "the host is neither a name nor an address";
            }
        }

        if (!TryNumber(port, ushort.MaxValue, out var number))
        {
            return "the port is no number from 0 to 65535";
        }

        endpoint = new LinkEndpoint(LinkTransport.Tcp, host, number);
        return "";
    }

    private static string ParseVsock(string rest, out LinkEndpoint? endpoint)
    {
        endpoint = null;
        var colon = rest.IndexOf(':', StringComparison.Ordinal);
        if (colon < 0)
        {
            return "the port is missing";
        }

        var cid = rest[..colon];
        if (cid != "any" && !TryNumber(cid, uint.MaxValue - 1, out _))
        {
            return "the context id is neither a number nor 'any'";
        }

        if (!TryNumber(rest[(colon + 1)..], uint.MaxValue - 1, out var port))
        {
            return "the port is no number from 0 to 4294967294";
        }

        endpoint = new LinkEndpoint(LinkTransport.Vsock, cid, port);
        return "";
    }

    private static string ParseUnix(string path, out LinkEndpoint? endpoint)
    {
        endpoint = null;
        if (!path.StartsWith('/') || path.Length == 1 || path.EndsWith('/'))
        {
            return "a unix path is absolute and names a file";
        }

        if (path.Contains('\0', StringComparison.Ordinal))
        {
            return "a unix path has no NUL";
        }

        if (Encoding.UTF8.GetByteCount(path) > MaxUnixPathSize)
        {
            return $"a unix path has at most {MaxUnixPathSize} bytes";
        }

        endpoint = new LinkEndpoint(LinkTransport.Unix, path, 0);
        return "";
    }

    private static bool IsHostName(string host)
    {
        if (host.Length is 0 or > 253)
        {
            return false;
        }

        foreach (var c in host)
        {
            if (!char.IsAsciiLetterOrDigit(c) && c is not ('.' or '-' or '_'))
            {
                return false;
            }
        }

        return true;
    }

    // Only the one shortest form of a number, so that equal endpoints are written equally.
    private static bool TryNumber(string text, uint maximum, out uint number) =>
        uint.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out number)
        && number <= maximum
        && (text.Length == 1 || text[0] != '0');
}
