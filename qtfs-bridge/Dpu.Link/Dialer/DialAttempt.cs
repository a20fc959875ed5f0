using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;
using System.Security.Cryptography.X509Certificates;
using Dpu.Link.Handshake;
using Dpu.Link.Sockets;
using Dpu.Proto.V1;

namespace Dpu.Link.Dialer;

/// <summary>The steps of dialling after the connection stands; each turns what failed into words and a kind.</summary>
internal sealed class DialAttempt(LinkEndpoint endpoint, string hostName, LinkStream transport, LinkDialerOptions options) : IDisposable
{
    private SslStream? _tls;

    internal LinkStream Transport { get; } = transport;

    public void Dispose()
    {
        Transport.Abort();
        _tls?.Dispose();
        Transport.Dispose();
    }

    internal (Stream Stream, LinkPeer Peer) ProveUid(Socket socket)
    {
        var credentials = NativeSocket.PeerCredentials(socket.SafeHandle);
        if (credentials.uid != options.ListenerUid)
        {
            throw new LinkException(LinkError.PeerUid, $"{endpoint} is listened on by uid {credentials.uid} (process {credentials.pid}), expected uid {options.ListenerUid}: "
                + "another program took the socket's place, or 'uid' of this host is configured wrongly.");
        }

        return (Transport, new LinkPeer { Name = hostName, Role = LinkRole.Host, Uid = credentials.uid, ProcessId = credentials.pid, Origin = endpoint.ToString() });
    }

    internal (Stream Stream, LinkPeer Peer) ProveCertificate(CredentialSnapshot trust)
    {
        CertificateVerdict? verdict = null;
        LinkException? mismatch = null;
        _tls = new SslStream(Transport, leaveInnerStreamOpen: true);
        try
        {
            _tls.AuthenticateAsClient(LinkTls.ClientOptions(trust, options.Time, hostName, v =>
            {
                verdict = v;
                mismatch = Mismatch(v.Identity);
                return mismatch is null;
            }));
        }
        catch (Exception e) when (e is AuthenticationException or IOException)
        {
            throw mismatch ?? Failed(verdict, e);
        }

        return (_tls, new LinkPeer
        {
            Name = hostName,
            Role = LinkRole.Host,
            Certificate = X509CertificateLoader.LoadCertificate(_tls.RemoteCertificate!.GetRawCertData()),
            Origin = endpoint.ToString(),
        });
    }

    internal HelloReply Greet(Stream stream, byte[] frame, string service, CredentialSnapshot? trust)
    {
        byte[]? message;
        string error;
        try
        {
            SendHello(stream, frame);
            message = LinkFrame.Read(stream, out error);
        }
        catch (IOException e)
        {
            throw Unanswered(e, trust);
        }

        if (message is null || !HelloCodec.TryParseReply(message, out var reply, out error))
        {
            throw new LinkException(LinkError.Protocol, $"{hostName} at {endpoint} does not speak the link's protocol: {error}.");
        }

        if (reply.Status != HelloStatus.Ok)
        {
            throw new LinkException(reply.Status == HelloStatus.VersionMismatch ? LinkError.VersionMismatch : LinkError.Refused,
                $"{hostName} at {endpoint} refused the service {service} ({reply.Status}): {reply.Message}", reply.Status);
        }

        return HelloNegotiation.Check(options.Local, reply) is { } objection
            ? throw new LinkException(LinkError.VersionMismatch, $"{hostName} at {endpoint} cannot be spoken with: {objection}.")
            : reply;
    }

    // A listener that refuses us at once answers without reading: its answer counts more than our failed write.
    private void SendHello(Stream stream, byte[] frame)
    {
        try
        {
            stream.Write(frame);
            stream.Flush();
        }
        catch (IOException) when (!Transport.TimedOut && !Transport.Aborted)
        {
            // Expected: the read that follows finds the answer, or fails in its turn.
        }
    }

    private LinkException? Mismatch(PeerIdentity? identity) => identity switch
    {
        null => null,
        { Role: LinkRole.Host } when identity.Name == hostName => null,
        _ => new LinkException(LinkError.NameMismatch, $"{endpoint} has the certificate of {identity}, expected dpu://host/{hostName}: wrong endpoint, wrong name in 'hosts', or an impostor with another's certificate."),
    };

    private LinkException Failed(CertificateVerdict? verdict, Exception e)
    {
        if (Transport.TimedOut)
        {
            return Late(e);
        }

        if (verdict is { Identity: null })
        {
            return new LinkException(verdict.Error, $"{hostName} at {endpoint} is not trusted: {verdict.Reason}.", inner: e);
        }

        return e is IOException
            ? new LinkException(LinkError.Closed, $"{hostName} at {endpoint} ended the connection during the TLS handshake: it is stopping, limits connections, or is no link of ours.", inner: e)
            : new LinkException(LinkError.Protocol, $"The TLS handshake with {hostName} at {endpoint} failed: {e.InnerException?.Message ?? e.Message} - is it a dpu-host-agent's tcp or vsock endpoint?", inner: e);
    }

    // In TLS 1.3 our certificate is judged after our handshake has ended (RFC 8446 2), so a refusal shows here: as an
    // alert, or as an end without a word (.NET's TLS sends no alert there). Whatever else a listener of ours objects to
    // it says in its reply, so an orderly end before one means the certificate. A reset may be a dying listener.
    private LinkException Unanswered(IOException e, CredentialSnapshot? trust)
    {
        if (Transport.TimedOut)
        {
            return Late(e);
        }

        return trust is not null && (e is EndOfStreamException || e.InnerException is not (null or SocketException or IOException))
            ? new LinkException(LinkError.CertificateRefused, $"{hostName} at {endpoint} did not accept our certificate ({CertificateVerifier.Describe(trust.Certificate)}, valid to "
                + $"{CertificateVerifier.Show(trust.Certificate.NotAfter.ToUniversalTime())}): it is revoked, or of another authority than that end trusts, or that end's clock is wrong; its log says which (event 1003).", inner: e)
            : new LinkException(LinkError.Closed, $"{hostName} at {endpoint} ended the connection without an answer: it is stopping, or limits connections; its log says which.", inner: e);
    }

    private LinkException Late(Exception e) =>
        new(LinkError.Timeout, $"{hostName} at {endpoint} took longer than {options.HandshakeLimit.TotalSeconds} s to answer: it is overloaded, stuck, or no link of ours.", inner: e);
}
