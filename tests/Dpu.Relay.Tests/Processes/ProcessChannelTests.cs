using System.Collections.Concurrent;
using System.Net.Sockets;
using System.Text;
using Dpu.Keeper;
using Dpu.Linux;
using Dpu.Relay.Descriptors;
using Dpu.Relay.Flow;
using Dpu.Relay.Processes;
using Dpu.TestSupport;
using Microsoft.Win32.SafeHandles;

namespace Dpu.Relay.Tests.Processes;

/// <summary>Both ends of a process, with pipes as its streams, and links between them that break.</summary>
[TestClass]
public sealed class ProcessChannelTests : IDisposable
{
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(60);

    private readonly ConcurrentQueue<Exception> _bugs = new();
    private readonly RelayLoop _loop;
    private readonly Keeping _keeping = new(null, "x/");
    private readonly List<End> _ends = [];

    public ProcessChannelTests() => _loop = new RelayLoop("test", _bugs.Enqueue);

    public void Dispose()
    {
        _ends.ForEach(end => end.Channel.Dispose());
        _loop.Dispose();
        _ends.ForEach(end => end.Memory.Dispose());
        _keeping.Dispose();
    }

    [TestMethod]
    [TestCategory("unit")]
    [DataRow(1, 200_000)]
    [DataRow(2, 20_000)]
    [DataRow(3, 400_000)]
    public async Task LinksThatBreakAnywhere_LoseAndDoubleNothing(int seed, int longest)
    {
        var random = new Random(seed);
        (SafeFileHandle inputReads, SafeFileHandle inputWrites) = MakePipe();
        (SafeFileHandle takenReads, SafeFileHandle takenWrites) = MakePipe();
        (SafeFileHandle outputReads, SafeFileHandle outputWrites) = MakePipe();
        (SafeFileHandle shownReads, SafeFileHandle shownWrites) = MakePipe();
        End dpu = Make((0, inputReads, true), (1, shownWrites, false));
        End host = Make((0, takenWrites, false), (1, outputReads, true));
        byte[] input = Some(random, 1 << 20);
        byte[] output = Some(random, 1 << 20);
        Task writes = Task.WhenAll(WriteAsync(inputWrites, input), WriteAsync(outputWrites, output));
        Task<byte[]> taken = ReadAsync(takenReads);
        Task<byte[]> shown = ReadAsync(shownReads);
        Task all = Task.WhenAll(writes, taken, shown);
        int links = 0;
        for (; !all.IsCompleted && links < 5000; links++)
        {
            await JoinAsync(dpu, host, random.Next(1, longest), random.Next(1, longest), all).WaitAsync(Limit);
        }

        await all.WaitAsync(Limit);
        CollectionAssert.AreEqual(input, await taken);
        CollectionAssert.AreEqual(output, await shown);
        Assert.IsGreaterThan(3, links, "some links have broken");
        Assert.IsEmpty(_bugs);
        Assert.IsEmpty(dpu.Owner.Violations);
        Assert.IsEmpty(host.Owner.Violations);
    }

    [TestMethod]
    [TestCategory("unit")]
    public async Task SlowLink_CarriesWhatItMust()
    {
        const int Size = 2 << 20;
        (SafeFileHandle inputReads, SafeFileHandle inputWrites) = MakePipe();
        (SafeFileHandle takenReads, SafeFileHandle takenWrites) = MakePipe();
        End dpu = Make((0, inputReads, true));
        End host = Make((0, takenWrites, false));
        byte[] input = Some(new Random(4), Size);
        Task writes = WriteAsync(inputWrites, input);
        Task<byte[]> taken = ReadAsync(takenReads);
        Task all = Task.WhenAll(writes, taken);
        long carried = await JoinAsync(dpu, host, int.MaxValue, int.MaxValue, all, piece: 1448).WaitAsync(Limit);
        CollectionAssert.AreEqual(input, await taken.WaitAsync(Limit));
        Assert.IsLessThan(Size + (Size / 10), carried, "bytes are sent once while the link holds");
        Assert.IsEmpty(_bugs);
    }

