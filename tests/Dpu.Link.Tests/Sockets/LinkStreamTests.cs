using System.Net.Sockets;
using Dpu.Link.Sockets;

namespace Dpu.Link.Tests.Sockets;

[TestClass]
public sealed class LinkStreamTests
{
    [TestMethod, TestCategory("unit")]
    public void ReadWhole_BytesThatComeInParts_AreAwaitedAll_AndTheEndCutsThem()
    {
        byte[] sent = new byte[3 << 20];
        Random.Shared.NextBytes(sent);
        using var pair = new Joined();
        var writer = new Thread(() =>
        {
            // Beyond what a socket holds, so that it comes in parts whatever the reader does.
            pair.A.Write(sent);
            pair.A.Write(sent.AsSpan(0, 5));
            pair.A.Abort();
        });
        writer.Start();
        byte[] got = new byte[sent.Length];
        Assert.AreEqual(sent.Length, pair.B.ReadWhole(got));
        CollectionAssert.AreEqual(sent, got);
        Assert.AreEqual(5, pair.B.ReadWhole(got));
        Assert.AreEqual(0, pair.B.ReadWhole(got));
        writer.Join();
    }

    [TestMethod, TestCategory("unit")]
    public void Write_ToAnEndThatIsGone_IsAnIOExceptionOfASocket()
    {
        using var pair = new Joined();
        pair.B.Abort();
        IOException e = Assert.ThrowsExactly<IOException>(() => pair.A.Write(new byte[10]));
        Assert.AreEqual(SocketError.Shutdown, Assert.IsInstanceOfType<SocketException>(e.InnerException).SocketErrorCode);
    }

    [TestMethod, TestCategory("unit")]
    public void Read_BeyondItsLimit_Fails_WholeOrNot_AndADisposedStreamToo()
    {
        using var pair = new Joined();
        pair.B.SetTimeouts(TimeSpan.FromMilliseconds(50), TimeSpan.Zero);
        pair.A.Write(new byte[3]);
        Assert.AreEqual(3, pair.B.Read(new byte[10]));
        IOException alone = Assert.ThrowsExactly<IOException>(() => pair.B.Read(new byte[10]));
        Assert.AreEqual(SocketError.WouldBlock, Assert.IsInstanceOfType<SocketException>(alone.InnerException).SocketErrorCode);
        IOException e = Assert.ThrowsExactly<IOException>(() => pair.B.ReadWhole(new byte[10]));
        Assert.AreEqual(SocketError.WouldBlock, Assert.IsInstanceOfType<SocketException>(e.InnerException).SocketErrorCode);
        pair.B.Dispose();
        Assert.ThrowsExactly<ObjectDisposedException>(() => pair.B.Read(new byte[1]));
        Assert.ThrowsExactly<ObjectDisposedException>(() => pair.B.Write(new byte[1]));
    }

    [TestMethod, TestCategory("unit")]
    public async Task Read_AfterAsynchronousCalls_BlocksAllTheSame()
    {
        using var pair = new Joined();
        await pair.A.WriteAsync(new byte[] { 1, 2 });
        byte[] got = new byte[2];
        Assert.AreEqual(2, await pair.B.ReadAsync(got));
        var writer = new Thread(() => pair.A.Write([3]));
        writer.Start();

        // The socket is non-blocking by now.
        Assert.AreEqual(1, pair.B.Read(got));
        Assert.AreEqual(3, got[0]);
        writer.Join();
    }

    private sealed class Joined : IDisposable
    {
        private readonly string _folder = Directory.CreateTempSubdirectory("dpu-link-").FullName;

        public Joined()
        {
            using var listener = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
            var address = new UnixDomainSocketEndPoint(Path.Combine(_folder, "s"));
            listener.Bind(address);
            listener.Listen(1);
            var dialled = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
            dialled.Connect(address);
            A = new LinkStream(dialled, TimeProvider.System);
            B = new LinkStream(listener.Accept(), TimeProvider.System);
        }

        internal LinkStream A { get; }

        internal LinkStream B { get; }

        public void Dispose()
        {
            A.Dispose();
            B.Dispose();
            Directory.Delete(_folder, recursive: true);
        }
    }
}
