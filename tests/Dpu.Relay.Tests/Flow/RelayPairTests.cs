using System.Diagnostics;
using System.Net.Sockets;
using Dpu.Linux;
using Dpu.Relay.Flow;
using Dpu.TestSupport;
using FsCheck;
using FsCheck.Fluent;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Win32.SafeHandles;

namespace Dpu.Relay.Tests.Flow;

/// <summary>Programs at both ends of a relay, beside programs at the ends of a pair of sockets.</summary>
[TestClass]
public sealed class RelayPairTests : IDisposable
{
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(20);

    private readonly RelayHub _host = new(TimeProvider.System, NullLogger<RelayHub>.Instance);
    private readonly RelayHub _dpu = new(TimeProvider.System, NullLogger<RelayHub>.Instance);

    public void Dispose()
    {
        _host.Dispose();
        _dpu.Dispose();
    }

    [TestMethod]
    [TestCategory("unit")]
    [DataRow(SocketKind.Stream)]
    [DataRow(SocketKind.SeqPacket)]
    public void WhatAnyProgramsSay_IsHeardAsThroughAPairOfSockets(SocketKind kind) => Prop.ForAll<byte[], byte[]>((one, other) =>
    {
        (Socket a, Socket b) = Join(kind);
        using (a)
        using (b)
        {
            Task<List<string>> heardByA = Talk(a, one, kind);
            Task<List<string>> heardByB = Talk(b, other, kind);
            Assert.IsTrue(Task.WhenAll(heardByA, heardByB).Wait(Limit), "both programs hear the end of the other");
            CollectionAssert.AreEqual(Said(other, kind), heardByA.Result);
            CollectionAssert.AreEqual(Said(one, kind), heardByB.Result);
        }
    }).QuickCheckThrowOnFailure();

    [TestMethod]
    [TestCategory("unit")]
    public void OneEndShut_TheOtherGoesOn()
    {
        (Socket a, Socket b) = Join(SocketKind.Stream);
        using (a)
        using (b)
        {
            a.Send("question"u8);
            a.Shutdown(SocketShutdown.Send);
            Assert.AreEqual("question", ReadToEnd(b));
            b.Send("answer"u8);
            b.Close();
            Assert.AreEqual("answer", ReadToEnd(a));
        }

        Eventually.True(() => _host.Count + _dpu.Count == 0, Limit, "the end of both relays");
        Assert.AreEqual(0, _host.Broken + _dpu.Broken, "nothing broke off");
    }

    [TestMethod]
    [TestCategory("unit")]
    public void ProgramGone_TheOtherGetsEpipe()
    {
        (Socket a, Socket b) = Join(SocketKind.Stream);
        using (b)
        {
            a.Close();
            Assert.AreEqual("", ReadToEnd(b));
            Eventually.True(() => Fails(() => b.Send("x"u8)) == SocketError.Shutdown, Limit, "EPIPE for who writes to a program that is gone");
        }
    }

    [TestMethod]
    [TestCategory("unit")]
    public void ProgramShutsThenCloses_TheOtherGetsEpipe()
    {
        (Socket a, Socket b) = Join(SocketKind.Stream);
        using (b)
        {
            a.Shutdown(SocketShutdown.Send);
            Assert.AreEqual("", ReadToEnd(b));
            b.Send("still heard"u8);
            byte[] heard = new byte[11];
            a.ReceiveTimeout = (int)Limit.TotalMilliseconds;
            Assert.AreEqual(11, a.Receive(heard));
            a.Close();
            Eventually.True(() => Fails(() => b.Send("x"u8)) == SocketError.Shutdown, Limit, "EPIPE for who writes to a program that is gone");
        }
    }

    [TestMethod]
    [TestCategory("unit")]
    public void LinkBroken_WithDataUnread_ResetsThePrograms()
    {
        (Socket a, Socket b) = Join(SocketKind.Stream, out Socket cut);
        using (a)
        using (b)
        {
            cut.Shutdown(SocketShutdown.Both);
            cut.Dispose();
            Eventually.True(() => Ended(a) && Ended(b), Limit, "both programs see that it is over");
        }

        Eventually.True(() => _host.Broken == 1 && _dpu.Broken == 1, Limit, "both hubs count it as broken off");
    }

