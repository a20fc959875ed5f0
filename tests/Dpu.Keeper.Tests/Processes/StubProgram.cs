using System.Net.Sockets;
using Dpu.Linux;
using Microsoft.Win32.SafeHandles;

namespace Dpu.Keeper.Tests.Processes;

/// <summary>A runtime that this test plays, and what starts stubs.</summary>
internal sealed class StubProgram : IDisposable
{
    public static readonly TimeSpan Limit = TimeSpan.FromSeconds(20);

    private Socket? _listener;

    public StubProgram(bool listens = true)
    {
        if (listens)
        {
            Listen();
        }
    }

    public static string Program => Path.Combine(AppContext.BaseDirectory, "dpu-stub");

    public TemporaryDirectory Folder { get; } = new();

    public string Address => Folder["stub.sock"];

    public static byte[] Token { get; } = [.. Enumerable.Range(100, process.PROCESS_TOKEN_SIZE).Select(i => (byte)i)];

    public Dictionary<string, string?> Environment => new() { ["DPU_STUB_SOCKET"] = Address };

    public void Listen()
    {
        _listener = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified) { ReceiveTimeout = 20_000 };
        _listener.Bind(new UnixDomainSocketEndPoint(Address));
        _listener.Listen(16);
        File.SetUnixFileMode(Address, (UnixFileMode)0x1b6);
        File.SetUnixFileMode(Folder.FullPath, (UnixFileMode)0x1ed);
    }

    /// <summary>As a runtime that ends: nobody listens any more.</summary>
    public void Leave()
    {
        _listener?.Dispose();
        File.Delete(Address);
    }

    public FrameSocket Accept()
    {
        if (!_listener!.Poll(Limit, SelectMode.SelectRead))
        {
            throw new TimeoutException("no stub connected");
        }

        using Socket accepted = _listener.Accept();
        return new FrameSocket(new SafeFileHandle(LibC.dup((int)accepted.Handle), ownsHandle: true));
    }

    /// <summary>Takes a stub's start, without its descriptors.</summary>
    public static Frame TakeStart(FrameSocket stub)
    {
        Frame start = TakeStart(stub, out int[] _);
        foreach (SafeFileHandle handle in start.Descriptors)
        {
            handle.Dispose();
        }

        return start;
    }

    /// <summary>Takes a stub's start; its descriptors are in the frame, and the caller's.</summary>
    public static Frame TakeStart(FrameSocket stub, out int[] numbers)
    {
        List<int> all = [];
        List<SafeFileHandle> handles = [];
        while (true)
        {
            Frame frame = stub.Receive() ?? throw new InvalidOperationException("the stub has gone");
            if (frame.Kind == process.PROCESS_START)
            {
                numbers = [.. all];
                Assert.HasCount(numbers.Length, handles);
                return frame with { Descriptors = handles };
            }

            Assert.AreEqual(process.PROCESS_DESCRIPTORS, frame.Kind);
            all.AddRange(System.Runtime.InteropServices.MemoryMarshal.Cast<byte, int>(frame.Content).ToArray());
            handles.AddRange(frame.Descriptors);
        }
    }

    /// <summary>Takes a start, lets go of its descriptors, and says that it runs.</summary>
    public FrameSocket AcceptAndStart(params int[] staying)
    {
        FrameSocket stub = Accept();
        TakeStart(stub);
        Started(stub, staying);
        return stub;
    }

    public static void Started(FrameSocket stub, params int[] staying) => stub.Send(process.PROCESS_STARTED, [.. Token, .. FrameSocket.Bytes([4711, .. staying])]);

    /// <summary>A signal as a stub tells it.</summary>
    public static process_signal Signal(Frame? frame)
    {
        Assert.AreEqual(process.PROCESS_SIGNAL, frame?.Kind);
        return System.Runtime.InteropServices.MemoryMarshal.Read<process_signal>(frame!.Content);
    }

    public void Dispose()
    {
        _listener?.Dispose();
        Folder.Dispose();
    }
}
