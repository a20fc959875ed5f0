using System.Net.Sockets;
using Dpu.Link.Sockets;
using Dpu.Proto.V1;

namespace Dpu.Link;

/// <summary>
/// A link after its hello: both ends are who they say, version and features are agreed, and the stream belongs to the
/// service. One thread may read and another write at a time; <see cref="Abort"/> from any thread.
/// </summary>
public sealed class LinkConnection : IDisposable
{
    private readonly LinkStream _transport;
    private readonly LinkConnection? _first;
    private PolledTls? _polled;
    private int _disposed;

    internal LinkConnection(LinkEndpoint endpoint, Socket socket, LinkStream transport, Stream stream, LinkPeer peer, Hello hello, HelloReply reply)
    {
        Endpoint = endpoint;
        Socket = socket;
        _transport = transport;
        Stream = stream;
        Peer = peer;
        Hello = hello;
        Reply = reply;
        if (endpoint.Transport == LinkTransport.Unix)
        {
            // TCP sizes its own.
            NativeSocket.RaiseSendBuffer(socket.SafeHandle);
        }
    }

    private LinkConnection(LinkConnection first, Hello hello, HelloReply reply)
    {
        (_first, _transport) = (first, first._transport);
        (Endpoint, Socket, Stream, Peer, Trust) = (first.Endpoint, first.Socket, first.Stream, first.Peer, first.Trust);
        (Hello, Reply) = (hello, reply);
    }

    /// <summary>The bytes: TLS over the socket, or for unix the socket itself. Synchronous reads and writes block.</summary>
    public Stream Stream { get; }

    /// <summary>The socket below; blocking as long as only synchronous calls are made.</summary>
    public Socket Socket { get; }

    /// <summary>Whether the socket's bytes are the stream's, without TLS.</summary>
    public bool IsPlain => Stream == _transport;

    /// <summary>The other end.</summary>
    public LinkPeer Peer { get; }

    /// <summary>What the dialler said.</summary>
    public Hello Hello { get; }

    /// <summary>What the listener answered.</summary>
    public HelloReply Reply { get; }

    /// <summary>What was dialled, or where it was accepted.</summary>
    public LinkEndpoint Endpoint { get; }

    /// <summary>The minor version that both speak.</summary>
    public uint MinorVersion => Reply.Version.Minor;

    /// <summary>The features that both speak.</summary>
    public ulong Features => Reply.Features;

    /// <summary>Whether it is one of <see cref="Next"/>.</summary>
    public bool IsNext => _first is not null;

    /// <summary>How long ago both ends have proved who they are.</summary>
    public TimeSpan Age => _transport.Age;

    /// <summary>The certificates that this end has proved itself and the other with; null without TLS, and where it was accepted.</summary>
    internal CredentialSnapshot? Trust { get; init; }

    /// <summary>
    /// The same connection, for what comes after that which its hello asked for: whose service has agreed on that with the other end. Both objects are
    /// one connection, which ends with either.
    /// </summary>
    /// <param name="hello">What the dialler asks now.</param>
    /// <param name="reply">What the listener answers.</param>
    public LinkConnection Next(Hello hello, HelloReply reply)
    {
        ArgumentNullException.ThrowIfNull(hello);
        ArgumentNullException.ThrowIfNull(reply);
        return new LinkConnection(_first ?? this, hello, reply);
    }

    /// <summary>Limits for each single blocking read and write; zero or infinite: none. After one passed the stream is unusable.</summary>
    public void SetTimeouts(TimeSpan receive, TimeSpan send) => _transport.SetTimeouts(receive, send);

    /// <summary>Ends the connection under a thread that blocks on it: its read or write returns. The owner still disposes.</summary>
    public void Abort() => _transport.Abort();

    /// <summary>
    /// For a service that has accepted it: the connection goes on when <see cref="ILinkService.Serve"/> returns, without a thread, and
    /// its new owner disposes it. The listener still cuts it where it would cut any other.
    /// </summary>
    public void Keep() => (_first ?? this).IsKept = true;

    /// <summary>
    /// For a thread that waits for many connections: this one is read and written through what is returned from now on, which also ends it. The same one
    /// each time.
    /// </summary>
    /// <exception cref="InvalidOperationException">It is plain: its socket is read and written itself.</exception>
    public PolledTls Poll() => _first is not null ? _first.Poll() : _polled ??= Stream is System.Net.Security.SslStream tls
        ? new PolledTls(this, tls, _transport.Poll())
        : throw new InvalidOperationException("A connection without TLS has its bytes in its socket.");

    internal bool IsKept { get; private set; }

    /// <summary>Called once when it is closed.</summary>
    internal Action? Released { get; set; }

    /// <summary>Closes the connection. Not while another thread is in a read or write: <see cref="Abort"/> and join it first.</summary>
    public void Dispose()
    {
        if (_first is not null)
        {
            _first.Dispose();
        }
        else if (Interlocked.Exchange(ref _disposed, 1) == 0)
        {
            // Before the stream: TLS would otherwise wait for a peer that reads nothing to take its goodbye.
            _transport.Abort();
            Stream.Dispose();
            _transport.Dispose();
            Released?.Invoke();
        }
    }
}
