using System.Net;
using System.Net.Sockets;
using Dpu.Hosting.Configuration;
using Dpu.Hosting.Control;
using Dpu.Hosting.Lifetime;
using Dpu.TestSupport;
using Grpc.Core;
using Grpc.Health.V1;
using Grpc.Net.Client;
using Microsoft.Extensions.DependencyInjection;

namespace Dpu.Hosting.Tests.Lifetime;

[TestClass]
public sealed class DaemonHostTests
{
    [TestMethod]
    [TestCategory("unit")]
    public async Task CheckConfig_Good_SaysOkAndWarns()
    {
        using var daemon = new TestDaemon("\"tls\": { \"certificate\": \"/nonexistent/c\", \"key\": \"/nonexistent/k\", \"authority\": \"/nonexistent/a\" },");
        Assert.AreEqual(ExitCodes.Success, await daemon.Run(null, "--check-config"));
        Assert.AreEqual("configuration OK\n", daemon.Output.ToString());
        Assert.Contains("warning: " + daemon.File + ":1: hosts: is empty", daemon.Error.ToString());
        Assert.Contains("tls.certificate: /nonexistent/c does not exist here", daemon.Error.ToString());
    }

    [TestMethod]
    [TestCategory("unit")]
    public async Task CheckConfig_Bad_ExitsWithTwoAndEveryError()
    {
        using var daemon = new TestDaemon("\"hots\": [], \"log\": { \"level\": \"loud\" },");
        Assert.AreEqual(ExitCodes.Usage, await daemon.Run(null, "--check-config"));
        Assert.Contains($"dpu-runtime: error: {daemon.File}:1: hots: is not a key; did you mean \"hosts\"?", daemon.Error.ToString());
        Assert.Contains("log.level: is \"loud\"", daemon.Error.ToString());
        Assert.AreEqual(string.Empty, daemon.Output.ToString());
    }

    [TestMethod]
    [TestCategory("unit")]
    public async Task Options_HelpVersionPrintAndTypo_Answer()
    {
        using var daemon = new TestDaemon();
        Assert.AreEqual(ExitCodes.Success, await daemon.Run(null, "--help"));
        Assert.Contains("--check-config", daemon.Output.ToString());
        Assert.AreEqual(ExitCodes.Success, await daemon.Run(null, "--version"));
        Assert.Contains($"dpu-runtime {ProgramVersion.Current}", daemon.Output.ToString());
        Assert.AreEqual(ExitCodes.Success, await daemon.Run(null, "--print-config", "--set", "log.level=Trace"));
        Assert.Contains("\"level\": \"Trace\"", daemon.Output.ToString());
        Assert.AreEqual(ExitCodes.Usage, await daemon.Run(null, "--chekc-config"));
        Assert.Contains("did you mean --check-config?", daemon.Error.ToString());
    }

    [TestMethod]
    [TestCategory("root")]
    public void Life_StartReloadStop_TellsTheManagerAndLeavesNothing()
    {
        Requires.Root();
        using var daemon = new TestDaemon();
        var part = new Part();
        daemon.Start(d =>
        {
            _ = d.Services.AddSingleton(part);
            d.AddReloadable<Part>();
        });
        Assert.AreEqual(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(daemon.Socket));
        Assert.AreEqual(HealthCheckResponse.Types.ServingStatus.Serving, Check(daemon.Socket));

        daemon.Configure("\"log\": { \"level\": \"Debug\" }, \"metrics\": { \"listen\": \"127.0.0.1:1\" },");
        Signal("HUP");
        Eventually.True(() => daemon.Notifier.Told.Count(t => t.StartsWith("READY", StringComparison.Ordinal)) == 2, TestDaemon.Limit, "the reload");
        Assert.AreEqual(1, part.Reloads);
        Eventually.True(
            () => daemon.Log.Contains("Applied: log.level is Debug, part. Needs a restart: metrics.", StringComparison.Ordinal),
            TestDaemon.Limit,
            "the log entry");

        daemon.Configure("\"log\": { \"level\": \"Nonsense\" },");
        Signal("HUP");
        Eventually.True(() => daemon.Notifier.Told.Count(t => t.StartsWith("READY", StringComparison.Ordinal)) == 3, TestDaemon.Limit, "the refused reload");
        Assert.AreEqual(1, part.Reloads, "a bad configuration reaches no part");
        Assert.Contains("was not taken", daemon.Notifier.Told[^1]);

        Signal("TERM");
        Assert.AreEqual(ExitCodes.Success, daemon.WaitForEnd());
        Assert.Contains("STOPPING Stopping", string.Join('\n', daemon.Notifier.Told));
        Assert.IsFalse(File.Exists(daemon.Socket));
        Assert.Contains("[103 Stopped]", daemon.Log);
        Assert.HasCount(1, Directory.GetFileSystemEntries(daemon.Folder.FullPath), "only the configuration is left");
    }

