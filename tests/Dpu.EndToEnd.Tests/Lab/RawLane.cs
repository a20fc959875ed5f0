using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Dpu.Fuse.Wire;
using Dpu.Link;
using Dpu.Proto.V1;

namespace Dpu.EndToEnd.Tests.Lab;

/// <summary>A DPU that is not ours: authenticated as <c>dpu1</c>, on service <c>fs</c>, it writes what it likes.</summary>
internal sealed class RawLane : IDisposable
{
    /// <summary>The session of <see cref="Open"/>, but for its last byte.</summary>
    public static readonly byte[] Session = [.. Enumerable.Range(1, 16).Select(i => (byte)i)];
    private readonly LinkConnection _connection;

    private RawLane(LinkConnection connection)
    {
        _connection = connection;
        connection.SetTimeouts(Pair.Limit, Pair.Limit);
    }

    /// <summary>Says hello to an agent on a unix link; the same mount id finds the same mount again.</summary>
    /// <exception cref="LinkException">The agent refused.</exception>
    public static RawLane Open(string endpoint, ulong mount, string export = "data", byte session = 0)
    {
        var dialer = new LinkDialer(null, new LinkDialerOptions { Local = new LinkLocal { Name = "dpu1" } });
        byte[] id = [.. Session[..15], session];
        return new RawLane(dialer.Dial(LinkEndpoint.Parse(endpoint), "host1", "fs", id, hello => hello.Fs = new FsParameters { Export = export, MountId = mount }));
    }

    /// <summary>As <see cref="Open"/>, and FUSE_INIT done.</summary>
    public static RawLane OpenInitialized(string endpoint, ulong mount, string export = "data", byte session = 0)
    {
        RawLane lane = Open(endpoint, mount, export, session);
        (int error, _) = lane.Call(FuseMessage.Init());
        Assert.AreEqual(0, error, "FUSE_INIT");
        return lane;
    }

    /// <summary>Writes bytes; false where the agent has cut the connection already.</summary>
    public bool TrySend(ReadOnlySpan<byte> bytes)
    {
        try
        {
            _connection.Stream.Write(bytes);
            _connection.Stream.Flush();
            return true;
        }
        catch (IOException)
        {
            // Expected where the agent cut it.
            return false;
        }
    }

    /// <summary>Sends a request and receives its reply.</summary>
    /// <returns>The negated errno or 0, and what follows the header.</returns>
    public (int Error, byte[] Body) Call(byte[] request)
    {
        _connection.Stream.Write(request);
        byte[] header = new byte[Marshal.SizeOf<fuse_out_header>()];
        _connection.Stream.ReadExactly(header);
        int length = BinaryPrimitives.ReadInt32LittleEndian(header);
        Assert.IsTrue(length is >= 16 and <= (1 << 20) + 4096, $"a reply of {length} bytes");
        byte[] body = new byte[length - header.Length];
        _connection.Stream.ReadExactly(body);
        return (BinaryPrimitives.ReadInt32LittleEndian(header.AsSpan(4)), body);
    }

    /// <summary>Waits for the agent's cut, and fails where it sends anything before.</summary>
    public void AssertCut()
    {
        try
        {
            Assert.AreEqual(-1, _connection.Stream.ReadByte(), "the agent answered what it must cut off");
        }
        catch (IOException e)
        {
            // A reset is a cut too; silence until the limit is not.
            Assert.IsNotInstanceOfType<TimeoutException>(e.InnerException, "the agent neither answered nor cut");
            Assert.IsFalse(e.InnerException is System.Net.Sockets.SocketException { SocketErrorCode: System.Net.Sockets.SocketError.TimedOut }, "the agent neither answered nor cut");
        }
    }

    public void Dispose() => _connection.Dispose();
}
