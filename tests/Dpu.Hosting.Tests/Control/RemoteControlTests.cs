using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;
using Dpu.Hosting.Control;
using Dpu.Hosting.Tests.Lifetime;
using Dpu.Link;
using Dpu.TestSupport;
using Grpc.Core;
using Grpc.Health.V1;
using Grpc.Net.Client;
using Microsoft.Extensions.DependencyInjection;

namespace Dpu.Hosting.Tests.Control;

/// <summary>Control by operators over TCP, and over streams of the link.</summary>
[TestClass]
public sealed class RemoteControlTests
{
    [TestMethod]
    [TestCategory("root")]
    public async Task Operator_Listed_IsServedAndOthersAreNot()
    {
        using var daemon = new TestDaemon();
        string pki = daemon.Folder.CreateDirectory("pki");
        CertificateAuthority authority = CertificateAuthority.Init(pki, "test", TimeSpan.FromDays(30));
        foreach ((LinkRole role, string name) in
            new[] { (LinkRole.Dpu, "dpu1"), (LinkRole.Dpu, "dpu2"), (LinkRole.Operator, "alice"), (LinkRole.Operator, "mallory") })
        {
            _ = authority.Issue(role, name, TimeSpan.FromDays(10));
        }

        CertificateAuthority other = CertificateAuthority.Init(daemon.Folder.CreateDirectory("other"), "other", TimeSpan.FromDays(30));
        _ = other.Issue(LinkRole.Operator, "alice", TimeSpan.FromDays(10));
        int port = DaemonHostTests.FreePort();
        daemon.Configure(
            $$"""
            "metrics": { "listen": "127.0.0.1:{{DaemonHostTests.FreePort()}}" },
            "tls": { "certificate": "{{pki}}/dpu1.crt", "key": "{{pki}}/dpu1.key", "authority": "{{pki}}/ca.crt", "revocations": "{{pki}}/ca.crl" },
            """,
            $"\"listen\": [\"tcp://127.0.0.1:{port}\"], \"operators\": [\"alice\"],");
        daemon.Start();
        // Ten days are soon.
        Eventually.True(() => daemon.Log.Contains("[130 CertificateExpires]", StringComparison.Ordinal), TestDaemon.Limit, "the warning");

        Assert.AreEqual(HealthCheckResponse.Types.ServingStatus.Serving, await Check(port, pki, "alice"));
        foreach ((string folder, string name) in new[] { (pki, "mallory"), (pki, "dpu2"), (daemon.Folder["other"], "alice") })
        {
            RpcException refused = await Assert.ThrowsExactlyAsync<RpcException>(() => Check(port, folder, name));
            Assert.AreEqual(StatusCode.Unavailable, refused.StatusCode);
        }

        Eventually.True(() => daemon.Log.Contains("dpu://operator/mallory is none of control.operators", StringComparison.Ordinal), TestDaemon.Limit, "mallory in the log");
        Assert.Contains("dpu://dpu/dpu2 is not an operator", daemon.Log);

        // Revoked from now on, without a restart.
        _ = authority.Revoke("alice");
        Eventually.True(
            () =>
            {
                try
                {
                    return Check(port, pki, "alice").GetAwaiter().GetResult() != HealthCheckResponse.Types.ServingStatus.Serving;
                }
                catch (RpcException)
                {
                    return true;
                }
            },
            TestDaemon.Limit,
            "the revocation to count");
    }

    [TestMethod]
    [TestCategory("root")]
    public async Task Stream_HandedOver_IsServedUntilItsEnd()
    {
        using var daemon = new TestDaemon();
        daemon.Start(d => d.ServesStreams = true);
        var listener = daemon.Services!.GetRequiredService<StreamConnectionListener>();
        (Stream ours, Stream theirs) = Pair(daemon.Folder["pair"]);
        using var stopping = new CancellationTokenSource();
        Task served = listener.ServeAsync(theirs, new ControlPeer(ControlPeerKind.Link, "dpu1"), stopping.Token);
        using (GrpcChannel channel = GrpcChannel.ForAddress("http://link", new GrpcChannelOptions
        {
            HttpHandler = ControlClient.CreateHandler(_ => ValueTask.FromResult(ours)),
            DisposeHttpClient = true,
        }))
        {
            HealthCheckResponse response = await new Health.HealthClient(channel).CheckAsync(new HealthCheckRequest());
            Assert.AreEqual(HealthCheckResponse.Types.ServingStatus.Serving, response.Status);
            Assert.IsFalse(served.IsCompleted);
        }

        await served.WaitAsync(TestDaemon.Limit);
        await theirs.DisposeAsync();
    }

    [TestMethod]
    [TestCategory("root")]
    public async Task Stream_Stopping_EndsIt()
    {
        using var daemon = new TestDaemon();
        daemon.Start(d => d.ServesStreams = true);
        var listener = daemon.Services!.GetRequiredService<StreamConnectionListener>();
        (Stream ours, Stream theirs) = Pair(daemon.Folder["pair"]);
        using var stopping = new CancellationTokenSource();
        Task served = listener.ServeAsync(theirs, new ControlPeer(ControlPeerKind.Link, "dpu1"), stopping.Token);
        await stopping.CancelAsync();
        try
        {
            await served.WaitAsync(TestDaemon.Limit);
        }
        catch (OperationCanceledException)
        {
            // Expected where the stop came before the server took the connection.
        }

        await ours.DisposeAsync();
    }

    private static async Task<HealthCheckResponse.Types.ServingStatus> Check(int port, string folder, string name)
    {
        using LinkCredentials credentials = LinkCredentials.Load(new LinkCredentialFiles
        {
            Certificate = $"{folder}/{name}.crt",
            Key = $"{folder}/{name}.key",
            Authority = $"{folder}/ca.crt",
        });
        using GrpcChannel channel = GrpcChannel.ForAddress("https://localhost", new GrpcChannelOptions
        {
            DisposeHttpClient = true,
            HttpHandler = ControlClient.CreateHandler(async cancellation =>
            {
                var socket = new Socket(SocketType.Stream, ProtocolType.Tcp);
                await socket.ConnectAsync("127.0.0.1", port, cancellation);
                var tls = new SslStream(new NetworkStream(socket, ownsSocket: true));
                SslClientAuthenticationOptions options =
                    LinkTls.ClientOptions(credentials.Current, TimeProvider.System, "dpu1", v => v.Identity?.Name == "dpu1");
                options.ApplicationProtocols = [SslApplicationProtocol.Http2];
                await tls.AuthenticateAsClientAsync(options, cancellation);
                Assert.AreEqual(SslProtocols.Tls13, tls.SslProtocol);
                return tls;
            }),
        });
        HealthCheckResponse response = await new Health.HealthClient(channel).CheckAsync(
            new HealthCheckRequest(), deadline: TimeProvider.System.GetUtcNow().UtcDateTime.AddSeconds(20));
        return response.Status;
    }

    private static (Stream Ours, Stream Theirs) Pair(string path)
    {
        using var listener = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        listener.Bind(new UnixDomainSocketEndPoint(path));
        listener.Listen();
        var ours = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        ours.Connect(new UnixDomainSocketEndPoint(path));
        return (new NetworkStream(ours, ownsSocket: true), new NetworkStream(listener.Accept(), ownsSocket: true));
    }
}
