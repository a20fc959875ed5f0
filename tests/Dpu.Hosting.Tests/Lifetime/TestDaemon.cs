using System.Text;
using Dpu.Hosting.Configuration;
using Dpu.Hosting.Lifetime;
using Dpu.Systemd;
using Dpu.TestSupport;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;

namespace Dpu.Hosting.Tests.Lifetime;

/// <summary>A runtime's host within this process, with a configuration in a temporary folder.</summary>
internal sealed class TestDaemon : IDisposable
{
    public static readonly TimeSpan Limit = TimeSpan.FromSeconds(60);

    private readonly MemoryStream _log = new();
    private Task<int> _run = Task.FromResult(-1);
    private IHostApplicationLifetime? _application;

    public TestDaemon(string? members = null)
    {
        Socket = Folder["control.sock"];
        File = Folder["runtime.json"];
        Configure(members ?? string.Empty);
    }

    public TemporaryDirectory Folder { get; } = new();

    public string Socket { get; }

    public string File { get; }

    public Notices Notifier { get; } = new();

    public StringWriter Output { get; } = new();

    public StringWriter Error { get; } = new();

    public IServiceProvider? Services { get; private set; }

    public string Log
    {
        get
        {
            lock (_log)
            {
                return Encoding.UTF8.GetString(_log.ToArray());
            }
        }
    }

    /// <summary>Writes the configuration: members other than the control socket, each with a comma after it.</summary>
    public void Configure(string members, string control = "") => System.IO.File.WriteAllText(
        File, $"{{ {members} \"control\": {{ {control} \"socket\": \"{Socket}\" }} }}");

    public Task<int> Run(Action<DaemonBuilder<RuntimeConfiguration>>? configure = null, params string[] arguments) =>
        DaemonHost.RunAsync<RuntimeConfiguration>(
            ["--config", File, .. arguments],
            daemon =>
            {
                _ = daemon.Services.AddHostedService(s =>
                {
                    Services = s;
                    _application = s.GetRequiredService<IHostApplicationLifetime>();
                    return new Nothing();
                });
                configure?.Invoke(daemon);
            },
            new DaemonSurroundings
            {
                Output = Output,
                Error = Error,
                LogOutput = new Locked(_log),
                IsJournal = false,
                Environment = [],
                Notifier = Notifier,
                Clock = TimeProvider.System,
            });

    public void Start(Action<DaemonBuilder<RuntimeConfiguration>>? configure = null, params string[] arguments)
    {
        _run = Task.Run(() => Run(configure, arguments));
        Eventually.True(() => Notifier.Has("READY") || _run.IsCompleted, Limit, "the daemon to be ready");
        Assert.IsFalse(_run.IsCompleted, Log);
    }

    public int Stop()
    {
        _application?.StopApplication();
        return WaitForEnd();
    }

    public int WaitForEnd() => _run.Wait(Limit) ? _run.Result : throw new TimeoutException("The daemon did not stop: " + Log);

    public void Dispose()
    {
        if (!_run.IsCompleted)
        {
            _ = Stop();
        }

        Folder.Dispose();
    }

    private sealed class Nothing : IHostedService
    {
        public Task StartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

        public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;
    }

    private sealed class Locked(MemoryStream stream) : MemoryStream
    {
        public override void Write(ReadOnlySpan<byte> buffer)
        {
            lock (stream)
            {
                stream.Write(buffer);
            }
        }
    }
}

/// <summary>Remembers what a service manager would have been told. Thread-safe.</summary>
internal sealed class Notices : ISystemdNotifier
{
    private readonly List<string> _told = [];

    public bool IsEnabled => true;

    public TimeSpan? WatchdogInterval => null;

    public IReadOnlyList<string> Told
    {
        get
        {
            lock (_told)
            {
                return [.. _told];
            }
        }
    }

    public bool Has(string word) => Told.Any(t => t.StartsWith(word, StringComparison.Ordinal));

    public void Ready(string status) => Add("READY " + status);

    public void Reloading() => Add("RELOADING");

    public void Stopping(string status) => Add("STOPPING " + status);

    public void Status(string status) => Add("STATUS " + status);

    public void Watchdog() => Add("WATCHDOG");

    private void Add(string text)
    {
        lock (_told)
        {
            _told.Add(text);
        }
    }
}