    [TestMethod]
    [TestCategory("unit")]
    public async Task FilesThatKnowNoSplice_AreReadWhole()
    {
        const string File = "/proc/self/maps";
        (SafeFileHandle takenReads, SafeFileHandle takenWrites) = MakePipe();
        using SafeFileHandle file = System.IO.File.OpenHandle(File);
        End dpu = Make((0, Descriptor.TryOpenAgain(file, fcntl.O_RDONLY, out _)!, true));
        End host = Make((0, takenWrites, false));
        Task<byte[]> taken = ReadAsync(takenReads);
        _ = await JoinAsync(dpu, host, int.MaxValue, int.MaxValue, taken).WaitAsync(Limit);
        string text = Encoding.UTF8.GetString(await taken);
        Assert.IsGreaterThan(8192, text.Length, "more than two pages of it");
        Assert.Contains("[stack]", text);
        Assert.IsEmpty(dpu.Owner.Failures);
        Assert.IsEmpty(_bugs);
    }

    [TestMethod]
    [TestCategory("unit")]
    public async Task FileThatFails_IsSaid()
    {
        (SafeFileHandle inputReads, SafeFileHandle inputWrites) = MakePipe();
        End dpu = Make((1, System.IO.File.OpenHandle("/dev/full", FileMode.Open, FileAccess.Write, FileShare.ReadWrite), false));
        End host = Make((1, inputReads, true));
        Task writes = WriteAsync(inputWrites, Some(new Random(6), 1000));
        Task said = Task.Run(() => Eventually.True(() => !dpu.Owner.Failures.IsEmpty, Limit, "that no more can be written"));
        _ = await JoinAsync(dpu, host, int.MaxValue, int.MaxValue, said).WaitAsync(Limit);
        await writes.WaitAsync(Limit);
        CollectionAssert.AreEqual(new[] { (1, errno.ENOSPC) }, dpu.Owner.Failures.ToArray());
        Assert.IsEmpty(_bugs);
    }

    [TestMethod]
    [TestCategory("unit")]
    public async Task BytesThatHaveNoRoom_AreNoViolation()
    {
        (SafeFileHandle takenReads, SafeFileHandle takenWrites) = MakePipe();
        End host = Make((0, takenWrites, false));
        Assert.IsTrue(LocalSocket.TryPair(SocketKind.Stream, out SafeFileHandle? link, out int far));
        using var peer = new Socket(new SafeSocketHandle(far, ownsHandle: true));
        host.Channel.Connect(new Wire(link));
        byte[] bytes = Some(new Random(5), 12 * ProcessFrame.MaxData);

        // Small pieces leave no room for all that is acknowledged: what does not fit is asked for again later.
        Assert.AreEqual(0UL, await AckAsync(peer));
        await SendAsync(peer, bytes, 0, 0);
        ulong position = await AckAsync(peer).WaitAsync(Limit);
        Assert.AreEqual((ulong)ProcessFrame.MaxData, position, "a frame is acknowledged whole");
        await SendAsync(peer, bytes, position, (int)position);
        Eventually.True(() => host.Channel.Bytes.Received > 3 * ProcessFrame.MaxData / 2, Limit, "full pipes");
        Task<byte[]> taken = ReadAsync(takenReads);
        while (position < (ulong)bytes.Length)
        {
            ulong known = await AckAsync(peer).WaitAsync(Limit);
            Assert.IsGreaterThanOrEqualTo(position, known);
            position = known;
            if (known < (ulong)bytes.Length)
            {
                await SendAsync(peer, bytes, known, (int)known);
            }
        }

        byte[] end = new byte[ProcessFrame.HeaderSize];
        ProcessFrame.Write(end, ProcessFrameKind.End, 0, 0, 0, position);
        _ = await peer.SendAsync(end);
        CollectionAssert.AreEqual(bytes, await taken.WaitAsync(Limit));
        Assert.IsEmpty(host.Owner.Violations);
        Assert.IsEmpty(_bugs);
    }

