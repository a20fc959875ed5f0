using Dpu.Hosting.Configuration;
using Dpu.Hosting.Control;
using Dpu.Hosting.Logging;
using Dpu.Hosting.Metrics;
using Dpu.Link;
using Dpu.Systemd;
using Grpc.Health.V1;
using Grpc.HealthCheck;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Server.Kestrel.Transport.Sockets;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Dpu.Hosting.Lifetime;

/// <summary>
/// Runs a daemon: reads its command line and configuration, builds the host with log, metrics, control server and
/// service-manager notices, and serves until it is told to stop.
/// </summary>
public static class DaemonHost
{
    /// <summary>A daemon's <c>Main</c>.</summary>
    /// <param name="arguments">The command line.</param>
    /// <param name="configure">Adds what is the daemon's own.</param>
    /// <param name="surroundings">What the process gives; null for this process.</param>
    /// <returns>One of <see cref="ExitCodes"/>.</returns>
    public static async Task<int> RunAsync<T>(
        string[] arguments, Action<DaemonBuilder<T>> configure, DaemonSurroundings? surroundings = null)
        where T : class, IDaemonConfiguration<T>
    {
        ArgumentNullException.ThrowIfNull(arguments);
        ArgumentNullException.ThrowIfNull(configure);
        surroundings ??= DaemonSurroundings.OfThisProcess();
        DaemonCommandLine command = DaemonCommandLine.Parse(arguments, T.DefaultFile);
        if (command.Error is not null)
        {
            await surroundings.Error.WriteLineAsync(
                $"{T.Program}: {command.Error}. Try {T.Program} --help.").ConfigureAwait(false);
            return ExitCodes.Usage;
        }

        switch (command.Action)
        {
            case DaemonAction.Help:
                await surroundings.Output.WriteAsync(
                    DaemonCommandLine.Help(T.Program, T.DefaultFile, T.EnvironmentPrefix)).ConfigureAwait(false);
                return ExitCodes.Success;
            case DaemonAction.Version:
                await surroundings.Output.WriteLineAsync($"{T.Program} {ProgramVersion.Current}").ConfigureAwait(false);
                return ExitCodes.Success;
            default:
                break;
        }

        ConfigurationResult<T> Load() =>
            ConfigurationLoader.Load<T>(command.ConfigurationFile, surroundings.Environment, command.Overrides);
        ConfigurationResult<T> result = Load();
        if (!result.Succeeded)
        {
            foreach (ConfigurationError error in result.Errors)
            {
                await surroundings.Error.WriteLineAsync($"{T.Program}: error: {error}").ConfigureAwait(false);
            }

            return ExitCodes.Usage;
        }

        switch (command.Action)
        {
            case DaemonAction.CheckConfiguration:
                foreach (ConfigurationError warning in result.Warnings.Concat(MachineCheck.Of(result.Configuration, command.ConfigurationFile)))
                {
                    await surroundings.Error.WriteLineAsync($"{T.Program}: warning: {warning}").ConfigureAwait(false);
                }

                await surroundings.Output.WriteLineAsync("configuration OK").ConfigureAwait(false);
                return ExitCodes.Success;
            case DaemonAction.PrintConfiguration:
                await surroundings.Output.WriteLineAsync(ConfigurationLoader.Print(result.Configuration)).ConfigureAwait(false);
                return ExitCodes.Success;
            default:
                return await ServeAsync(result, Load, command.ConfigurationFile, configure, surroundings).ConfigureAwait(false);
        }
    }