    [TestMethod]
    [TestCategory("root")]
    public async Task ControlSocket_AnotherDaemonAlive_IsNotTaken()
    {
        using var first = new TestDaemon();
        first.Start();
        using var second = new TestDaemon();
        File.WriteAllText(second.File, File.ReadAllText(first.File));
        Assert.AreEqual(ExitCodes.Failure, await second.Run());
        Assert.Contains("another daemon listens there", second.Log);
        Assert.AreEqual(HealthCheckResponse.Types.ServingStatus.Serving, Check(first.Socket), "the first is untouched");
    }

    [TestMethod]
    [TestCategory("root")]
    public void ControlSocket_LeftByADeadDaemon_IsReplaced()
    {
        using var daemon = new TestDaemon();
        using (var dead = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified))
        {
            // .NET would remove the file of a socket that it bound there.
            dead.Bind(new UnixDomainSocketEndPoint(daemon.Folder["other"]));
            File.Move(daemon.Folder["other"], daemon.Socket);
        }

        Assert.IsTrue(File.Exists(daemon.Socket));
        daemon.Start();
        Assert.AreEqual(HealthCheckResponse.Types.ServingStatus.Serving, Check(daemon.Socket));
        Assert.AreEqual(ExitCodes.Success, daemon.Stop());
    }

    [TestMethod]
    [TestCategory("root")]
    public async Task ControlSocket_InAFolderOfOthers_IsRefused()
    {
        using var daemon = new TestDaemon();
        File.SetUnixFileMode(daemon.Folder.FullPath, (UnixFileMode)0b111_111_111);
        Assert.AreEqual(ExitCodes.Failure, await daemon.Run());
        Assert.Contains("others may write to", daemon.Log);
    }

    [TestMethod]
    [TestCategory("root")]
    public void ControlSocket_AnotherUser_IsServedNothing()
    {
        Requires.Root();
        string setpriv = Requires.Tool("setpriv"), curl = Requires.Tool("curl");
        using var daemon = new TestDaemon();
        daemon.Start();

        // By its name in the working directory: the temporary folder may be closed to others.
        string folder = Path.GetDirectoryName(daemon.Socket)!;
        string[] request = ["-sS", "--max-time", "10", "--http2-prior-knowledge", "--unix-socket", Path.GetFileName(daemon.Socket), "http://localhost/x"];
        string[] asNobody = ["--reuid=65534", "--regid=65534", "--clear-groups", curl, .. request];
        File.SetUnixFileMode(daemon.Folder.FullPath, (UnixFileMode)0b111_101_101);
        ProgramResult byMode = ExternalProgram.Run(setpriv, asNobody, TimeSpan.FromSeconds(30), directory: folder);
        Assert.AreEqual(7, byMode.ExitCode, "the file's mode refuses: " + byMode.Error);
        // The mode out of the way, the peer's uid refuses.
        File.SetUnixFileMode(daemon.Socket, (UnixFileMode)0b110_110_110);
        ProgramResult byUid = ExternalProgram.Run(setpriv, asNobody, TimeSpan.FromSeconds(30), directory: folder);
        Assert.AreNotEqual(0, byUid.ExitCode);
        Assert.AreEqual(string.Empty, byUid.Output);
        Eventually.True(() => daemon.Log.Contains("uid 65534 is not root", StringComparison.Ordinal), TestDaemon.Limit, "the log entry");
        Assert.AreEqual(0, ExternalProgram.Run(curl, request, TimeSpan.FromSeconds(30), directory: folder).ExitCode, "root is served");
    }

    [TestMethod]
    [TestCategory("root")]
    public async Task Metrics_OnLoopback_ServesMetricsAndNothingElse()
    {
        int port = FreePort();
        using var daemon = new TestDaemon($"\"metrics\": {{ \"listen\": \"127.0.0.1:{port}\" }},");
        daemon.Start();
        using var http = new HttpClient();
        string text = await http.GetStringAsync(new Uri($"http://127.0.0.1:{port}/metrics"));
        Assert.Contains("dpu_metrics_failed_scrapes_total 0\n", text);
        using HttpResponseMessage other = await http.GetAsync(new Uri($"http://127.0.0.1:{port}/"));
        Assert.AreEqual(HttpStatusCode.NotFound, other.StatusCode);
        using var call = new HttpRequestMessage(HttpMethod.Post, $"http://127.0.0.1:{port}/grpc.health.v1.Health/Check")
        {
            Content = new ByteArrayContent([0, 0, 0, 0, 0]),
        };
        call.Content.Headers.ContentType = new("application/grpc");
        using HttpResponseMessage control = await http.SendAsync(call);
        Assert.AreEqual(HttpStatusCode.NotFound, control.StatusCode, "the control interface is not there");
    }

    [TestMethod]
    [TestCategory("root")]
    public async Task Metrics_PortTaken_EndsTheStartAndNamesTheKey()
    {
        using var taken = new System.Net.Sockets.TcpListener(IPAddress.Loopback, 0);
        taken.Start();
        using var daemon = new TestDaemon($"\"metrics\": {{ \"listen\": \"{taken.LocalEndpoint}\" }},");
        Assert.AreEqual(ExitCodes.Failure, await daemon.Run());
        Assert.Contains($"Cannot start: metrics.listen: {taken.LocalEndpoint} cannot be listened on: Address already in use; choose another port", daemon.Log);
    }

    [TestMethod]
    [TestCategory("root")]
    public async Task Stop_CallThatStreamsForEver_DoesNotHoldItUp()
    {
        using var daemon = new TestDaemon();
        daemon.Start();
        using GrpcChannel channel = Channel(daemon.Socket);
        using AsyncServerStreamingCall<HealthCheckResponse> watch = new Health.HealthClient(channel).Watch(new HealthCheckRequest());
        Assert.IsTrue(await watch.ResponseStream.MoveNext(CancellationToken.None));
        long start = TimeProvider.System.GetTimestamp();
        Assert.AreEqual(ExitCodes.Success, daemon.Stop());
        Assert.IsLessThan(9, TimeProvider.System.GetElapsedTime(start).TotalSeconds, "well below the 10 s after which it would be cut");
    }

    [TestMethod]
    [TestCategory("root")]
    public void Life_Repeated_LeavesNoDescriptorThreadOrMount() => LeakCheck.Run(
        () =>
        {
            using var daemon = new TestDaemon();
            daemon.Start();
            Assert.AreEqual(HealthCheckResponse.Types.ServingStatus.Serving, Check(daemon.Socket));
            Assert.AreEqual(ExitCodes.Success, daemon.Stop());
        },
        5,
        TestDaemon.Limit);

    [TestMethod]
    [TestCategory("root")]
    public async Task Start_PartFails_ExitsWithItsMessage()
    {
        using var daemon = new TestDaemon();
        Assert.AreEqual(ExitCodes.Failure, await daemon.Run(_ => throw new DaemonStartException("cannot do it: buy a bigger one")));
        Assert.Contains("[122 SetUpFailed]: Cannot start: cannot do it: buy a bigger one", daemon.Log);
        Assert.IsFalse(File.Exists(daemon.Socket));
    }

    internal static HealthCheckResponse.Types.ServingStatus Check(string socket)
    {
        using GrpcChannel channel = Channel(socket);
        return new Health.HealthClient(channel).Check(
            new HealthCheckRequest(), deadline: TimeProvider.System.GetUtcNow().UtcDateTime.AddSeconds(20)).Status;
    }

    internal static GrpcChannel Channel(string socket) => GrpcChannel.ForAddress(
        "http://localhost", new GrpcChannelOptions { HttpHandler = ControlClient.CreateUnixHandler(socket), DisposeHttpClient = true });

    internal static int FreePort()
    {
        using var socket = new Socket(SocketType.Stream, ProtocolType.Tcp);
        socket.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        return ((IPEndPoint)socket.LocalEndPoint!).Port;
    }

    private static void Signal(string name) => ExternalProgram.Check(
        Requires.Tool("kill"), ["-" + name, Environment.ProcessId.ToString(System.Globalization.CultureInfo.InvariantCulture)], TimeSpan.FromSeconds(10));

    private sealed class Part : IReloadable<RuntimeConfiguration>
    {
        public int Reloads { get; private set; }

        public ReloadOutcome Reload(RuntimeConfiguration previous, RuntimeConfiguration next)
        {
            Reloads++;
            return new(["part"], []);
        }
    }
}
