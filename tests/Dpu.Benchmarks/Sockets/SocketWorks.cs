using System.Diagnostics;
using System.Globalization;
using System.Net.Sockets;
using Dpu.Benchmarks.Harness;
using Dpu.Linux;

namespace Dpu.Benchmarks.Sockets;

/// <summary>What <c>bench sockets</c> does with a path that leads to <see cref="SocketPeer"/>.</summary>
internal static unsafe class SocketWorks
{
    public const string RoundTrip = "64 B ping-pong";
    public const string Throughput = "throughput";
    public const string Connects = "connects";
    public const string Memory = "memory of an idle connection";

    private const int Clients = 4;

    // Runs of each work on each target that do not count: two seconds.
    private const int WarmUps = 4;
    private static readonly TimeSpan Span = TimeSpan.FromSeconds(0.5);

    public static IReadOnlyList<Work<SocketTarget>> All { get; } =
    [
        new(RoundTrip, "µs", Better.Lower, target => Warm(RoundTrip, target, MeasureRoundTrip)),
        new(Throughput, "MB/s", Better.Higher, target => Warm(Throughput, target, MeasureThroughput)),
        new(Connects, "1/s", Better.Higher, target => Warm(Connects, target, MeasureConnects)),
        new(Memory, "KiB", Better.Lower, MeasureMemory),
    ];

    private static double Warm(string work, SocketTarget target, Func<SocketTarget, double> measure)
    {
        for (int i = 0, times = target.TryWarmUp(work) ? WarmUps : 0; i < times; i++)
        {
            _ = measure(target);
        }

        return measure(target);
    }

    private static double MeasureRoundTrip(SocketTarget target)
    {
        using Socket socket = Open(target, SocketPeer.PingPong);
        int connection = (int)socket.Handle;
        byte* message = stackalloc byte[SocketPeer.MessageSize];
        long count = 0;
        long started = 0;
        for (TimeSpan warm = Span / 5; ; count++)
        {
            if (LibC.write(connection, message, SocketPeer.MessageSize) != SocketPeer.MessageSize || !SocketPeer.ReadWhole(connection, message, SocketPeer.MessageSize))
            {
                throw new IOException("the connection broke off");
            }

            if (started == 0)
            {
                (started, count) = (Stopwatch.GetTimestamp(), -1);
            }
            else if (Stopwatch.GetElapsedTime(started) is var spent && spent >= warm)
            {
                if (warm == Span)
                {
                    return spent.TotalMicroseconds / (count + 1);
                }

                (started, count, warm) = (Stopwatch.GetTimestamp(), -1, Span);
            }
        }
    }

    private static double MeasureThroughput(SocketTarget target)
    {
        using Socket socket = Open(target, SocketPeer.Sink);
        int connection = (int)socket.Handle;
        byte* chunk = stackalloc byte[SocketPeer.ChunkSize];
        long sent = 0;
        long started = Stopwatch.GetTimestamp();
        while (Stopwatch.GetElapsedTime(started) < Span)
        {
            nint written = LibC.write(connection, chunk, SocketPeer.ChunkSize);
            sent += written > 0 ? written : throw new IOException("the connection broke off");
        }

        // All of it is there when the answer is.
        socket.Shutdown(SocketShutdown.Send);
        return SocketPeer.ReadWhole(connection, chunk, 1) ? sent / Stopwatch.GetElapsedTime(started).TotalMicroseconds : throw new IOException("the connection broke off");
    }

    // Each with a byte there and back: connect(2) alone returns before anybody has accepted.
    private static double MeasureConnects(SocketTarget target)
    {
        long done = 0;
        Exception? failure = null;
        long started = Stopwatch.GetTimestamp();
        Thread[] clients = [.. Enumerable.Range(0, Clients).Select(_ => new Thread(() =>
        {
            try
            {
                while (Stopwatch.GetElapsedTime(started) < Span)
                {
                    Open(target, SocketPeer.Greeting).Dispose();
                    Interlocked.Increment(ref done);
                }
            }
            catch (Exception e) when (e is IOException or SocketException)
            {
                failure = e;
            }
        }))];
        Array.ForEach(clients, client => client.Start());
        Array.ForEach(clients, client => client.Join());
        return failure is null ? done / Stopwatch.GetElapsedTime(started).TotalSeconds : throw failure;
    }

    // Of the processes in between, not of the kernel, which has the same for all.
    private static double MeasureMemory(SocketTarget target)
    {
        List<Socket> sockets = [];
        try
        {
            for (int i = 0; i < target.IdleConnections / 4; i++)
            {
                sockets.Add(Open(target, SocketPeer.Idle));
            }

            double before = target.MemoryKiB();
            int first = sockets.Count;
            for (int i = 0; i < target.IdleConnections; i++)
            {
                sockets.Add(Open(target, SocketPeer.Idle));
            }

            return (target.MemoryKiB() - before) / (sockets.Count - first);
        }
        finally
        {
            sockets.ForEach(socket => socket.Dispose());
        }
    }

    private static Socket Open(SocketTarget target, byte kind)
    {
        Socket socket = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            socket.Connect(new UnixDomainSocketEndPoint(target.Address));
            byte first = kind;
            bool there = LibC.write((int)socket.Handle, &first, 1) == 1
                && (kind is not (SocketPeer.Greeting or SocketPeer.Idle) || SocketPeer.ReadWhole((int)socket.Handle, &first, 1));
            return there ? socket : throw new IOException(string.Create(CultureInfo.InvariantCulture, $"a connection of {target.Name} broke off"));
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }
}
