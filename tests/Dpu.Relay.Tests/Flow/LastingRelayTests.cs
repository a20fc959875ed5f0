using System.Diagnostics;
using System.Net.Sockets;
using System.Security.Cryptography;
using Dpu.Linux;
using Dpu.Relay.Flow;
using Dpu.TestSupport;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Win32.SafeHandles;

namespace Dpu.Relay.Tests.Flow;

/// <summary>Programs at both ends of a relay whose link is cut again and again.</summary>
[TestClass]
public sealed class LastingRelayTests : IDisposable
{
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(30);

    private readonly RelayHub _host = new(TimeProvider.System, NullLogger<RelayHub>.Instance);
    private readonly RelayHub _dpu = new(TimeProvider.System, NullLogger<RelayHub>.Instance);
    private readonly Guid _token = Guid.NewGuid();
    private readonly Lock _lock = new();
    private Wire? _cut;
    private bool _linkIsDown;
    private LostRelay? _lost;

    public void Dispose()
    {
        _host.Dispose();
        _dpu.Dispose();
    }

    [TestMethod]
    [TestCategory("unit")]
    [DataRow(SocketKind.Stream)]
    [DataRow(SocketKind.SeqPacket)]
    public void LinkCutAgainAndAgain_NothingIsLostOrDoubled_InBothDirections(SocketKind kind)
    {
        int seed = Random.Shared.Next();
        (Socket a, Socket b) = Join(kind, Limit);
        using (a)
        using (b)
        {
            int cuts = 0;
            Task<byte[]>[] talks = [Say(a, seed, () => Volatile.Read(ref cuts) >= 40), Say(b, seed + 1, () => Volatile.Read(ref cuts) >= 40), Hear(a), Hear(b)];
            var random = new Random(seed);
            while (!Task.WhenAll(talks).Wait(random.Next(1, 12)))
            {
                Cut();
                Volatile.Write(ref cuts, cuts + 1);
                Assert.IsFalse(talks.Any(talk => talk.IsFaulted), $"seed {seed}: {talks.FirstOrDefault(talk => talk.IsFaulted)?.Exception}");
            }

            Assert.AreEqual(Convert.ToHexString(talks[0].Result), Convert.ToHexString(talks[3].Result), $"seed {seed}, {cuts} cuts");
            Assert.AreEqual(Convert.ToHexString(talks[1].Result), Convert.ToHexString(talks[2].Result), $"seed {seed}, {cuts} cuts");
        }

        Eventually.True(() => _host.Count + _dpu.Count == 0, Limit, "the end of both relays");
        Assert.AreEqual(0, _host.Broken + _dpu.Broken, $"seed {seed}: nothing broke off");
        Assert.IsGreaterThan(20, _host.ResumedCount, "it went on many times");
    }

    [TestMethod]
    [TestCategory("unit")]
    public void ProgramEndsWhileTheLinkIsAway_TheOtherHasAllOfItWhenItIsBack()
    {
        (Socket a, Socket b) = Join(SocketKind.Stream, Limit);
        using (b)
        {
            using (a)
            {
                a.Send("first"u8);
                Assert.AreEqual("first", Text(b, 5));
                Down();
                a.Send("last"u8);
            }

            Assert.IsFalse(b.Poll(TimeSpan.FromMilliseconds(100), SelectMode.SelectRead), "nothing yet, and no end");
            Up();
            Assert.AreEqual("last", Text(b, 4));
            Assert.AreEqual("", Text(b, 1), "then the end");
        }

        Eventually.True(() => _host.Count + _dpu.Count == 0, Limit, "the end of both relays");
        Assert.AreEqual(0, _host.Broken + _dpu.Broken, "nothing broke off");
    }

    [TestMethod]
    [TestCategory("unit")]
    public void LinkThatStaysAway_ResetsThePrograms_AfterTheTime()
    {
        (Socket a, Socket b) = Join(SocketKind.Stream, TimeSpan.FromMilliseconds(300));
        using (a)
        using (b)
        {
            a.Send("x"u8);
            Assert.AreEqual("x", Text(b, 1));
            Down();
            Eventually.True(() => Ended(a) && Ended(b), Limit, "both programs see that it is over");
        }

        Eventually.True(() => _host.Broken == 1 && _dpu.Broken == 1, Limit, "both hubs count it as broken off");
    }

    [TestMethod]
    [TestCategory("unit")]
    public void OtherEndForgotten_ResetsTheProgramAtOnce()
    {
        (Socket a, Socket b) = Join(SocketKind.Stream, TimeSpan.FromHours(1));
        using (a)
        using (b)
        {
            _host.Dispose();
            Eventually.True(() => Ended(a), Limit, "the end, though there is time left");
            Eventually.True(() => _dpu.Broken == 1, Limit, "the relay's end");
        }
    }

