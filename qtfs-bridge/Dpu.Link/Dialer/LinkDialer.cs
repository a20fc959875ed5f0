using Dpu.Link.Dialer;
using Dpu.Link.Handshake;
using Dpu.Link.Sockets;
using Dpu.Proto.V1;
using Google.Protobuf;

namespace Dpu.Link;

/// <summary>
/// Dials hosts: connects, proves both ends, says hello. Everything blocks, within limits, on the caller's thread.
/// Thread-safe.
/// </summary>
public sealed class LinkDialer
{
    /// <summary>How long a connection is as good as one dialled now: after that both ends prove again who they are.</summary>
    public static readonly TimeSpan ProofLimit = TimeSpan.FromMinutes(10);

    private readonly LinkCredentials? _credentials;
    private readonly LinkDialerOptions _options;

    /// <summary>A dialler; without credentials it dials unix endpoints only.</summary>
    public LinkDialer(LinkCredentials? credentials, LinkDialerOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        _credentials = credentials;
        _options = options;
    }

    /// <summary>Opens one connection to a service of a host.</summary>
    /// <param name="endpoint">Where the host listens.</param>
    /// <param name="hostName">The name that its certificate must have.</param>
    /// <param name="service">The service, e.g. <c>fs</c>.</param>
    /// <param name="sessionId">16 bytes; the same for all connections of a session.</param>
    /// <param name="parameters">Adds what the service needs to the hello.</param>
    /// <param name="cancellation">Ends the attempt at once.</param>
    /// <exception cref="LinkException">It failed; the kind says how, the message what to do.</exception>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public LinkConnection Dial(LinkEndpoint endpoint, string hostName, string service, ReadOnlySpan<byte> sessionId, Action<Hello>? parameters = null, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(endpoint);
        ArgumentOutOfRangeException.ThrowIfNotEqual(sessionId.Length, HelloCodec.SessionIdSize);
        var trust = endpoint.Transport == LinkTransport.Unix ? null : Usable(endpoint);
        var hello = new Hello
        {
            Version = _options.Local.Version,
            Features = _options.Local.Features,
            Machine = _options.Local.Machine,
            Software = _options.Local.Software,
            Name = trust?.Identity.Name ?? _options.Local.Name,
            SessionId = ByteString.CopyFrom(sessionId),
            Service = service,
        };
        parameters?.Invoke(hello);
        var frame = LinkFrame.Wrap(hello.ToByteArray());

        var socket = Connector.Connect(endpoint, _options, cancellation);
        var attempt = new DialAttempt(endpoint, hostName, new LinkStream(socket, _options.Time), _options);
        try
        {
            using (cancellation.UnsafeRegister(static s => ((LinkStream)s!).Abort(), attempt.Transport))
            {
                attempt.Transport.StartDeadline(_options.HandshakeLimit);
                var (stream, peer) = trust is null ? attempt.ProveUid(socket) : attempt.ProveCertificate(trust);
                var reply = attempt.Greet(stream, frame, service, trust);
                cancellation.ThrowIfCancellationRequested();
                attempt.Transport.EndDeadline(Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
                return new LinkConnection(endpoint, socket, attempt.Transport, stream, peer, hello, reply) { Trust = trust };
            }
        }
        catch (Exception e)
        {
            attempt.Dispose();
            if (cancellation.IsCancellationRequested)
            {
                throw new OperationCanceledException("Dialling was cancelled.", e, cancellation);
            }

            throw;
        }
    }

    /// <summary>Whether a connection was dialled lately, with the certificates of now, which are still valid: another one would prove no more.</summary>
    public bool IsCurrent(LinkConnection connection)
    {
        ArgumentNullException.ThrowIfNull(connection);
        return connection.Age < ProofLimit
            && (connection.Endpoint.Transport == LinkTransport.Unix || (_credentials is not null && connection.Trust == _credentials.Current && _credentials.JudgeOwn() is null));
    }

    // What the listener would refuse without being able to say why, we see ourselves beforehand.
    private CredentialSnapshot Usable(LinkEndpoint endpoint)
    {
        if (_credentials is null)
        {
            throw new LinkException(LinkError.Credentials, $"Dialling {endpoint} needs a certificate: configure 'tls'.");
        }

        if (_credentials.JudgeOwn() is { } verdict)
        {
            throw new LinkException(verdict.Error, $"Our own certificate ({_credentials.Identity}) cannot be used: {verdict.Reason}.");
        }

        return _credentials.Current;
    }
}