    [TestMethod]
    [TestCategory("unit")]
    public async Task Acknowledgement_ThatTellsRoom_LetsFramesGoAheadWithinIt_AndOneThatTellsNoneOneAtATime()
    {
        (SafeFileHandle outputReads, SafeFileHandle outputWrites) = MakePipe();
        End host = Make((1, outputReads, true));
        Assert.IsTrue(LocalSocket.TryPair(SocketKind.Stream, out SafeFileHandle? link, out int far));
        using var peer = new Socket(new SafeSocketHandle(far, ownsHandle: true)) { ReceiveTimeout = (int)Limit.TotalMilliseconds };
        host.Channel.Connect(new Wire(link));
        byte[] output = Some(new Random(7), 6 * ProcessFrame.MaxData);
        Task writes = WriteAsync(outputWrites, output);
        var taken = new MemoryStream();

        // As an earlier version, which says nothing of room: what is on its way is one frame, however long that waits.
        await AcknowledgeAsync(peer, 0, room: 0);
        await TakeAsync(peer, taken, 1);
        Eventually.True(() => Unread(outputReads) > 0, Limit, "more output than is fetched");
        Assert.AreEqual(0, peer.Available);

        // Three units of room behind what was acknowledged: all of them come, and no byte more.
        long before = taken.Length;
        await AcknowledgeAsync(peer, (ulong)before, room: 3);
        await TakeAsync(peer, taken, before + (3 * ProcessFrame.RoomUnit));
        Assert.AreEqual(before + (3 * ProcessFrame.RoomUnit), taken.Length);
        Assert.AreEqual(0, peer.Available);

        // What had no room comes again, from where the acknowledgement says.
        long kept = before + ProcessFrame.RoomUnit;
        taken.SetLength(kept);
        await AcknowledgeAsync(peer, (ulong)kept, room: 2, again: true);
        await TakeAsync(peer, taken, kept + 1);
        while (taken.Length < output.Length)
        {
            await AcknowledgeAsync(peer, (ulong)taken.Length, room: ProcessFrame.MostRoom);
            await TakeAsync(peer, taken, taken.Length + 1);
        }

        await writes.WaitAsync(Limit);
        CollectionAssert.AreEqual(output, taken.ToArray());
        Assert.IsEmpty(host.Owner.Violations);
        Assert.IsEmpty(_bugs);
    }

    [TestMethod]
    [TestCategory("unit")]
    public async Task FramesBehindOneThatHadNoRoom_AreNoViolation_AndAllComesWhenItIsSentAgain()
    {
        (SafeFileHandle takenReads, SafeFileHandle takenWrites) = MakePipe();
        End host = Make((0, takenWrites, false));
        using Socket peer = await ConnectAsync(host);
        byte[] bytes = Some(new Random(8), 12 * ProcessFrame.MaxData);

        // All of it, whatever there is room for.
        for (int at = 0; at < bytes.Length; at += ProcessFrame.MaxData)
        {
            await SendAsync(peer, bytes, (ulong)at, at).WaitAsync(Limit);
        }

        Task<byte[]> taken = ReadAsync(takenReads);
        byte[] header = new byte[ProcessFrame.HeaderSize];
        bool asked = false;
        ulong position = 0;
        while (position < (ulong)bytes.Length)
        {
            Assert.AreEqual(header.Length, await peer.ReceiveAsync(header).WaitAsync(Limit));
            Assert.IsTrue(ProcessFrame.TryRead(header, out _, out _, out _, out byte flags, out position));
            if ((flags & (byte)ProcessAckFlags.Again) != 0)
            {
                asked = true;
                await SendAsync(peer, bytes, position, (int)position).WaitAsync(Limit);
            }
            else if (asked && position < (ulong)bytes.Length)
            {
                await SendAsync(peer, bytes, position, (int)position).WaitAsync(Limit);
            }
        }

        Assert.IsTrue(asked, "they were more than there is room for");
        ProcessFrame.Write(header, ProcessFrameKind.End, 0, 0, 0, position);
        _ = await peer.SendAsync(header);
        CollectionAssert.AreEqual(bytes, await taken.WaitAsync(Limit));
        Assert.IsEmpty(host.Owner.Violations);
        Assert.IsEmpty(_bugs);
    }

    [TestMethod]
    [TestCategory("unit")]
    public async Task ReaderThatCloses_WhileAFrameComes_IsNoViolation()
    {
        (SafeFileHandle takenReads, SafeFileHandle takenWrites) = MakePipe();
        End host = Make((0, takenWrites, false));
        using Socket peer = await ConnectAsync(host);
        byte[] header = new byte[ProcessFrame.HeaderSize];
        ProcessFrame.Write(header, ProcessFrameKind.Data, 3000, 0, 0, 0);
        _ = await peer.SendAsync(header);
        _ = await peer.SendAsync(new byte[1000]);
        Eventually.True(() => host.Channel.Bytes.Received == 1000, Limit, "the first bytes");
        takenReads.Dispose();
        for (int i = 0; i < 2; i++)
        {
            _ = await peer.SendAsync(new byte[1000]);
        }

        // Told at last, and the link holds.
        Task told = Task.Run(async () =>
        {
            for (byte flags = 0; (flags & (byte)ProcessAckFlags.Broken) == 0;)
            {
                Assert.AreEqual(header.Length, await peer.ReceiveAsync(header));
                Assert.IsTrue(ProcessFrame.TryRead(header, out _, out _, out _, out flags, out _));
            }
        });
        await told.WaitAsync(Limit);
        Assert.IsEmpty(host.Owner.Violations);
    }

