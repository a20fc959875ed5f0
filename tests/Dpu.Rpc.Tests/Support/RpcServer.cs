using System.Net;
using Grpc.AspNetCore.Server;
using Grpc.Net.Client;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace Dpu.Rpc.Tests.Support;

/// <summary>Our server on Kestrel: on a loopback port, and on a unix socket.</summary>
internal sealed class RpcServer : IAsyncDisposable
{
    private readonly WebApplication application;
    private readonly DirectoryInfo folder;

    private RpcServer(WebApplication application, DirectoryInfo folder, CapturedLog log)
    {
        this.application = application;
        this.folder = folder;
        Log = log;
        Address = new Uri(application.Urls.First(url => !url.Contains("unix", StringComparison.Ordinal)));
    }

    public Uri Address { get; }

    public string SocketPath => Path.Combine(folder.FullName, "s");

    public CapturedLog Log { get; }

    public static async Task<RpcServer> StartAsync(
        Action<WebApplication> map,
        Action<GrpcServiceOptions>? configure = null,
        Action<IServiceCollection>? services = null)
    {
        DirectoryInfo folder = Directory.CreateTempSubdirectory("dpu-rpc-");
        var log = new CapturedLog();
        WebApplicationBuilder builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders().SetMinimumLevel(LogLevel.Debug).AddProvider(log);
        builder.Services.AddGrpc(configure ?? (_ => { }));
        services?.Invoke(builder.Services);
        builder.WebHost.ConfigureKestrel(kestrel =>
        {
            kestrel.Listen(IPAddress.Loopback, 0, listen => listen.Protocols = HttpProtocols.Http2);
            kestrel.ListenUnixSocket(Path.Combine(folder.FullName, "s"), listen => listen.Protocols = HttpProtocols.Http2);
        });
        WebApplication application = builder.Build();
        map(application);
        await application.StartAsync();
        return new RpcServer(application, folder, log);
    }

    public GrpcChannel Connect(GrpcChannelOptions? options = null) => GrpcChannel.ForAddress(Address, options ?? new GrpcChannelOptions());

    public GrpcChannel ConnectUnix() =>
        GrpcChannel.ForAddress("http://localhost", new GrpcChannelOptions { HttpHandler = UnixSocketHandler.Create(SocketPath), DisposeHttpClient = true });

    public async ValueTask DisposeAsync()
    {
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(2));
        await application.StopAsync(limit.Token);
        await application.DisposeAsync();
        folder.Delete(recursive: true);
    }
}
