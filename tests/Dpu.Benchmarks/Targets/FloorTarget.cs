using System.Net.Sockets;
using Dpu.TestSupport;

namespace Dpu.Benchmarks.Targets;

/// <summary>What a remote mount cannot be below: our local mount, and beside it a bare ping-pong of the request's and reply's sizes.</summary>
internal sealed class FloorTarget(string store) : PassthroughTarget(store, "floor")
{
    private static readonly TimeSpan Duration = TimeSpan.FromMilliseconds(100);

    private RunningProgram? answerer;
    private Socket? connection;

    public override double LinkMicroseconds(int requestSize, int replySize) => PingPong.Measure(connection!, requestSize, replySize, Duration);

    public override void Abort()
    {
        base.Abort();
        answerer?.Kill();
    }

    public override void Dispose()
    {
        connection?.Dispose();
        answerer?.Dispose();
        base.Dispose();
    }

    private protected override void StartCore()
    {
        string path = Path.Combine(Folder, "ping-pong.sock");
        answerer = RunningProgram.Start(Environment.ProcessPath!, [PingPong.Verb, path]);
        Socket socket = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        connection = socket;
        if (!Eventually.Within(() => TryConnect(socket, path), StartLimit))
        {
            throw new ProgramException($"'{answerer.CommandLine}' does not listen: {answerer.Error.Trim()}");
        }

        base.StartCore();
    }

    private static bool TryConnect(Socket socket, string path)
    {
        try
        {
            socket.Connect(new UnixDomainSocketEndPoint(path));
            return true;
        }
        catch (SocketException)
        {
            // Expected until it listens.
            return false;
        }
    }
}
