using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;
using System.Security.Cryptography.X509Certificates;
using Dpu.Link.Handshake;
using Dpu.Link.Sockets;
using Dpu.Proto.V1;
using Google.Protobuf;

namespace Dpu.Link;

public sealed partial class LinkListener
{
    // After a refusal the peer's unread bytes are taken for so long, or the kernel would answer them with a reset that
    // destroys our last words (RFC 1122 4.2.2.13).
    private static readonly TimeSpan Farewell = TimeSpan.FromMilliseconds(500);
    private const int FarewellSize = 64 * 1024;

    private void Handle(Worker worker)
    {
        Stream? stream = null;
        var counted = false;
        var kept = false;
        try
        {
            Admitted? admitted;
            try
            {
                worker.Transport.StartDeadline(_options.HandshakeLimit);
                stream = Prove(worker);
                admitted = stream is null ? null : Greet(worker, stream);
                counted = admitted is not null;
            }
            catch (Exception e) when (e is IOException or SocketException or ObjectDisposedException)
            {
                // Expected: the peer went away, stalled past the limit, or we are stopping.
                Refuse(worker, worker.Transport.TimedOut ? LinkError.Timeout : LinkError.Closed,
                    worker.Transport.TimedOut ? $"the set-up took longer than {_options.HandshakeLimit.TotalSeconds} s" : "the peer ended the connection during the set-up", farewell: false);
                admitted = null;
            }
            finally
            {
                _limits.EndHandshake(worker.Origin);
            }

            kept = admitted is not null && Serve(worker, stream!, admitted);
        }
        finally
        {
            if (!kept)
            {
                worker.Transport.Abort();
                stream?.Dispose();
                Forget(worker, counted);
            }
        }
    }

    // The last that is done for a connection.
    private void Forget(Worker worker, bool counted)
    {
        if (counted)
        {
            _limits.Disconnect(worker.Peer!.Name);
        }

        worker.Transport.Dispose();
        lock (_lock)
        {
            _workers.Remove(worker);
        }
    }

    // Who is it? TLS and the certificate, or the uid. Null where it was refused.
    private Stream? Prove(Worker worker)
    {
        if (worker.Endpoint.Transport == LinkTransport.Unix)
        {
            return worker.Transport;
        }

        var trust = _options.Credentials!.Current;
        CertificateVerdict? verdict = null;
        var tls = new SslStream(worker.Transport, leaveInnerStreamOpen: true);
        try
        {
            tls.AuthenticateAsServer(LinkTls.ServerOptions(trust, _options.Time, v =>
            {
                verdict = v;
                return true;
            }));
        }
        catch (AuthenticationException e)
        {
            tls.Dispose();
            Refuse(worker, verdict?.Identity is null ? verdict?.Error ?? LinkError.Protocol : LinkError.Protocol,
                verdict?.Identity is null && verdict is not null ? verdict.Reason : $"the TLS handshake failed: {e.InnerException?.Message ?? e.Message}", farewell: true);
            return null;
        }
        catch
        {
            tls.Dispose();
            throw;
        }

        worker.Peer = new LinkPeer
        {
            Name = verdict!.Identity!.Name,
            Role = verdict.Identity.Role,

            // TLS frees its own copy with the stream; ours is asked again when revocations change.
            Certificate = X509CertificateLoader.LoadCertificate(tls.RemoteCertificate!.GetRawCertData()),
            Origin = worker.Origin,
        };
        return tls;
    }