    [TestMethod]
    [TestCategory("unit")]
    public void OneDirectionThatNobodyReads_DoesNotHoldUpTheOther()
    {
        (Socket a, Socket b) = Join(SocketKind.Stream, Limit);
        using (a)
        using (b)
        {
            // Until all of the window and the kernel's buffers are full.
            byte[] block = new byte[64 << 10];
            a.Blocking = false;
            long still = Stopwatch.GetTimestamp();
            long sent = 0;
            while (Stopwatch.GetElapsedTime(still) < TimeSpan.FromMilliseconds(300))
            {
                try
                {
                    sent += a.Send(block);
                    still = Stopwatch.GetTimestamp();
                    Assert.IsLessThan(16L << 20, sent, "what nobody reads is bounded");
                }
                catch (SocketException e) when (e.SocketErrorCode == SocketError.WouldBlock)
                {
                    // Expected: full.
                    continue;
                }
            }

            a.Blocking = true;
            Task<byte[]> heard = Hear(a);
            byte[] said = Say(b, 7, () => true).Result;
            Assert.AreEqual(Convert.ToHexString(said), Convert.ToHexString(heard.WaitAsync(Limit).Result));
        }
    }

    [TestMethod]
    [TestCategory("unit")]
    public void Quiet_AfterMuchTraffic_KeepsNothing()
    {
        (Socket a, Socket b) = Join(SocketKind.Stream, Limit);
        using (a)
        using (b)
        {
            a.Send(new byte[1000]);
            Assert.AreEqual(1000, Text(b, 1000).Length);
            Eventually.True(() => _dpu.KeptBytes == 0, Limit, "what has come is acknowledged though nothing follows");
        }
    }

    [TestMethod]
    [TestCategory("unit")]
    [DataRow(new byte[] { 16, 0, 0, 0, 8, 0, 0, 0, 255, 255, 0, 0, 0, 0, 0, 0 }, DisplayName = "acknowledges what was not sent")]
    [DataRow(new byte[] { 17, 0, 0, 0, 8, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0 }, DisplayName = "resumes in the middle")]
    [DataRow(new byte[] { 3, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 65 }, DisplayName = "speaks after its end")]
    public void PeerThatBreaksTheProtocol_IsCutOff(byte[] said)
    {
        Assert.IsTrue(LocalSocket.TryPair(SocketKind.Stream, out SafeFileHandle? one, out int other));
        using var peer = new Socket(new SafeSocketHandle(other, ownsHandle: true));
        using Socket program = End(_dpu, SocketKind.Stream, new Wire(one), new RelayContinuity(_token, Limit, lost => lost.GiveUp()));
        peer.Send(said);
        Eventually.True(() => _dpu.Broken == 1, Limit, "the relay to end");
    }

    [TestMethod]
    [TestCategory("unit")]
    public void EndOfAProgram_GoesInOneMessage_BehindItsLastData()
    {
        Assert.IsTrue(LocalSocket.TryPair(SocketKind.Stream, out SafeFileHandle? one, out int other));
        Assert.IsTrue(LocalSocket.TryPair(SocketKind.Stream, out SafeFileHandle? relays, out int programs));
        using var peer = new Socket(new SafeSocketHandle(other, ownsHandle: true)) { ReceiveTimeout = (int)Limit.TotalMilliseconds };
        using (var program = new Socket(new SafeSocketHandle(programs, ownsHandle: true)))
        {
            program.Send("last"u8);
        }

        // The data may be read before the end is seen; the two frames of the end are one message all the same.
        var link = new CountingLink(one);
        using IDisposable relay = _dpu.Start(relays, link, new RelayInfo("peer", "/socket", SocketKind.Stream, 0, 0, 0), continuity: new RelayContinuity(_token, Limit, lost => lost.GiveUp()));
        byte[] said = new byte[28];
        for (int got = 0; got < said.Length;)
        {
            int read = peer.Receive(said, got, said.Length - got, SocketFlags.None);
            Assert.IsGreaterThan(0, read);
            got += read;
        }

        Assert.Contains("last", System.Text.Encoding.ASCII.GetString(said));
        Assert.IsLessThan(3, link.Sent, "messages for data, Stop and End");
    }

    private static bool Ended(Socket socket)
    {
        socket.ReceiveTimeout = 500;
        try
        {
            return socket.Receive(new byte[16]) == 0;
        }
        catch (SocketException e)
        {
            return e.SocketErrorCode == SocketError.ConnectionReset;
        }
    }

    private static string Text(Socket socket, int size)
    {
        socket.ReceiveTimeout = (int)Limit.TotalMilliseconds;
        byte[] buffer = new byte[size];
        int at = 0;
        for (int read = 1; at < size && read > 0; at += read)
        {
            read = socket.Receive(buffer, at, size - at, SocketFlags.None);
        }

        return System.Text.Encoding.UTF8.GetString(buffer, 0, at);
    }