    [TestMethod]
    [TestCategory("unit")]
    public void ReaderThatDoesNotRead_HoldsUpTheWriter()
    {
        (Socket a, Socket b) = Join(SocketKind.Stream);
        using (a)
        using (b)
        {
            byte[] block = new byte[64 << 10];
            a.Blocking = false;
            long sent = 0;
            long still = Stopwatch.GetTimestamp();
            while (Stopwatch.GetElapsedTime(still) < TimeSpan.FromMilliseconds(300))
            {
                if (Fails(() => sent += a.Send(block)) == SocketError.Success)
                {
                    still = Stopwatch.GetTimestamp();
                    Assert.IsLessThan(16L << 20, sent, "what nobody reads is bounded by the kernel's buffers");
                }
            }

            a.Shutdown(SocketShutdown.Send);
            long received = 0;
            for (int read = 1; read > 0; received += read)
            {
                read = b.Receive(block);
            }

            Assert.AreEqual(sent, received, "and all of it arrives");
        }
    }

    [TestMethod]
    [TestCategory("unit")]
    public void IdleRelays_TakeLittleMemory()
    {
        const int Count = 500;
        var open = new List<Socket>();
        long before = 0;
        try
        {
            for (int i = 0; i < Count + 50; i++)
            {
                // The first make what all share.
                if (i == 50)
                {
                    before = GC.GetTotalMemory(forceFullCollection: true);
                }

                (Socket a, Socket b) = Join(SocketKind.Stream);
                a.Send("x"u8);
                b.ReceiveTimeout = (int)Limit.TotalMilliseconds;
                Assert.AreEqual(1, b.Receive(new byte[4]));
                open.AddRange([a, b]);
            }

            // Both ends and the test's own sockets are counted here.
            long each = (GC.GetTotalMemory(forceFullCollection: true) - before) / Count;
            Assert.IsLessThan(8L << 10, each, "managed bytes a relay that is idle, both ends");
        }
        finally
        {
            open.ForEach(socket => socket.Dispose());
        }
    }

    private static bool Ended(Socket socket)
    {
        socket.ReceiveTimeout = 1000;
        SocketError error = SocketError.Success;
        int read = -1;
        error = Fails(() => read = socket.Receive(new byte[16]));
        return read == 0 || error == SocketError.ConnectionReset;
    }

    private static SocketError Fails(Action call)
    {
        try
        {
            call();
            return SocketError.Success;
        }
        catch (SocketException e)
        {
            return e.SocketErrorCode;
        }
    }

    private static string ReadToEnd(Socket socket)
    {
        socket.ReceiveTimeout = (int)Limit.TotalMilliseconds;
        using var text = new MemoryStream();
        byte[] buffer = new byte[4096];
        for (int read = socket.Receive(buffer); read > 0; read = socket.Receive(buffer))
        {
            text.Write(buffer, 0, read);
        }

        return System.Text.Encoding.UTF8.GetString(text.ToArray());
    }

    // What a program says: messages of up to 255 * 300 bytes, so that buffers run full. Of a stream only the sum is heard. No two empty ones
    // follow each other, which who hears could not tell from the end.
    private static byte[][] Words(byte[] seed) =>
        [.. seed.Select((size, i) => Enumerable.Repeat((byte)i, (size == 0 && i > 0 && seed[i - 1] == 0 ? 1 : size) * 300).ToArray())];

    private static List<string> Said(byte[] seed, SocketKind kind)
    {
        byte[][] words = Words(seed);
        return kind == SocketKind.Stream
            ? [Convert.ToHexString(System.Security.Cryptography.SHA256.HashData(words.SelectMany(word => word).ToArray()))]
            : [.. words.Where(word => word.Length > 0).Select(word => $"{word.Length}:{word.FirstOrDefault()}")];
    }

