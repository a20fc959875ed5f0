using System.Collections.Concurrent;
using Dpu.Linux;
using Dpu.Proto.V1;

namespace Dpu.Link.Tests;

[TestClass]
public sealed unsafe class PolledTlsTests
{
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(30);

    [TestMethod, TestCategory("unit")]
    [DataRow(1, 100)]
    [DataRow(2, 20_000)]
    [DataRow(3, 300_000)]
    public void Bytes_InBothDirectionsAtOnce_ComeAsTheyWereSent(int seed, int longest)
    {
        using var lab = new LinkLab();
        (LinkListener listener, LinkDialer dialer) = lab.Pair(new EchoService());
        LinkConnection connection = dialer.Dial(listener.Bound[0], "host1", "fs", LinkLab.Session);
        LinkLab.AssertEchoes(connection);
        using PolledTls polled = connection.Poll();
        var random = new Random(seed);
        byte[] bytes = new byte[longest < 1000 ? 20_000 : 3_000_000];
        random.NextBytes(bytes);
        byte[] got = new byte[bytes.Length];
        int sent = 0, received = 0;
        while (received < got.Length)
        {
            int gave = sent == bytes.Length ? -errno.EAGAIN : Send(polled, bytes, sent, Math.Min(random.Next(1, longest), bytes.Length - sent));
            sent += Math.Max(0, gave);
            int room = Math.Min(random.Next(1, longest), got.Length - received);
            int took = Receive(polled, got, received, room);
            Assert.IsTrue(took > 0 || took == -errno.EAGAIN, $"{took} after {received}");
            received += Math.Max(0, took);
            if (gave < 0 && took < 0)
            {
                Assert.AreEqual(-errno.EAGAIN, gave);
                Wait(connection, poll.POLLIN, polled);
            }
        }

        CollectionAssert.AreEqual(bytes, got);
        Assert.AreEqual(-errno.EAGAIN, Receive(polled, got, 0, 1), "nothing more is there");
    }

    [TestMethod, TestCategory("unit")]
    public void Peer_ThatWritesAndCloses_IsReadToItsEnd()
    {
        byte[] bytes = new byte[100_000];
        new Random(4).NextBytes(bytes);
        using var lab = new LinkLab();
        (LinkListener listener, LinkDialer dialer) = lab.Pair(new OneService(connection => connection.Stream.Write(bytes)));
        LinkConnection connection = dialer.Dial(listener.Bound[0], "host1", "one", LinkLab.Session);
        using PolledTls polled = connection.Poll();
        byte[] got = new byte[bytes.Length + 1];
        int received = 0;
        int took;
        while ((took = Receive(polled, got, received, got.Length - received)) != 0)
        {
            Assert.IsTrue(took > 0 || took == -errno.EAGAIN, $"{took} after {received}");
            received += Math.Max(0, took);
            if (took < 0)
            {
                Wait(connection, poll.POLLIN, polled);
            }
        }

        CollectionAssert.AreEqual(bytes, got[..received]);
        Assert.AreEqual(0, Receive(polled, got, 0, 1), "the end stays");
    }

    [TestMethod, TestCategory("unit")]
    public void EndInTheMiddleOfARecord_IsTheEnd_ThoughEpollTellsOfBothAtOnce()
    {
        // What it says to be a record of 4096 bytes, cut where a link may be.
        byte[] part = [23, 3, 3, 16, 0, .. new byte[100]];
        using var lab = new LinkLab();
        (LinkListener listener, LinkDialer dialer) = lab.Pair(new OneService(connection =>
        {
            _ = connection.Socket.Send(part);
            connection.Abort();
        }));
        LinkConnection connection = dialer.Dial(listener.Bound[0], "host1", "one", LinkLab.Session);
        using PolledTls polled = connection.Poll();
        byte[] got = new byte[100];
        Wait(connection, poll.POLLRDHUP, polled);
        polled.Tell();
        int took = Receive(polled, got, 0, got.Length);
        Assert.IsTrue(took is 0 or -errno.ECONNRESET, $"{took}: nobody would ask again");
    }

