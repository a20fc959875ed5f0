using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;
using Dpu.Hosting;
using Dpu.Hosting.Control;
using Dpu.Link;
using Dpu.Proto.V1;
using Grpc.Core;
using Grpc.Net.Client;

namespace Dpu.Ctl.Connection;

/// <summary>A connection to the control interface of a runtime, or of a host agent. Not thread-safe but for its clients.</summary>
internal sealed class ControlConnection : IDisposable
{
    private readonly GrpcChannel _channel;
    private readonly TimeSpan _timeout;
    private readonly List<IDisposable> _parts = [];

    private ControlConnection(string address, TimeSpan timeout, Func<ControlConnection, SocketsHttpHandler> handler)
    {
        _timeout = timeout;
        SocketsHttpHandler made = handler(this);
        _parts.Add(made);
        _channel = GrpcChannel.ForAddress(address, new GrpcChannelOptions { HttpHandler = made });
        _parts.Add(_channel);
        Runtime = new Runtime.RuntimeClient(_channel);
        Agent = new Agent.AgentClient(_channel);
        Flows = new Proto.V1.Flows.FlowsClient(_channel);
        Reconcile = new Proto.V1.Reconcile.ReconcileClient(_channel);
        Views = new Proto.V1.Views.ViewsClient(_channel);
        Health = new Grpc.Health.V1.Health.HealthClient(_channel);
    }

    public Runtime.RuntimeClient Runtime { get; }

    public Agent.AgentClient Agent { get; }

    public Proto.V1.Flows.FlowsClient Flows { get; }

    public Proto.V1.Reconcile.ReconcileClient Reconcile { get; }

    public Proto.V1.Views.ViewsClient Views { get; }

    public Grpc.Health.V1.Health.HealthClient Health { get; }

    /// <summary>Why the last attempt to connect failed; null where it did not.</summary>
    public CtlException? Failure { get; private set; }

    /// <summary>Reaches a runtime by its control socket.</summary>
    public static ControlConnection OverUnix(string path, TimeSpan timeout) => new("http://localhost", timeout, self =>
        ControlClient.CreateHandler(cancellation => self.Connect(path, cancellation)));

    /// <summary>Reaches a runtime over TCP, with an operator's certificate.</summary>
    public static ControlConnection OverTls(
        LinkEndpoint endpoint, string server, LinkCredentials credentials, TimeSpan timeout) => new("https://localhost", timeout, self =>
        {
            self._parts.Add(credentials);
            return ControlClient.CreateHandler(cancellation => self.Connect(endpoint, server, credentials, cancellation));
        });

    /// <summary>Asks whichever daemon listens there: the runtime, or else the host agent.</summary>
    public static async Task<T> AskEitherAsync<T>(Func<Task<T>> runtime, Func<Task<T>> agent)
    {
        try
        {
            return await runtime().ConfigureAwait(false);
        }
        catch (RpcException e) when (e.StatusCode == StatusCode.Unimplemented)
        {
            // Expected: the socket is the host agent's.
            return await agent().ConfigureAwait(false);
        }
    }

    /// <summary>Options of a call that ends at the time limit.</summary>
    public CallOptions Options(CancellationToken cancellation) =>
        new(deadline: TimeProvider.System.GetUtcNow().UtcDateTime + _timeout, cancellationToken: cancellation);

    /// <summary>Options of a call that streams until it is cancelled; dead peers are noticed by keep-alive pings.</summary>
    public static CallOptions Endless(CancellationToken cancellation) => new(cancellationToken: cancellation);

    public void Dispose()
    {
        for (int i = _parts.Count - 1; i >= 0; i--)
        {
            _parts[i].Dispose();
        }
    }

    private async ValueTask<Stream> Connect(string path, CancellationToken cancellation)
    {
        var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            await socket.ConnectAsync(new UnixDomainSocketEndPoint(path), cancellation).ConfigureAwait(false);
            Failure = null;
            return new NetworkStream(socket, ownsSocket: true);
        }
        catch (Exception e) when (e is SocketException or ArgumentException)
        {
            socket.Dispose();
            Failure = UnixFailure(path, e);
            throw new IOException(Failure.Message, e);
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    private static CtlException UnixFailure(string path, Exception e) => (e as SocketException)?.SocketErrorCode switch
    {
        SocketError.AccessDenied => new(
            ExitCodes.Refused, $"no permission to use {path}: run dpuctl as root, or use --address with an operator certificate", e),
        SocketError.ConnectionRefused => new(
            ExitCodes.Unreachable, $"nobody listens on {path}: is dpu-runtime running? systemctl start dpu-runtime", e),
        _ when !File.Exists(path) => new(
            ExitCodes.Unreachable, $"{path} does not exist: is dpu-runtime running? systemctl start dpu-runtime (another socket: --socket PATH)", e),
        _ => new(ExitCodes.Unreachable, $"cannot reach dpu-runtime on {path}: {e.Message}", e),
    };

    private async ValueTask<Stream> Connect(
        LinkEndpoint endpoint, string server, LinkCredentials credentials, CancellationToken cancellation)
    {
        var socket = new Socket(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        SslStream? tls = null;
        CertificateVerdict? verdict = null;
        try
        {
            await socket.ConnectAsync(endpoint.Host, (int)endpoint.Port, cancellation).ConfigureAwait(false);
            tls = new SslStream(new NetworkStream(socket, ownsSocket: true), leaveInnerStreamOpen: false);
            SslClientAuthenticationOptions options = LinkTls.ClientOptions(
                credentials.Current,
                TimeProvider.System,
                server,
                v =>
                {
                    verdict = v;
                    return v.Identity is { Role: LinkRole.Dpu } identity && identity.Name == server;
                });
            options.ApplicationProtocols = [SslApplicationProtocol.Http2];
            await tls.AuthenticateAsClientAsync(options, cancellation).ConfigureAwait(false);
            Failure = null;
            return tls;
        }
        catch (Exception e) when (e is SocketException or AuthenticationException or IOException)
        {
            Failure = TlsFailure(endpoint, server, verdict, e);
            await Close(socket, tls).ConfigureAwait(false);
            throw new IOException(Failure.Message, e);
        }
        catch
        {
            await Close(socket, tls).ConfigureAwait(false);
            throw;
        }
    }

    private static async ValueTask Close(Socket socket, SslStream? tls)
    {
        if (tls is not null)
        {
            await tls.DisposeAsync().ConfigureAwait(false);
        }

        socket.Dispose();
    }

    private static CtlException TlsFailure(LinkEndpoint endpoint, string server, CertificateVerdict? verdict, Exception e) => e switch
    {
        SocketException => new(
            ExitCodes.Unreachable, $"cannot reach {endpoint}: {e.Message}; is dpu-runtime running there with control.listen?", e),
        _ when verdict?.Identity is { } identity && (identity.Role != LinkRole.Dpu || identity.Name != server) => new(
            ExitCodes.Refused, $"{endpoint} is {identity}, not dpu://dpu/{server}: name it with --server", e),
        _ when verdict is { Identity: null } => new(ExitCodes.Refused, $"{endpoint} cannot be trusted: {verdict.Reason}", e),
        _ => new(
            ExitCodes.Refused, $"{endpoint} refused the connection: {e.Message}; is your certificate's name in its control.operators?", e),
    };
}
