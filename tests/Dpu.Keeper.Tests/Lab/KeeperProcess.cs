using System.Net.Sockets;
using Dpu.Linux;

namespace Dpu.Keeper.Tests.Lab;

/// <summary>A dpu-keeper of this build, with a socket in a folder of its own.</summary>
internal sealed class KeeperProcess : IDisposable
{
    private static readonly Lazy<TemporaryDirectory> s_build = new(Build);

    private readonly TemporaryDirectory _folder = new();
    private readonly string[] _options;
    private RunningProgram? _program;

    public KeeperProcess(params string[] options)
    {
        _options = options;
        Start();
    }

    public static TimeSpan Limit { get; } = TimeSpan.FromSeconds(20);

    /// <summary>The program, for this machine's architecture.</summary>
    public static string Program => s_build.Value["dpu-keeper"];

    public string Socket => _folder["keeper.sock"];

    public RunningProgram Running => _program!;

    /// <summary>The descriptors that it has open.</summary>
    public int Descriptors => Directory.GetFileSystemEntries($"/proc/{Running.Id}/fd").Length;

    /// <summary>Its memory, in KiB.</summary>
    public long ResidentKiB => long.Parse(
        File.ReadLines($"/proc/{Running.Id}/status").Single(line => line.StartsWith("VmRSS:", StringComparison.Ordinal)).Split(' ', StringSplitOptions.RemoveEmptyEntries)[1],
        System.Globalization.CultureInfo.InvariantCulture);

    public static void Compile(string architecture, string folder) =>
        ExternalProgram.Check(Repository.PathOf("cross-build/native.sh"), [architecture, folder], TimeSpan.FromMinutes(2));

    /// <summary>Removes the program; at the end of the assembly.</summary>
    public static void RemoveBuild()
    {
        if (s_build.IsValueCreated)
        {
            s_build.Value.Dispose();
        }
    }

    public KeeperClient Connect() => new(Socket);

    /// <summary>A connection without greeting, for messages that no client of ours sends.</summary>
    public Socket ConnectRaw()
    {
        var socket = new Socket(AddressFamily.Unix, SocketType.Seqpacket, ProtocolType.Unspecified) { ReceiveTimeout = 5000, SendTimeout = 5000 };
        socket.Connect(new UnixDomainSocketEndPoint(Socket));
        return socket;
    }

    public void Start()
    {
        _program?.Dispose();
        _program = RunningProgram.Start(Program, ["--socket", Socket, .. _options]);
        Eventually.True(() => Running.Error.Contains("holds up to", StringComparison.Ordinal) || Running.HasExited, Limit, "the keeper's start");
        Assert.IsFalse(Running.HasExited, Running.Error);
    }

    /// <summary>Ends it as a crash would.</summary>
    public void Kill()
    {
        Running.Kill();
        Assert.IsTrue(Running.WaitForExit(Limit));
    }

    public void Dispose()
    {
        _program?.Dispose();
        _folder.Dispose();
    }

    private static TemporaryDirectory Build()
    {
        TemporaryDirectory folder = new();
        Compile(MachineArchitecture.IsArm64 ? "arm64" : "x64", folder.FullPath);
        return folder;
    }
}