    private static Task<List<string>> Talk(Socket socket, byte[] seed, SocketKind kind) => Task.Run(async () =>
    {
        Task speaking = Task.Factory.StartNew(
            () =>
            {
                foreach (byte[] word in Words(seed))
                {
                    socket.Send(word);
                }

                socket.Shutdown(SocketShutdown.Send);
            },
            CancellationToken.None,
            TaskCreationOptions.LongRunning,
            TaskScheduler.Default);
        List<string> heard = await Task.Factory.StartNew(() => Hear(socket, kind), CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
        await speaking;
        return heard;
    });

    private static List<string> Hear(Socket socket, SocketKind kind)
    {
        var heard = new List<string>();
        using var all = new MemoryStream();
        byte[] buffer = new byte[1 << 20];
        while (true)
        {
            int read = socket.Receive(buffer);
            if (read == 0)
            {
                // Of messages an empty one looks the same here: only the last is the end.
                if (kind == SocketKind.Stream || socket.Poll(TimeSpan.Zero, SelectMode.SelectRead) && socket.Receive(buffer, SocketFlags.Peek) == 0)
                {
                    break;
                }

                continue;
            }

            all.Write(buffer, 0, read);
            heard.Add($"{read}:{buffer[0]}");
        }

        return kind == SocketKind.Stream ? [Convert.ToHexString(System.Security.Cryptography.SHA256.HashData(all.ToArray()))] : heard;
    }

    [TestMethod]
    [TestCategory("unit")]
    [DataRow(true)]
    [DataRow(false)]
    public void Conversation_IsLookedForWherePermitted_AndOneWayTrafficIsNot(bool permitted)
    {
        _dpu.BusyPoll = TimeSpan.FromMicroseconds(65);
        Assert.AreEqual(TimeSpan.FromMicroseconds(65), _dpu.BusyPoll, "as it was set: a reload compares");
        _dpu.BusyPoll = permitted ? TimeSpan.FromSeconds(1) : TimeSpan.Zero;
        (Socket a, Socket b) = Join(SocketKind.Stream);
        using (a)
        using (b)
        {
            byte[] chunk = new byte[1 << 16];
            for (int i = 0; i < 64; i++)
            {
                _ = a.Send(chunk);
                for (int got = 0; got < chunk.Length;)
                {
                    got += b.Receive(chunk);
                }
            }

            Assert.AreEqual(TimeSpan.Zero, _dpu.Polled, "data one way are no conversation");
            byte[] word = new byte[64];
            for (int i = 0; i < 100; i++)
            {
                Assert.AreEqual(64, a.Send(word));
                Assert.AreEqual(64, b.Receive(word));
                Assert.AreEqual(64, b.Send(word));
                Assert.AreEqual(64, a.Receive(word));
            }
        }

        Eventually.True(() => _dpu.Count == 0, Limit, "the relay's end");
        Assert.AreEqual(permitted, _dpu.Polled > TimeSpan.Zero);
    }

    private (Socket Dpu, Socket Host) Join(SocketKind kind) => Join(kind, out _);

    private (Socket Dpu, Socket Host) Join(SocketKind kind, out Socket link)
    {
        Assert.IsTrue(LocalSocket.TryPair(SocketKind.Stream, out SafeFileHandle? one, out int other));
        link = new Socket(new SafeSocketHandle(LibC.fcntl_int(other, fcntl.F_DUPFD_CLOEXEC, 0), ownsHandle: true));
        return (End(_dpu, kind, new Wire(one)), End(_host, kind, new Wire(new SafeFileHandle(other, ownsHandle: true))));
    }

    private static Socket End(RelayHub hub, SocketKind kind, IRelayLink link)
    {
        Assert.IsTrue(LocalSocket.TryPair(kind, out SafeFileHandle? relays, out int programs));
        _ = hub.Start(relays, link, new RelayInfo("peer", "/socket", kind, 0, 0, 0));
        return new Socket(new SafeSocketHandle(programs, ownsHandle: true));
    }

    private sealed class Wire(SafeFileHandle end) : IRelayLink
    {
        public int Descriptor => (int)end.DangerousGetHandle();

        public void Dispose() => end.Dispose();
    }
}