    [TestMethod]
    [TestCategory("unit")]
    public async Task BytesThatLeaveAGap_AreAViolation()
    {
        (SafeFileHandle takenReads, SafeFileHandle takenWrites) = MakePipe();
        using SafeFileHandle reads = takenReads;
        End host = Make((0, takenWrites, false));
        using Socket peer = await ConnectAsync(host);
        byte[] header = new byte[ProcessFrame.HeaderSize];
        ProcessFrame.Write(header, ProcessFrameKind.Data, 100, 0, 0, 1);
        _ = await peer.SendAsync(header);
        Eventually.True(() => !host.Owner.Violations.IsEmpty, Limit, "the violation");
        Assert.AreEqual(0UL, host.Channel.Bytes.Received);
    }

    // The other end of a link, by which it is told what may be sent.
    private static async Task<Socket> ConnectAsync(End host)
    {
        Assert.IsTrue(LocalSocket.TryPair(SocketKind.Stream, out SafeFileHandle? link, out int far));
        var peer = new Socket(new SafeSocketHandle(far, ownsHandle: true));
        host.Channel.Connect(new Wire(link));
        Assert.AreEqual(0UL, await AckAsync(peer));
        return peer;
    }

    private static byte[] Some(Random random, int size)
    {
        byte[] bytes = new byte[size];
        random.NextBytes(bytes);
        return bytes;
    }

    private static (SafeFileHandle Reads, SafeFileHandle Writes) MakePipe()
    {
        Assert.IsTrue(Descriptor.TryMakePair(new PassedDescriptor(DescriptorKind.PipeToRead, DescriptorFlags.None), out SafeFileHandle? reads, out SafeFileHandle? writes));
        _ = LibC.SetBlocking(writes!);
        return (reads!, writes!);
    }

    private static Task WriteAsync(SafeFileHandle into, byte[] bytes) => Task.Run(() =>
    {
        using var stream = new FileStream(into, FileAccess.Write, 0);
        stream.Write(bytes);
    });

    private static Task<byte[]> ReadAsync(SafeFileHandle from) => Task.Run(() =>
    {
        using var stream = new FileStream(from, FileAccess.Read, 0);
        var all = new MemoryStream();
        stream.CopyTo(all);
        return all.ToArray();
    });

    // A frame of data from a position, at most all of one, in pieces.
    private static async Task SendAsync(Socket peer, byte[] bytes, ulong position, int from)
    {
        int size = Math.Min(ProcessFrame.MaxData, bytes.Length - from);
        byte[] header = new byte[ProcessFrame.HeaderSize];
        ProcessFrame.Write(header, ProcessFrameKind.Data, size, 0, 0, position);
        _ = await peer.SendAsync(header);
        for (int at = 0; at < size; at += 1448)
        {
            _ = await peer.SendAsync(bytes.AsMemory(from + at, Math.Min(1448, size - at)));
        }
    }

    private static async Task AcknowledgeAsync(Socket peer, ulong position, int room, bool again = false)
    {
        byte[] header = new byte[ProcessFrame.HeaderSize];
        ProcessFrame.Write(header, ProcessFrameKind.Ack, 0, 0, (byte)((room << 4) | (again ? (int)ProcessAckFlags.Again : 0)), position);
        _ = await peer.SendAsync(header);
    }

    // Whole frames of data, which follow each other, until so many bytes have come at least.
    private static async Task TakeAsync(Socket peer, MemoryStream into, long least)
    {
        while (into.Length < least)
        {
            byte[] header = await ExactlyAsync(peer, ProcessFrame.HeaderSize);
            Assert.IsTrue(ProcessFrame.TryRead(header, out ProcessFrameKind kind, out int size, out _, out _, out ulong position));
            Assert.AreEqual((ProcessFrameKind.Data, (ulong)into.Length), (kind, position));
            into.Position = into.Length;
            into.Write(await ExactlyAsync(peer, size));
        }
    }

