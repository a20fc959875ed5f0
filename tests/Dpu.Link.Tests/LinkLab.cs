using System.Collections.Concurrent;
using System.Net;
using System.Net.Sockets;
using Dpu.Proto.V1;
using Microsoft.Extensions.Logging;

namespace Dpu.Link.Tests;

/// <summary>A folder with an authority, certificates, and listeners with an echo service; all gone at the end.</summary>
internal sealed class LinkLab : IDisposable
{
    internal static readonly TimeSpan Day = TimeSpan.FromDays(1);
    internal static readonly byte[] Session = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16];
    private readonly Stack<IDisposable> _owned = new();

    internal LinkLab(TimeSpan? authorityShift = null)
    {
        Folder = Directory.CreateTempSubdirectory("dpu-link-").FullName;
        Authority = CertificateAuthority.Init(Path.Combine(Folder, "pki"), "test authority", 3650 * Day,
            time: new ShiftedTime(authorityShift ?? TimeSpan.Zero));
    }

    internal string Folder { get; }

    internal CertificateAuthority Authority { get; }

    internal ConcurrentQueue<(LinkError Kind, string Origin, string Reason)> Refusals { get; } = new();

    internal LinkLocal Local { get; init; } = new() { Name = "dpu1", Features = 0b0111 };

    /// <summary>Files of a certificate of this lab's authority, issued if need be.</summary>
    internal LinkCredentialFiles Files(LinkRole role, string name, TimeSpan? validity = null, TimeSpan? shift = null, CertificateAuthority? authority = null)
    {
        var issuer = authority ?? Authority;
        var folder = Path.GetDirectoryName(issuer.CertificatePath)!;
        if (!File.Exists(Path.Combine(folder, name + ".crt")))
        {
            var clocked = shift is null ? issuer : CertificateAuthority.Open(folder, new ShiftedTime(shift.Value));
            clocked.Issue(role, name, validity ?? 30 * Day);
        }

        return new LinkCredentialFiles
        {
            Certificate = Path.Combine(folder, name + ".crt"),
            Key = Path.Combine(folder, name + ".key"),
            Authority = issuer.CertificatePath,
            Revocations = issuer.RevocationsPath,
        };
    }

    internal LinkCredentials Credentials(LinkRole role, string name, TimeSpan? validity = null, TimeSpan? shift = null, CertificateAuthority? authority = null, TimeProvider? time = null) =>
        Own(LinkCredentials.Load(Files(role, name, validity, shift, authority), time));

    /// <summary>Another authority of the same kind.</summary>
    internal CertificateAuthority OtherAuthority() => CertificateAuthority.Init(Path.Combine(Folder, "other"), "test authority", 3650 * Day);

    internal LinkListener Listen(LinkCredentials? credentials, LinkEndpoint? endpoint = null, Func<LinkListenerOptions, LinkListenerOptions>? change = null, params ILinkService[] services)
    {
        var options = new LinkListenerOptions
        {
            Endpoints = [endpoint ?? LinkEndpoint.Tcp("127.0.0.1", 0)],
            Credentials = credentials,
            Policy = new LinkPeerPolicy(new LinkPeerRule("dpu1", Uid: 0), new LinkPeerRule("dpu2")),
            Local = Local with { Name = "host1" },
        };
        var listener = new LinkListener(change is null ? options : change(options), services.Length > 0 ? services : [new EchoService()]);
        listener.ConnectionRefused += (kind, origin, reason) => Refusals.Enqueue((kind, origin, reason));
        listener.Start();
        return Own(listener);
    }

    internal LinkDialer Dialer(LinkCredentials? credentials, Func<LinkDialerOptions, LinkDialerOptions>? change = null)
    {
        var options = new LinkDialerOptions { Local = Local };
        return new LinkDialer(credentials, change is null ? options : change(options));
    }

    /// <summary>A listener and a dialler that trust one another.</summary>
    internal (LinkListener Listener, LinkDialer Dialer) Pair(params ILinkService[] services) =>
        (Listen(Credentials(LinkRole.Host, "host1"), services: services), Dialer(Credentials(LinkRole.Dpu, "dpu1")));

    internal static LinkException Fails(Action dial) => Assert.ThrowsExactly<LinkException>(dial);

    internal static void AssertEchoes(LinkConnection connection)
    {
        byte[] sent = [7, 6, 5, 4], got = new byte[4];
        connection.Stream.Write(sent);
        connection.Stream.Flush();
        connection.Stream.ReadExactly(got);
        CollectionAssert.AreEqual(sent, got);
    }

    internal static Socket RawTcp(LinkEndpoint endpoint)
    {
        var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { ReceiveTimeout = 20_000, SendTimeout = 20_000 };
        socket.Connect(IPAddress.Parse(endpoint.Host), (int)endpoint.Port);
        return socket;
    }

    internal static Socket RawUnix(LinkEndpoint endpoint)
    {
        var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified) { ReceiveTimeout = 20_000, SendTimeout = 20_000 };
        socket.Connect(new UnixDomainSocketEndPoint(endpoint.Host));
        return socket;
    }

    /// <summary>Polls without a fixed sleep; fails by name at the limit.</summary>
    internal static void Eventually(Func<bool> condition, string what)
    {
        if (!SpinWait.SpinUntil(condition, TimeSpan.FromSeconds(20)))
        {
            Assert.Fail($"Did not happen within 20 s: {what}");
        }
    }

    internal (LinkError Kind, string Origin, string Reason) NextRefusal()
    {
        (LinkError Kind, string Origin, string Reason) refusal = default;
        Eventually(() => Refusals.TryDequeue(out refusal), "the listener reports a refusal");
        return refusal;
    }

    internal T Own<T>(T owned) where T : IDisposable
    {
        _owned.Push(owned);
        return owned;
    }

    public void Dispose()
    {
        while (_owned.TryPop(out var owned))
        {
            owned.Dispose();
        }

        Directory.Delete(Folder, recursive: true);
    }
}

/// <summary>Sends back what it gets.</summary>
internal sealed class EchoService : ILinkService
{
    private int _active;

    public string Name { get; init; } = "fs";

    internal HelloStatus Status { get; init; } = HelloStatus.Ok;

    internal string Message { get; init; } = "";

    internal int Active => Volatile.Read(ref _active);

    internal ConcurrentQueue<LinkPeer> Peers { get; } = new();

    internal ConcurrentQueue<Hello> Hellos { get; } = new();

    public HelloReply Admit(LinkPeer peer, Hello hello)
    {
        Peers.Enqueue(peer);
        Hellos.Enqueue(hello);
        return new HelloReply { Status = Status, Message = Message, Fs = new FsResult { ReadOnly = true, MaxLanes = 3 } };
    }

    public void Serve(LinkConnection connection, CancellationToken stopping)
    {
        Interlocked.Increment(ref _active);
        try
        {
            var buffer = new byte[4096];
            for (int size; (size = connection.Stream.Read(buffer)) > 0;)
            {
                connection.Stream.Write(buffer, 0, size);
                connection.Stream.Flush();
            }
        }
        finally
        {
            Interlocked.Decrement(ref _active);
        }
    }
}

/// <summary>Keeps log lines for tests.</summary>
internal sealed class ListLogger : ILogger
{
    internal ConcurrentQueue<(int Id, string Text)> Lines { get; } = new();

    public IDisposable? BeginScope<TState>(TState state) where TState : notnull => null;

    public bool IsEnabled(LogLevel logLevel) => true;

    public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter) =>
        Lines.Enqueue((eventId.Id, formatter(state, exception)));
}