    private static async Task<int> ServeAsync<T>(
        ConfigurationResult<T> result,
        Func<ConfigurationResult<T>> load,
        string file,
        Action<DaemonBuilder<T>> configure,
        DaemonSurroundings surroundings)
        where T : class, IDaemonConfiguration<T>
    {
        T configuration = result.Configuration!;
        Func<LogEntry, string> format = configuration.Log.Format == LogFormat.Json ? LogFormatting.Json
            : surroundings.IsJournal ? LogFormatting.Journal
            : LogFormatting.Text;
        using var log = new DaemonLoggerProvider(
            surroundings.LogOutput, format, configuration.Log.Level, surroundings.Clock);
        var logger = new DaemonLogger(log, typeof(DaemonHost).FullName!, LogLevel.Trace);
        try
        {
            await using var composition = await Composition<T>.StartAsync(
                configuration, load, file, configure, surroundings, log).ConfigureAwait(false);
            foreach (ConfigurationError warning in result.Warnings)
            {
                HostingLog.ConfigurationWarning(logger, warning.ToString());
            }

            HostingLog.Started(logger, T.Program, ProgramVersion.Current, file, configuration.Control.Socket);
            await composition.Application.WaitForShutdownAsync().ConfigureAwait(false);
            return ExitCodes.Success;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or LinkCredentialException or DaemonStartException)
        {
            // Expected: an address in use, a file that cannot be read: the message says what to do.
            HostingLog.SetUpFailed(logger, e.Message);
            HostingLog.SetUpFailedAt(logger, e);
            return ExitCodes.Failure;
        }
    }

    /// <summary>The parts that belong together and end together.</summary>
    private sealed class Composition<T> : IAsyncDisposable
        where T : class, IDaemonConfiguration<T>
    {
        private readonly Stack<IDisposable> _parts = new();
        private WebApplication? _application;

        public WebApplication Application => _application
            ?? throw new InvalidOperationException("The daemon has not started.");

        public static async Task<Composition<T>> StartAsync(
            T configuration,
            Func<ConfigurationResult<T>> load,
            string file,
            Action<DaemonBuilder<T>> configure,
            DaemonSurroundings surroundings,
            DaemonLoggerProvider log)
        {
            var composition = new Composition<T>();
            try
            {
                WebApplication application = composition.Build(configuration, load, file, configure, surroundings, log);
                await application.StartAsync().ConfigureAwait(false);
                return composition;
            }
            catch
            {
                await composition.DisposeAsync().ConfigureAwait(false);
                throw;
            }
        }

        public async ValueTask DisposeAsync()
        {
            if (_application is not null)
            {
                await _application.DisposeAsync().ConfigureAwait(false);
            }

            while (_parts.TryPop(out IDisposable? part))
            {
                part.Dispose();
            }
        }

        private WebApplication Build(
            T configuration,
            Func<ConfigurationResult<T>> load,
            string file,
            Action<DaemonBuilder<T>> configure,
            DaemonSurroundings surroundings,
            DaemonLoggerProvider log)
        {
            // Empty: no appsettings.json of the working directory and no variable but ours has a say in a daemon of root's.
            WebApplicationBuilder builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions
            {
                ApplicationName = T.Program,
                EnvironmentName = Environments.Production,
                ContentRootPath = AppContext.BaseDirectory,
            });
            LinkCredentials? credentials = configuration.Tls is { } tls ? Load(tls, surroundings.Clock, log) : null;
            var daemon = new DaemonBuilder<T>(builder.Services, configuration, file, credentials);
            UnixControlSocket socket = Own(UnixControlSocket.Bind(configuration.Control.Socket));
            AddCommon(builder, daemon, load, surroundings, log);
            configure(daemon);
            PrometheusExporter exporter = Own(new PrometheusExporter(IsOurs));
            _ = Own(new CertificateMetrics(() => credentials?.NotAfter));
            var control = new DaemonLogger(log, typeof(ControlServer).FullName!, LogLevel.Trace);
            OperatorTls? operators = null;
            ReloadCoordinator<T>? reload = null;
            if (credentials is not null)
            {
                operators = new OperatorTls(
                    () => credentials.Current, () => reload!.Current.Control.Operators, surroundings.Clock);
            }

            _ = builder.WebHost.UseKestrelCore();
            _ = builder.WebHost.ConfigureKestrel(options => ControlServer.Configure(
                options, socket, operators, configuration.Control, configuration.Metrics, daemon.ServesStreams, control));
            _ = builder.Services.Configure<SocketTransportOptions>(options => ControlServer.Configure(options, socket, configuration.Metrics));
            if (daemon.ServesStreams)
            {
                _ = builder.Services.AddSingleton<StreamConnectionListener>();
                _ = builder.Services.AddSingleton<IConnectionListenerFactory>(s => s.GetRequiredService<StreamConnectionListener>());
            }

            WebApplication application = builder.Build();
            _application = application;
            reload = application.Services.GetRequiredService<ReloadCoordinator<T>>();
            foreach (IHistogramSource source in application.Services.GetServices<IHistogramSource>())
            {
                exporter.Add(source);
            }

            var abort = Own(new CancellationTokenSource());
            // Calls that stream for ever would hold the stop up; they get a second to end by themselves.
            _ = application.Lifetime.ApplicationStopping.Register(() => abort.CancelAfter(TimeSpan.FromSeconds(1)));
            ControlServer.UseGate(application, exporter, abort.Token);
            _ = application.MapGrpcService<HealthServiceImpl>();
            foreach (Action<Microsoft.AspNetCore.Routing.IEndpointRouteBuilder> map in daemon.Endpoints)
            {
                map(application);
            }

            return application;
        }