    private static async Task<byte[]> ExactlyAsync(Socket peer, int size)
    {
        byte[] bytes = new byte[size];
        for (int got = 0; got < size;)
        {
            int more = await peer.ReceiveAsync(bytes.AsMemory(got)).AsTask().WaitAsync(Limit);
            Assert.AreNotEqual(0, more, "the link holds");
            got += more;
        }

        return bytes;
    }

    private static unsafe int Unread(SafeFileHandle pipe)
    {
        int count = 0;
        return LibC.ioctl((int)pipe.DangerousGetHandle(), ioctl_h.FIONREAD, &count) < 0 ? -1 : count;
    }

    private static async Task<ulong> AckAsync(Socket peer)
    {
        byte[] header = new byte[ProcessFrame.HeaderSize];
        for (int got = 0; got < header.Length;)
        {
            int more = await peer.ReceiveAsync(header.AsMemory(got));
            Assert.AreNotEqual(0, more, "the link holds");
            got += more;
        }

        Assert.IsTrue(ProcessFrame.TryRead(header, out ProcessFrameKind kind, out _, out _, out _, out ulong position));
        Assert.AreEqual(ProcessFrameKind.Ack, kind);
        return position;
    }

    // A link that ends after so many bytes of either direction.
    private static async Task<long> JoinAsync(End one, End other, int most, int mostBack, Task until, int piece = 64 << 10)
    {
        Assert.IsTrue(LocalSocket.TryPair(SocketKind.Stream, out SafeFileHandle? a, out int farA));
        Assert.IsTrue(LocalSocket.TryPair(SocketKind.Stream, out SafeFileHandle? b, out int farB));
        var here = new Socket(new SafeSocketHandle(farA, ownsHandle: true));
        var there = new Socket(new SafeSocketHandle(farB, ownsHandle: true));
        one.Channel.Connect(new Wire(a));
        other.Channel.Connect(new Wire(b));
        Task<long> up = CarryAsync(here, there, most, piece);
        Task<long> down = CarryAsync(there, here, mostBack, piece);
        _ = await Task.WhenAny(up, down, until);
        here.Dispose();
        there.Dispose();
        return await up + await down;
    }

    private static async Task<long> CarryAsync(Socket from, Socket to, int most, int piece)
    {
        byte[] buffer = new byte[piece];
        long carried = 0;
        try
        {
            while (carried < most)
            {
                int got = await from.ReceiveAsync(buffer.AsMemory(0, (int)Math.Min(piece, most - carried)));
                if (got == 0)
                {
                    break;
                }

                for (int sent = 0; sent < got;)
                {
                    sent += await to.SendAsync(buffer.AsMemory(sent, got - sent));
                }

                carried += got;
            }
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // Expected: the link broke.
            return carried;
        }

        return carried;
    }

    private End Make(params (int Number, SafeFileHandle Local, bool Sends)[] locals)
    {
        ProcessMemory memory = ProcessMemory.Create(_keeping, Guid.NewGuid());
        using var streams = new ProcessStreams(memory);
        foreach ((int number, SafeFileHandle local, bool sends) in locals)
        {
            Assert.IsTrue(streams.TryAdd(number, local, sends));
        }

        var owner = new Owner();
        var end = new End(new ProcessChannel(_loop, owner, streams.Take()), owner, memory);
        _ends.Add(end);
        end.Channel.Begin();
        return end;
    }

    private sealed record End(ProcessChannel Channel, Owner Owner, ProcessMemory Memory);

    private sealed class Owner : IProcessChannelOwner
    {
        public ConcurrentQueue<string> Violations { get; } = new();

        public ConcurrentQueue<(int Number, int Error)> Failures { get; } = new();

        public void FrameCame(ProcessFrameKind kind, ReadOnlySpan<byte> content) => Violations.Enqueue($"a frame {kind}");

        public void LinkLost(string? violation)
        {
            if (violation is not null)
            {
                Violations.Enqueue(violation);
            }
        }

        public void Moved()
        {
            // Nobody waits for it.
        }

        public void StreamFailed(int number, int error) => Failures.Enqueue((number, error));

        public void Readable()
        {
            // Nothing is watched.
        }
    }

    private sealed class Wire(SafeFileHandle end) : IRelayLink
    {
        public int Descriptor => (int)end.DangerousGetHandle();

        public void Dispose() => end.Dispose();
    }
}
