using System.Net;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Dpu.Rpc.Server;
using Dpu.Rpc.Tests.Support;
using FsCheck;
using FsCheck.Fluent;
using Grpc.Core;
using Grpc.Net.Client;
using Grpc.Testing;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.AspNetCore.Server.Kestrel.Https;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace Dpu.Rpc.Tests.Server;

[TestClass]
public sealed class PeerAuthenticationTests
{
    [TestMethod]
    [TestCategory("unit")]
    public void ReadNames_AnyBytes_DoesNotThrow() =>
        Prop.ForAll<byte[]>(bytes => PeerAuthentication.ReadNames(bytes) is not null).QuickCheckThrowOnFailure();

    [TestMethod]
    [TestCategory("unit")]
    public void Describe_CertificateWithNames_GivesThem()
    {
        using X509Certificate2 certificate = Certificate("alice", "dpu://operator/alice");
        AuthContext peer = PeerAuthentication.Describe(certificate);
        Assert.IsTrue(peer.IsPeerAuthenticated);
        CollectionAssert.AreEqual(new[] { "dpu://operator/alice", "127.0.0.1" }, peer.PeerIdentity.Select(name => name.Value).ToArray());
        Assert.AreEqual("alice", peer.FindPropertiesByName("x509_common_name").Single().Value);
    }

    [TestMethod]
    [TestCategory("unit")]
    public void Describe_NoCertificate_IsNobody() => Assert.IsFalse(PeerAuthentication.Describe(null).IsPeerAuthenticated);

    [TestMethod]
    [TestCategory("unit")]
    public async Task Authorize_MutualTls_SeesTheClientsCertificate()
    {
        using X509Certificate2 serverCertificate = Certificate("server", "dpu://dpu/server");
        using X509Certificate2 alice = Certificate("alice", "dpu://operator/alice");
        using X509Certificate2 mallory = Certificate("mallory", "dpu://operator/mallory");
        await using WebApplication application = await StartTlsAsync(serverCertificate);

        await CallAsync(application, alice);
        await InteropClient.FailsAsync(StatusCode.PermissionDenied, () => CallAsync(application, mallory));
        await InteropClient.FailsAsync(StatusCode.Unavailable, () => CallAsync(application, null));
    }

    private static async Task CallAsync(WebApplication application, X509Certificate2? certificate)
    {
        // The tests' certificates sign themselves; who trusts whom is not the subject here.
        var handler = new SocketsHttpHandler { UseProxy = false };
        handler.SslOptions.RemoteCertificateValidationCallback = (_, _, _, _) => true;
        handler.SslOptions.LocalCertificateSelectionCallback = (_, _, _, _, _) => certificate!;
        handler.SslOptions.ClientCertificates = certificate is null ? null : [certificate];
        using var channel = GrpcChannel.ForAddress(application.Urls.Single(), new GrpcChannelOptions { HttpHandler = handler, DisposeHttpClient = true });
        await new TestService.TestServiceClient(channel).EmptyCallAsync(new Empty(), InteropClient.Options());
    }

    private static async Task<WebApplication> StartTlsAsync(X509Certificate2 certificate)
    {
        WebApplicationBuilder builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.Services.AddGrpc(options => options.Authorize = context => ValueTask.FromResult(
            context.AuthContext.PeerIdentity.Any(name => name.Value == "dpu://operator/alice")
                ? Status.DefaultSuccess
                : new Status(StatusCode.PermissionDenied, "only alice")));
        builder.WebHost.UseKestrelHttpsConfiguration();
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.Listen(IPAddress.Loopback, 0, listen =>
        {
            listen.Protocols = HttpProtocols.Http2;
            listen.UseHttps(https =>
            {
                https.ServerCertificate = certificate;
                https.ClientCertificateMode = ClientCertificateMode.RequireCertificate;
                https.ClientCertificateValidation = (_, _, _) => true;
            });
        }));
        WebApplication application = builder.Build();
        application.MapGrpcService<InteropService>();
        await application.StartAsync();
        return application;
    }

    private static X509Certificate2 Certificate(string name, string uri)
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest($"CN={name}", key, HashAlgorithmName.SHA256);
        var names = new SubjectAlternativeNameBuilder();
        names.AddUri(new Uri(uri));
        names.AddIpAddress(IPAddress.Loopback);
        request.CertificateExtensions.Add(names.Build());
        DateTimeOffset now = TimeProvider.System.GetUtcNow();
        return request.CreateSelfSigned(now.AddHours(-1), now.AddHours(1));
    }
}