    [TestMethod, TestCategory("unit")]
    public void Peer_ThatReadsNothing_FillsIt_AndGetsAllWhenItIsEnded()
    {
        using var goOn = new ManualResetEventSlim();
        var arrived = new BlockingCollection<long>();
        using var lab = new LinkLab();
        (LinkListener listener, LinkDialer dialer) = lab.Pair(new OneService(connection =>
        {
            _ = goOn.Wait(Limit);
            byte[] room = new byte[1 << 20];
            long all = 0;
            for (int read; (read = connection.Stream.Read(room)) > 0; all += read)
            {
                Assert.IsTrue(room.AsSpan(0, read).IndexOfAnyExcept((byte)7) < 0);
            }

            arrived.Add(all);
        }));
        PolledTls polled = dialer.Dial(listener.Bound[0], "host1", "one", LinkLab.Session).Poll();
        byte[] bytes = new byte[50_000];
        bytes.AsSpan().Fill(7);
        long sent = 0;
        int gave;
        while ((gave = Send(polled, bytes, 0, bytes.Length)) > 0)
        {
            sent += gave;
        }

        Assert.AreEqual(-errno.EAGAIN, gave);
        Assert.IsTrue(polled.IsFull);
        Assert.IsFalse(polled.TryFlush());
        polled.Dispose();
        goOn.Set();
        Assert.IsTrue(arrived.TryTake(out long all, Limit));
        Assert.AreEqual(sent, all);
    }

    [TestMethod, TestCategory("unit")]
    public void Connection_ThatIsCut_IsSaid()
    {
        using var lab = new LinkLab();
        (LinkListener listener, LinkDialer dialer) = lab.Pair(new EchoService());
        LinkConnection connection = dialer.Dial(listener.Bound[0], "host1", "fs", LinkLab.Session);
        using PolledTls polled = connection.Poll();
        byte[] bytes = new byte[100];
        Assert.AreEqual(-errno.EAGAIN, Receive(polled, bytes, 0, 100));
        connection.Abort();
        int took = Receive(polled, bytes, 0, 100);
        Assert.IsTrue(took is 0 or -errno.ECONNRESET, $"{took}");
        Assert.AreEqual(100, Send(polled, bytes, 0, 100), "some may have gone: nobody can say that none has");
        Assert.AreEqual(-errno.EPIPE, Send(polled, bytes, 0, 100));
    }

    [TestMethod, TestCategory("unit")]
    public void Connection_WithoutTls_HasNone()
    {
        using var lab = new LinkLab();
        LinkListener listener = lab.Listen(null, LinkEndpoint.Parse($"unix://{lab.Folder}/s"));
        using LinkConnection connection = lab.Dialer(null).Dial(listener.Bound[0], "host1", "fs", LinkLab.Session);
        Assert.ThrowsExactly<InvalidOperationException>(() => connection.Poll());
    }

    private static void Wait(LinkConnection connection, short events, PolledTls polled)
    {
        bool IsReady() => poll.Now(connection.Socket.SafeHandle, events) != 0 || (polled.IsFull && poll.Now(connection.Socket.SafeHandle, poll.POLLOUT) != 0);
        Assert.IsTrue(SpinWait.SpinUntil(IsReady, Limit), "something that moves");
    }

    private static int Send(PolledTls polled, byte[] bytes, int at, int count)
    {
        fixed (byte* first = bytes)
        {
            return polled.Send(first + at, count);
        }
    }

    private static int Receive(PolledTls polled, byte[] room, int at, int count)
    {
        fixed (byte* first = room)
        {
            return polled.Receive(first + at, count);
        }
    }

    private sealed class OneService(Action<LinkConnection> serve) : ILinkService
    {
        public string Name => "one";

        public HelloReply Admit(LinkPeer peer, Hello hello) => new() { Status = HelloStatus.Ok };

        public void Abandon(LinkPeer peer, Hello hello)
        {
            // Nothing was promised.
        }

        public void Serve(LinkConnection connection, CancellationToken stop) => serve(connection);
    }
}
