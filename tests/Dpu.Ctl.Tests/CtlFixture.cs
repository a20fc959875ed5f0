using Dpu.Hosting.Configuration;
using Dpu.Hosting.Lifetime;
using Dpu.Systemd;
using Dpu.TestSupport;
using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;

namespace Dpu.Ctl.Tests;

/// <summary>A fake runtime on a control socket of its own, and dpuctl run against it within this process.</summary>
internal sealed class CtlFixture : IDisposable
{
    private static readonly TimeSpan _limit = TimeSpan.FromSeconds(60);

    private readonly TemporaryDirectory _folder = new();
    private readonly Task<int> _daemon;
    private IHostApplicationLifetime? _application;

    /// <param name="members">Further members of the configuration, each with a comma after it.</param>
    /// <param name="control">Further members of its control object, likewise.</param>
    public CtlFixture(string members = "", string control = "")
    {
        Socket = _folder["runtime.sock"];
        string file = _folder.WriteFile("runtime.json", $"{{ {members} \"control\": {{ {control} \"socket\": \"{Socket}\" }} }}");
        using var ready = new ManualResetEventSlim();
        _daemon = Task.Run(() => DaemonHost.RunAsync<RuntimeConfiguration>(
            ["--config", file],
            daemon =>
            {
                _ = daemon.Services.AddSingleton(Runtime);
                _ = daemon.Services.AddHostedService(s =>
                {
                    _application = s.GetRequiredService<IHostApplicationLifetime>();
                    _ = _application.ApplicationStarted.Register(ready.Set);
                    return new Nothing();
                });
                daemon.MapControl(e => e.MapGrpcService<FakeRuntime>());
            },
            new DaemonSurroundings
            {
                Output = TextWriter.Null,
                Error = TextWriter.Null,
                LogOutput = Stream.Null,
                IsJournal = false,
                Environment = [],
                Notifier = new SystemdNotifier(null, null, TimeProvider.System),
                Clock = TimeProvider.System,
            }));
        Assert.IsTrue(ready.Wait(_limit), "the daemon starts");
    }

    public FakeRuntime Runtime { get; } = new();

    public string Socket { get; }

    public (int ExitCode, string Output, string Error) Run(params string[] arguments) => RunAlone(["--socket", Socket, .. arguments]);

    public static (int ExitCode, string Output, string Error) RunAlone(params string[] arguments)
    {
        using var output = new StringWriter();
        using var error = new StringWriter();
        Task<int> run = CommandTree.RunAsync(arguments, output, error, new ConsoleTraits(AllowsColor: false));
        Assert.IsTrue(run.Wait(_limit), "dpuctl ends");
        return (run.Result, output.ToString(), error.ToString());
    }

    public void Dispose()
    {
        _application?.StopApplication();
        Assert.IsTrue(_daemon.Wait(_limit), "the daemon stops");
        _folder.Dispose();
    }

    private sealed class Nothing : IHostedService
    {
        public Task StartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

        public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;
    }
}