    // The hello, the policy, the service's own decision, the reply. Null where it was refused.
    private Admitted? Greet(Worker worker, Stream stream)
    {
        if (worker.Endpoint.Transport == LinkTransport.Unix && _policy.NamesOf(NativeSocket.PeerCredentials(worker.Socket.SafeHandle).uid).Count == 0)
        {
            return Answer(worker, stream, LinkError.PeerUid, HelloStatus.NotPermitted,
                $"the policy lists no peer for {worker.Origin}: add the uid to 'peers', or run the other end as a listed user");
        }

        if (worker.Peer is { } proven && !_policy.Admits(new PeerIdentity(proven.Role, proven.Name)))
        {
            return Answer(worker, stream, LinkError.Refused, HelloStatus.NotPermitted,
                $"the policy does not list {new PeerIdentity(proven.Role, proven.Name)}: add it to 'peers'");
        }

        var message = LinkFrame.Read(stream, out var error);
        Hello? hello = null;
        if (message is null || !HelloCodec.TryParseHello(message, out hello, out error))
        {
            return Answer(worker, stream, LinkError.Protocol, HelloStatus.Malformed, $"the hello is malformed: {error}");
        }

        if (Name(worker, hello) is { } objection)
        {
            return Answer(worker, stream, LinkError.NameMismatch, HelloStatus.NotPermitted, objection);
        }

        var reply = HelloNegotiation.Answer(_options.Local, hello);
        if (reply.Status != HelloStatus.Ok)
        {
            return Answer(worker, stream, LinkError.VersionMismatch, reply.Status, reply.Message);
        }

        if (!_services.TryGetValue(hello.Service, out var service))
        {
            return Answer(worker, stream, LinkError.Refused, HelloStatus.ServiceUnknown,
                $"the service '{hello.Service}' is not offered here; offered: {string.Join(", ", _services.Keys.Order(StringComparer.Ordinal))}");
        }

        return Admit(worker, stream, hello, reply, service);
    }

    // Settles the peer's name; what is wrong otherwise.
    private string? Name(Worker worker, Hello hello)
    {
        if (worker.Peer is { } proven)
        {
            return hello.Name.Length == 0 || hello.Name == proven.Name ? null : $"the hello claims the name {hello.Name}, the certificate is of {proven.Name}";
        }

        var credentials = NativeSocket.PeerCredentials(worker.Socket.SafeHandle);
        var names = _policy.NamesOf(credentials.uid);
        var name = hello.Name.Length == 0 && names.Count == 1 ? names[0] : hello.Name;
        if (!names.Contains(name, StringComparer.Ordinal))
        {
            return $"uid {credentials.uid} may not be '{hello.Name}'; the policy gives it: {string.Join(", ", names)}";
        }

        worker.Peer = new LinkPeer { Name = name, Role = LinkRole.Dpu, Uid = credentials.uid, ProcessId = credentials.pid, Origin = worker.Origin };
        return null;
    }

    private Admitted? Admit(Worker worker, Stream stream, Hello hello, HelloReply reply, ILinkService service)
    {
        var peer = worker.Peer!;
        if (!_limits.TryConnect(peer.Name, _policy.ConnectionLimit(peer.Name) ?? _options.MaxConnectionsPerPeer))
        {
            return Answer(worker, stream, LinkError.Refused, HelloStatus.Limit, $"{peer.Name} has as many connections as it may, or everybody together has; close some, or raise the limit");
        }

        var kept = false;
        try
        {
            HelloReply decision;
            try
            {
                decision = service.Admit(peer, hello);
            }
            catch (Exception e)
            {
                Log.ServiceFailed(_options.Logger, e, service.Name, peer.ToString());
                return Answer(worker, stream, LinkError.Refused, HelloStatus.Unavailable, "the service failed; the listener's log says why");
            }

            if (decision.Status != HelloStatus.Ok)
            {
                return Answer(worker, stream, LinkError.Refused, decision.Status, decision.Message);
            }

            // The service's result, whatever service it is; what the listener itself says cannot be overwritten.
            var result = new HelloReply(decision) { Version = null, Features = 0, Machine = null, Software = "", Name = "", Incarnation = 0 };
            reply.MergeFrom(result);
            kept = TrySend(stream, reply, service, peer, hello);
            return kept ? new Admitted(service, hello, reply) : null;
        }
        finally
        {
            if (!kept)
            {
                _limits.Disconnect(peer.Name);
            }
        }
    }