    private static Task<byte[]> Say(Socket socket, int seed, Func<bool> enough) => Apart(() =>
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        var random = new Random(seed);
        byte[] buffer = new byte[100_000];
        for (int i = 0; i < 600 || !enough(); i++)
        {
            int size = random.Next(10) == 0 ? random.Next(1, buffer.Length) : random.Next(1, 300);
            random.NextBytes(buffer.AsSpan(0, size));
            for (int at = 0; at < size;)
            {
                at += socket.Send(buffer, at, size - at, SocketFlags.None);
            }

            hash.AppendData(buffer, 0, size);
        }

        socket.Shutdown(SocketShutdown.Send);
        return hash.GetHashAndReset();
    });

    private static Task<byte[]> Hear(Socket socket) => Apart(() =>
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        byte[] buffer = new byte[200_000];
        for (int read = socket.Receive(buffer); read > 0; read = socket.Receive(buffer))
        {
            hash.AppendData(buffer, 0, read);
        }

        return hash.GetHashAndReset();
    });

    private static Task<byte[]> Apart(Func<byte[]> work) =>
        Task.Factory.StartNew(work, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);

    private static Socket End(RelayHub hub, SocketKind kind, IRelayLink link, RelayContinuity continuity)
    {
        Assert.IsTrue(LocalSocket.TryPair(kind, out SafeFileHandle? relays, out int programs));
        _ = hub.Start(relays, link, new RelayInfo("peer", "/socket", kind, 0, 0, 0), continuity: continuity);
        return new Socket(new SafeSocketHandle(programs, ownsHandle: true));
    }

    private (Socket Dpu, Socket Host) Join(SocketKind kind, TimeSpan within)
    {
        (IRelayLink one, IRelayLink other) = Wires();
        return (End(_dpu, kind, one, new RelayContinuity(_token, within, OnLost)), End(_host, kind, other, new RelayContinuity(_token, within)));
    }

    private (IRelayLink Dpu, IRelayLink Host) Wires()
    {
        Assert.IsTrue(LocalSocket.TryPair(SocketKind.Stream, out SafeFileHandle? one, out int other));
        var host = new Wire(new SafeFileHandle(other, ownsHandle: true));
        lock (_lock)
        {
            _cut = host;
        }

        return (new Wire(one), host);
    }

    private void Cut()
    {
        lock (_lock)
        {
            _cut?.Cut();
        }
    }

    private void Down()
    {
        lock (_lock)
        {
            _linkIsDown = true;
        }

        Cut();
    }

    private void Up()
    {
        Eventually.True(() => Volatile.Read(ref _lost) is not null, Limit, "the loss to be noticed");
        LostRelay lost;
        lock (_lock)
        {
            _linkIsDown = false;
            lost = _lost!;
        }

        Redial(lost);
    }

    private void OnLost(LostRelay lost)
    {
        lock (_lock)
        {
            _lost = lost;
            if (_linkIsDown)
            {
                return;
            }
        }

        // As the daemons do it: on another thread.
        _ = Task.Run(() => Redial(lost));
    }

    private void Redial(LostRelay lost)
    {
        if (_host.FindLasting(lost.Token, "peer") is not { } host)
        {
            lost.GiveUp();
            return;
        }

        (IRelayLink one, IRelayLink other) = Wires();
        host.Resume(other, lost.Received, answer: true);
        byte[] frame = new byte[CountedSize];
        int at = 0;
        while (at < frame.Length)
        {
            int read = one is Wire wire ? wire.Read(frame.AsSpan(at)) : 0;
            if (read <= 0)
            {
                // Cut again before that.
                one.Dispose();
                if (lost.IsOver)
                {
                    return;
                }

                Redial(lost);
                return;
            }

            at += read;
        }

        lost.Resume(one, Relay.Wire.RelayFrame.TotalOf(frame));
    }

    private const int CountedSize = Relay.Wire.RelayFrame.CountedSize;

    private sealed unsafe class CountingLink(SafeFileHandle end) : IRelayLink
    {
        private int _sent;

        public int Sent => Volatile.Read(ref _sent);

        public int Descriptor => (int)end.DangerousGetHandle();

        // SAFETY: the caller's bytes, with their length.
        public int Send(byte* bytes, int size)
        {
            Interlocked.Increment(ref _sent);
            return (int)LibC.Result(sys_socket.send(Descriptor, bytes, (nuint)size, msg_flags.MSG_NOSIGNAL | msg_flags.MSG_DONTWAIT));
        }

        public void Dispose() => end.Dispose();
    }

    private sealed unsafe class Wire(SafeFileHandle end) : IRelayLink
    {
        public int Descriptor => (int)end.DangerousGetHandle();

        public int Read(Span<byte> room)
        {
            fixed (byte* bytes = room)
            {
                // SAFETY: pinned for the call, with its length. The ends block.
                return (int)LibC.Result(LibC.read(Descriptor, bytes, (nuint)room.Length));
            }
        }

        public void Cut()
        {
            try
            {
                _ = sys_socket.shutdown(end, sys_socket.SHUT_RDWR);
            }
            catch (ObjectDisposedException)
            {
                // Expected: it has just been left.
                return;
            }
        }

        public void Dispose() => end.Dispose();
    }
}
