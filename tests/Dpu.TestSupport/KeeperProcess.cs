using System.Net.Sockets;
using Dpu.Linux;

namespace Dpu.TestSupport;

/// <summary>A dpu-keeper of the build, with a socket in a folder of its own.</summary>
public sealed class KeeperProcess : IDisposable
{
    private readonly TemporaryDirectory _folder = new();
    private readonly string _path;
    private readonly string[] _options;
    private RunningProgram? _program;

    /// <summary>Starts one.</summary>
    public KeeperProcess(params string[] options)
        : this(Program, options)
    {
    }

    /// <summary>Starts one of another build.</summary>
    public KeeperProcess(string path, string[] options)
    {
        (_path, _options) = (path, options);
        Start();
    }

    /// <summary>How long its start and its end may take.</summary>
    public static TimeSpan Limit { get; } = TimeSpan.FromSeconds(20);

    /// <summary>The program, for this machine's architecture.</summary>
    public static string Program => Path.Combine(AppContext.BaseDirectory, "dpu-keeper");

    /// <summary>Where it is reached.</summary>
    public string Socket => _folder["keeper.sock"];

    /// <summary>The process.</summary>
    public RunningProgram Running => _program!;

    /// <summary>The descriptors that it has open.</summary>
    public int Descriptors => Directory.GetFileSystemEntries($"/proc/{Running.Id}/fd").Length;

    /// <summary>Its memory, in KiB.</summary>
    public long ResidentKiB => long.Parse(
        File.ReadLines($"/proc/{Running.Id}/status").Single(line => line.StartsWith("VmRSS:", StringComparison.Ordinal)).Split(' ', StringSplitOptions.RemoveEmptyEntries)[1],
        System.Globalization.CultureInfo.InvariantCulture);

    /// <summary>Builds it for an architecture (x64, arm64) into a folder.</summary>
    public static void Compile(string architecture, string folder) =>
        ExternalProgram.Check(Repository.PathOf("cross-build/native.sh"), [architecture, folder], TimeSpan.FromMinutes(2));

    /// <summary>A connection without greeting, for messages that no client of ours sends.</summary>
    public Socket ConnectRaw()
    {
        var socket = new Socket(AddressFamily.Unix, SocketType.Seqpacket, ProtocolType.Unspecified) { ReceiveTimeout = 5000, SendTimeout = 5000 };
        socket.Connect(new UnixDomainSocketEndPoint(Socket));
        return socket;
    }

    /// <summary>Starts another one in its place.</summary>
    public void Start()
    {
        _program?.Dispose();
        _program = RunningProgram.Start(_path, ["--socket", Socket, .. _options]);
        Eventually.True(() => Running.Error.Contains("holds up to", StringComparison.Ordinal) || Running.HasExited, Limit, "the keeper's start");
        if (Running.HasExited)
        {
            throw new InvalidOperationException($"dpu-keeper did not start: {Running.Error}");
        }
    }

    /// <summary>Ends it as a crash would.</summary>
    public void Kill()
    {
        Running.Kill();
        if (!Running.WaitForExit(Limit))
        {
            throw new InvalidOperationException("a killed dpu-keeper did not end");
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _program?.Dispose();
        _folder.Dispose();
    }
}
