using Dpu.Hosting.Configuration;
using Dpu.Hosting.Control;
using Dpu.Hosting.Metrics;
using Dpu.Link;
using Dpu.Systemd;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;

namespace Dpu.Hosting.Lifetime;

/// <summary>
/// What a daemon adds to the common host: services, parts that reload, probes, gRPC services. Not thread-safe; used
/// before the host starts.
/// </summary>
public sealed class DaemonBuilder<T>
    where T : class, IDaemonConfiguration<T>
{
    private readonly List<Action<IEndpointRouteBuilder>> _endpoints = [];

    internal DaemonBuilder(IServiceCollection services, T configuration, string configurationFile, LinkCredentials? credentials)
    {
        Credentials = credentials;
        Services = services;
        Configuration = configuration;
        ConfigurationFile = configurationFile;
    }

    /// <summary>The host's services; hosted ones start before the control server and stop after it.</summary>
    public IServiceCollection Services { get; }

    /// <summary>The configuration that the daemon starts with.</summary>
    public T Configuration { get; }

    /// <summary>The file it came from.</summary>
    public string ConfigurationFile { get; }

    /// <summary>The daemon's certificate, followed as its files change; null without <c>tls</c>. The host disposes it.</summary>
    public LinkCredentials? Credentials { get; }

    /// <summary>
    /// Set where connections of the link are served too: the daemon hands them to
    /// <see cref="StreamConnectionListener"/>, which is among the services then.
    /// </summary>
    public bool ServesStreams { get; set; }

    internal IReadOnlyList<Action<IEndpointRouteBuilder>> Endpoints => _endpoints;

    /// <summary>Adds a part that takes a new configuration while the daemon runs.</summary>
    public void AddReloadable<TPart>()
        where TPart : class, IReloadable<T> => Services.AddSingleton<IReloadable<T>>(s => s.GetRequiredService<TPart>());

    /// <summary>Adds a part that the watchdog asks.</summary>
    public void AddProbe<TProbe>()
        where TProbe : class, IHealthProbe => Services.AddSingleton<IHealthProbe>(s => s.GetRequiredService<TProbe>());

    /// <summary>Adds a part that has histograms among its metrics.</summary>
    public void AddHistograms<TSource>()
        where TSource : class, IHistogramSource => Services.AddSingleton<IHistogramSource>(s => s.GetRequiredService<TSource>());

    /// <summary>Adds endpoints to the control server, such as <c>e => e.MapGrpcService&lt;RuntimeService&gt;()</c>.</summary>
    public void MapControl(Action<IEndpointRouteBuilder> map)
    {
        ArgumentNullException.ThrowIfNull(map);
        _endpoints.Add(map);
    }
}
