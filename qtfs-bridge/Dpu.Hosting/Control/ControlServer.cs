using System.Globalization;
using System.Net;
using System.Net.Sockets;
using Dpu.Hosting.Configuration;
using Dpu.Hosting.Lifetime;
using Dpu.Hosting.Metrics;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Connections.Features;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.AspNetCore.Server.Kestrel.Transport.Sockets;
using Microsoft.Extensions.Logging;

namespace Dpu.Hosting.Control;

/// <summary>
/// How Kestrel serves a daemon: the control socket, operators over TCP, streams of the link, and metrics. Each
/// connection gets a <see cref="ControlPeer"/>, or the right to read metrics, or is closed.
/// </summary>
internal static class ControlServer
{
    // Control messages are small; a caller that needs more is wrong or hostile.
    private const int MaxConnections = 256;

    /// <summary>Marks connections that may read metrics and nothing else.</summary>
    private sealed class MetricsReader
    {
        public static MetricsReader Instance { get; } = new();
    }

    public static void Configure(
        KestrelServerOptions options,
        UnixControlSocket socket,
        OperatorTls? operators,
        ControlConfiguration control,
        MetricsConfiguration? metrics,
        bool servesStreams,
        ILogger logger)
    {
        options.AddServerHeader = false;
        options.AllowSynchronousIO = false;
        options.Limits.MaxConcurrentConnections = MaxConnections;
        options.Limits.MaxRequestHeadersTotalSize = 32 * 1024;
        options.Limits.KeepAliveTimeout = TimeSpan.FromMinutes(10);
        options.Limits.Http2.KeepAlivePingDelay = ControlClient.KeepAliveDelay;
        options.Limits.Http2.KeepAlivePingTimeout = ControlClient.KeepAliveTimeout;
        options.Limits.Http2.MaxStreamsPerConnection = 100;
        options.Listen(new UnixDomainSocketEndPoint(socket.Path), listen =>
        {
            listen.Protocols = HttpProtocols.Http2;
            _ = listen.Use(next => connection => Local(connection, next, logger));
        });
        HostingLog.ControlListening(logger, "unix://" + socket.Path);
        foreach (Dpu.Link.LinkEndpoint endpoint in control.Listen)
        {
            OperatorTls tls = operators
                ?? throw new InvalidOperationException("Control over TCP without certificates; the configuration's check forbids it.");
            options.Listen(Address(endpoint), listen =>
            {
                listen.Protocols = HttpProtocols.Http2;
                _ = listen.UseHttps(tls.CallbackOptions(logger));
            });
            HostingLog.ControlListening(logger, endpoint.ToString());
        }

        if (metrics is not null)
        {
            options.Listen(metrics.Listen, listen =>
            {
                listen.Protocols = HttpProtocols.Http1;
                _ = listen.Use(next => connection =>
                {
                    connection.Features.Set(MetricsReader.Instance);
                    return next(connection);
                });
            });
        }

        if (servesStreams)
        {
            options.Listen(StreamEndPoint.Instance, listen => listen.Protocols = HttpProtocols.Http2);
        }
    }

    /// <summary>Uses the socket that was bound with care for the control socket; others are bound as usual.</summary>
    public static void Configure(SocketTransportOptions options, UnixControlSocket socket, MetricsConfiguration? metrics)
    {
        Func<EndPoint, Socket> usual = options.CreateBoundListenSocket;
        options.CreateBoundListenSocket = endpoint =>
        {
            if (endpoint is UnixDomainSocketEndPoint unix && unix.ToString() == socket.Path)
            {
                return socket.Socket;
            }

            try
            {
                return usual(endpoint);
            }
            catch (SocketException e) when (endpoint.Equals(metrics?.Listen))
            {
                // Kestrel's own words name neither the key nor a way out.
                throw new DaemonStartException(
                    $"metrics.listen: {endpoint} cannot be listened on: {e.Message}; choose another port, or end what has this one ('ss -ltnp' shows it)", e);
            }
        };
    }

    /// <summary>
    /// Serves metrics to those who may read them, and lets everything else through only from an authenticated peer: a
    /// mistake in an endpoint's set-up then shuts it, rather than opens it.
    /// </summary>
    public static void UseGate(IApplicationBuilder application, PrometheusExporter exporter, CancellationToken aborting) =>
        application.Use(next => async context =>
        {
            if (context.Features.Get<MetricsReader>() is not null)
            {
                await Metrics(context, exporter).ConfigureAwait(false);
                return;
            }

            if (context.Features.Get<ControlPeer>() is null)
            {
                context.Abort();
                return;
            }

            using CancellationTokenRegistration registration = aborting.Register(
                static c => ((HttpContext)c!).Abort(), context);
            await next(context).ConfigureAwait(false);
        });

    private static async Task Metrics(HttpContext context, PrometheusExporter exporter)
    {
        if (context.Request.Path != "/metrics" || !HttpMethods.IsGet(context.Request.Method))
        {
            context.Response.StatusCode = StatusCodes.Status404NotFound;
            return;
        }

        context.Response.ContentType = PrometheusExporter.ContentType;
        await context.Response.WriteAsync(exporter.Scrape(), context.RequestAborted).ConfigureAwait(false);
    }

    private static async Task Local(ConnectionContext connection, ConnectionDelegate next, ILogger logger)
    {
        Socket? socket = connection.Features.Get<IConnectionSocketFeature>()?.Socket;
        uint? uid = socket is null ? null : UnixControlSocket.PeerUid(socket);
        if (uid is not { } peer || (peer != 0 && peer != UnixControlSocket.OwnUid))
        {
            string who = uid?.ToString(CultureInfo.InvariantCulture) ?? "unknown";
            HostingLog.ControlRefused(logger, $"uid {who} is not root; run dpuctl as root");
            connection.Abort();
            return;
        }

        connection.Features.Set(ControlPeer.Local(peer));
        await next(connection).ConfigureAwait(false);
    }

    private static IPEndPoint Address(Dpu.Link.LinkEndpoint endpoint)
    {
        int port = (int)endpoint.Port;
        return IPAddress.TryParse(endpoint.Host, out IPAddress? address) ? new IPEndPoint(address, port)
            : endpoint.Host == "localhost" ? new IPEndPoint(IPAddress.Loopback, port)
            : throw new IOException($"control.listen: \"{endpoint}\" names a host; give the address to listen on, such as tcp://127.0.0.1:{port}");
    }
}