    private static bool TrySend(Stream stream, HelloReply reply, ILinkService service, LinkPeer peer, Hello hello)
    {
        try
        {
            stream.Write(LinkFrame.Wrap(reply.ToByteArray()));
            stream.Flush();
            return true;
        }
        catch
        {
            service.Abandon(peer, hello);
            throw;
        }
    }

    /// <summary>Whether the connection goes on without this thread.</summary>
    private bool Serve(Worker worker, Stream stream, Admitted admitted)
    {
        var peer = worker.Peer!;
        worker.Transport.EndDeadline(Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        var connection = new LinkConnection(worker.Endpoint, worker.Socket, worker.Transport, stream, peer, admitted.Hello, admitted.Reply);
        Log.Opened(_options.Logger, peer.ToString(), peer.Origin, admitted.Service.Name, admitted.Reply.Version.Major, admitted.Reply.Version.Minor, admitted.Hello.Software);
        try
        {
            // Between proof and here credentials or policy may have changed without seeing this connection.
            if (Objection(peer) is { } reason)
            {
                Log.Cut(_options.Logger, peer.ToString(), peer.Origin, reason);
                admitted.Service.Abandon(peer, admitted.Hello);
                return false;
            }

            // Set beforehand: who keeps it may close it before Serve returns.
            connection.Released = () =>
            {
                if (connection.IsKept)
                {
                    Forget(worker, counted: false);
                }
            };
            admitted.Service.Serve(connection, _stopping.Token);
            if (connection.IsKept)
            {
                // It takes no thread any more; who keeps it bounds how many there are.
                _limits.Disconnect(peer.Name);
                return true;
            }
        }
        catch (Exception e) when (e is IOException or SocketException or OperationCanceledException || worker.Transport.Aborted)
        {
            // Expected: that is how connections end.
            Log.EndedWith(_options.Logger, peer.ToString(), peer.Origin, e.Message);
        }
        catch (Exception e)
        {
            Log.ServiceFailed(_options.Logger, e, admitted.Service.Name, peer.ToString());
        }

        connection.Dispose();
        if (connection.IsKept)
        {
            _limits.Disconnect(peer.Name);
            return true;
        }

        Log.Ended(_options.Logger, peer.ToString(), peer.Origin, admitted.Service.Name);
        return false;
    }

    private Admitted? Answer(Worker worker, Stream stream, LinkError kind, HelloStatus status, string message)
    {
        message = Printable.Clean(message, HelloCodec.MaxRefusalLength);
        try
        {
            stream.Write(LinkFrame.Wrap(HelloNegotiation.Refuse(_options.Local, status, message).ToByteArray()));
            stream.Flush();
        }
        catch (IOException)
        {
            // Expected: the peer does not wait for the answer; the log has it.
        }

        Refuse(worker, kind, message, farewell: true);
        return null;
    }

    private void Refuse(Worker worker, LinkError kind, string reason, bool farewell)
    {
        if (!_stopping.IsCancellationRequested)
        {
            ConnectionRefused?.Invoke(kind, worker.Origin, reason);
            if (_refusalGate.TryPass(out var suppressed))
            {
                Log.Refused(_options.Logger, worker.Origin, kind, reason, suppressed);
            }
        }

        if (farewell)
        {
            SayFarewell(worker);
        }
    }

    private static void SayFarewell(Worker worker)
    {
        Span<byte> scratch = stackalloc byte[4096];
        try
        {
            worker.Socket.Shutdown(SocketShutdown.Send);
            worker.Transport.StartDeadline(Farewell);
            for (var taken = 0; taken < FarewellSize;)
            {
                var size = worker.Transport.Read(scratch);
                if (size == 0)
                {
                    return;
                }

                taken += size;
            }
        }
        catch (Exception e) when (e is IOException or SocketException)
        {
            // Expected: the peer is gone, or goes on talking; it has had its chance.
        }
    }

    private sealed record Admitted(ILinkService Service, Hello Hello, HelloReply Reply);
}