        private LinkCredentials Load(TlsConfiguration tls, TimeProvider clock, DaemonLoggerProvider log)
        {
            LinkCredentials credentials = Own(LinkCredentials.Load(
                new LinkCredentialFiles
                {
                    Certificate = tls.Certificate,
                    Key = tls.Key,
                    Authority = tls.Authority,
                    Revocations = tls.Revocations,
                },
                clock,
                log.CreateLogger(typeof(LinkCredentials).FullName!)));
            if (credentials.Identity.Role != T.Role)
            {
                string role = PeerIdentity.RoleText(T.Role);
                throw new DaemonStartException(
                    $"{T.Program} needs a certificate of the role {role}, {tls.Certificate} is of {credentials.Identity}: issue one with 'dpuctl pki issue {role} NAME'");
            }

            return credentials;
        }

        private static bool IsOurs(string meter) =>
            meter.StartsWith("Dpu.", StringComparison.Ordinal) || meter == "System.Runtime";

        private static void AddCommon(
            WebApplicationBuilder builder,
            DaemonBuilder<T> daemon,
            Func<ConfigurationResult<T>> load,
            DaemonSurroundings surroundings,
            DaemonLoggerProvider log)
        {
            IServiceCollection services = builder.Services;
            _ = builder.Logging.ClearProviders().SetMinimumLevel(LogLevel.Trace);
            // Not owned by the host: it must outlast it.
            _ = services.AddSingleton<ILoggerProvider>(new Borrowed(log));
            _ = services.AddSingleton(surroundings.Clock);
            _ = services.AddSingleton(surroundings.Limits);
            _ = services.AddSingleton(surroundings.Notifier);
            if (daemon.Credentials is not null)
            {
                // An instance is not the container's to dispose.
                _ = services.AddSingleton(daemon.Credentials);
                _ = services.AddHostedService<CertificateWatch>();
            }

            _ = services.AddSingleton<IReloadable<T>>(new CommonReload<T>(log));
            _ = services.AddSingleton(s => new ReloadCoordinator<T>(
                daemon.Configuration,
                load,
                s.GetServices<IReloadable<T>>,
                s.GetRequiredService<ILogger<ReloadCoordinator<T>>>()));
            _ = services.AddSingleton<IHostLifetime, DaemonLifetime<T>>();
            _ = services.AddHostedService<WatchdogService>();
            _ = services.AddGrpc();
            var health = new HealthServiceImpl();
            // Until everything has started.
            health.SetStatus(string.Empty, HealthCheckResponse.Types.ServingStatus.NotServing);
            _ = services.AddSingleton(health);
            _ = services.Configure<HostOptions>(options =>
            {
                options.ShutdownTimeout = surroundings.Limits.Stop;
                options.ServicesStartConcurrently = false;
            });
        }

        private TPart Own<TPart>(TPart part)
            where TPart : IDisposable
        {
            _parts.Push(part);
            return part;
        }
    }

    /// <summary>A provider that its user must not dispose.</summary>
    private sealed class Borrowed(DaemonLoggerProvider provider) : ILoggerProvider
    {
        public ILogger CreateLogger(string categoryName) => provider.CreateLogger(categoryName);

        public void Dispose()
        {
        }
    }
}
