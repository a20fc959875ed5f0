using System.Text;
using Dpu.Linux;
using Microsoft.Win32.SafeHandles;

namespace Dpu.Keeper.Tests;

/// <summary>What a keeper holds, and lets go of.</summary>
[TestClass]
public sealed unsafe class KeepingTests
{
    [TestMethod]
    [TestCategory("root")]
    public void Descriptor_IsHeldWhileItsDaemonIsKilledAndComesBack()
    {
        using KeeperProcess keeper = new();
        using TemporaryDirectory folder = new();

        // A daemon in another language, that is killed after it has put its end of a pipe; this test is its successor.
        string fifo = folder["pipe"];
        using RunningProgram daemon = RunningProgram.Start("python3", ["-c", Daemon, keeper.Socket, fifo]);
        Eventually.True(() => daemon.Output.Contains("put", StringComparison.Ordinal) || daemon.HasExited, KeeperProcess.Limit, "the daemon");
        Assert.IsFalse(daemon.HasExited, daemon.Error);
        daemon.Kill();
        Assert.IsTrue(daemon.WaitForExit(KeeperProcess.Limit));

        using KeeperClient client = new KeeperClient(keeper.Socket);
        using Kept kept = client.Get("test/pipe")!;
        Assert.AreEqual("left by 1", Encoding.UTF8.GetString(kept.Entry.Note.Span));
        Assert.AreEqual(KeptKind.Descriptor, kept.Entry.Kind);
        using FileStream pipe = new(kept.Descriptor!, FileAccess.Read);
        byte[] read = new byte[100];
        Assert.AreEqual("written before the end", Encoding.UTF8.GetString(read, 0, pipe.Read(read)));
        Assert.IsNull(client.Get("test/other"));
    }

    [TestMethod]
    [TestCategory("root")]
    public void Put_OfANameThatIsThere_TakesItsPlaceOrFails()
    {
        using KeeperProcess keeper = new();
        using KeeperClient client = new KeeperClient(keeper.Socket);
        using Pipe first = new(), second = new();
        client.Put("a", first.Write, "one"u8);
        Assert.AreEqual(errno.EEXIST, Assert.ThrowsExactly<KeeperException>(() => client.Put("a", second.Write, "two"u8, onlyNew: true)).Error);
        Assert.AreEqual("one", NoteOf(client, "a"));
        first.Write.Dispose();
        Assert.IsFalse(first.HasEnded, "the keeper has its other end");

        client.Put("a", second.Write, "two"u8);
        Assert.AreEqual("two", NoteOf(client, "a"));
        Eventually.True(() => first.HasEnded, KeeperProcess.Limit, "the end of the one that gave way");

        client.Put("a", null, "note alone"u8);
        using (Kept kept = client.Get("a")!)
        {
            Assert.IsNull(kept.Descriptor);
            Assert.AreEqual(KeptKind.Note, kept.Entry.Kind);
        }

        second.Write.Dispose();
        Eventually.True(() => second.HasEnded, KeeperProcess.Limit, "the end of the second");
        Assert.IsTrue(client.Drop("a"));
        Assert.IsFalse(client.Drop("a"));
        Assert.AreEqual(0, client.Status().Entries);
    }

    [TestMethod]
    [TestCategory("root")]
    public void List_OfManyEntries_HasEachOnceInOrder()
    {
        using KeeperProcess keeper = new();
        using KeeperClient client = new KeeperClient(keeper.Socket);
        byte[] note = new byte[KeeperClient.MostNote];
        string[] names = [.. Enumerable.Range(0, 2000).Select(i => $"runtime/{i}"), "runtime", "runtimf", "\u00e9", new string('n', 255)];
        foreach (string name in names.Reverse())
        {
            client.Put(name, null, note.AsSpan(0, Encoding.UTF8.GetByteCount(name) * 16));
        }

        string[] expected = [.. names.Where(name => name.StartsWith("runtime/", StringComparison.Ordinal)).Order(StringComparer.Ordinal)];
        CollectionAssert.AreEqual(expected, client.List("runtime/").Select(entry => entry.Name).ToArray());
        CollectionAssert.AreEqual(names.Order(StringComparer.Ordinal).ToArray(), client.List().Select(entry => entry.Name).ToArray());
        Assert.IsTrue(client.List().All(entry => entry.Note.Length == Encoding.UTF8.GetByteCount(entry.Name) * 16));
        Assert.IsEmpty(client.List("nothing"));
        Assert.AreEqual(2000, client.DropAll("runtime/"));
        Assert.AreEqual(0, client.DropAll("runtime/"));
        Assert.AreEqual(4, client.Status().Entries);
    }

    [TestMethod]
    [TestCategory("root")]
    public void Memory_OutlivesItsMaker_AndNeverChangesItsSize()
    {
        using KeeperProcess keeper = new("--memory", "1048576");
        using (KeeperClient maker = new KeeperClient(keeper.Socket))
        using (KeptMemory memory = maker.OpenMemory("m", 8192, out bool made, "layout 1"u8))
        {
            Assert.IsTrue(made);
            Assert.AreEqual(-1, new ReadOnlySpan<byte>(memory.Address, 8192).IndexOfAnyExcept((byte)0), "zeroed");
            "what was written"u8.CopyTo(new Span<byte>(memory.Address + 5000, 100));
        }

        using KeeperClient client = new KeeperClient(keeper.Socket);
        using (KeptMemory memory = client.OpenMemory("m", 8192, out bool made, "another note"u8))
        {
            Assert.IsFalse(made);
            Assert.AreEqual("layout 1", Encoding.UTF8.GetString(memory.Entry.Note.Span));
            Assert.IsTrue(new ReadOnlySpan<byte>(memory.Address + 5000, 16).SequenceEqual("what was written"u8));
        }

        using (Kept kept = client.Get("m")!)
        {
            Assert.AreEqual(KeptKind.Memory, kept.Entry.Kind);
            using FileStream file = new(kept.Descriptor!, FileAccess.ReadWrite);
            Assert.ThrowsExactly<UnauthorizedAccessException>(() => file.SetLength(100), "sealed");
        }

        Assert.AreEqual(errno.EEXIST, Assert.ThrowsExactly<KeeperException>(() => client.OpenMemory("m", 4096, out _)).Error);
        Assert.AreEqual(errno.ENOSPC, Assert.ThrowsExactly<KeeperException>(() => client.OpenMemory("n", 1048576, out _)).Error);
        Assert.AreEqual(8192, client.Status().Memory);
        Assert.IsTrue(client.Drop("m"));
        Assert.AreEqual(0, client.Status().Memory);
        using KeptMemory anew = client.OpenMemory("m", 1048576, out bool again);
        Assert.IsTrue(again);
    }

    [TestMethod]
    [TestCategory("root")]
    public void Full_Keeper_SaysSo_AndServesOn()
    {
        using KeeperProcess keeper = new("--entries", "3");
        using KeeperClient client = new KeeperClient(keeper.Socket);
        using Pipe pipe = new();
        foreach (string name in (string[])["a", "b", "c"])
        {
            client.Put(name, pipe.Write);
        }

        Assert.AreEqual(errno.ENOSPC, Assert.ThrowsExactly<KeeperException>(() => client.Put("d", pipe.Write)).Error);
        Assert.AreEqual(errno.ENOSPC, Assert.ThrowsExactly<KeeperException>(() => client.OpenMemory("d", 4096, out _)).Error);
        client.Put("c", pipe.Write, "in its place"u8);
        Assert.IsTrue(client.Drop("a"));
        client.Put("d", pipe.Write);
        Assert.AreEqual(3, client.Status().Entries);
        Assert.AreEqual(3, client.Status().MostEntries);
    }

    // A close(2) that waits: of a TCP connection that lingers, whose peer takes nothing.
    [TestMethod]
    [TestCategory("root")]
    public void CloseThatHangs_HoldsUpNobody()
    {
        using KeeperProcess keeper = new();
        using RunningProgram daemon = RunningProgram.Start("python3", ["-c", Lingering, keeper.Socket]);
        Eventually.True(() => daemon.Output.Contains("put", StringComparison.Ordinal) || daemon.HasExited, KeeperProcess.Limit, "the daemon");
        Assert.IsFalse(daemon.HasExited, daemon.Error);
        using KeeperClient client = new KeeperClient(keeper.Socket);
        using Pipe pipe = new();
        Assert.AreEqual(1, client.DropAll("lingers"));
        Eventually.True(() => client.Status().Closing == 1, KeeperProcess.Limit, "the close");
        for (int i = 0; i < 200; i++)
        {
            client.Put("other", pipe.Write);
        }

        Assert.IsTrue(client.Drop("other"));
        pipe.Write.Dispose();
        Eventually.True(() => pipe.HasEnded, KeeperProcess.Limit, "the close of all others");
        Assert.AreEqual(1, client.Status().Closing);
        daemon.Kill();
        Eventually.True(() => client.Status().Closing == 0, KeeperProcess.Limit, "the end of the close");
    }

    [TestMethod]
    [TestCategory("root")]
    public void HundredThousandOperations_LeaveNothing()
    {
        using KeeperProcess keeper = new();
        using KeeperClient client = new KeeperClient(keeper.Socket);
        using Pipe pipe = new();
        byte[] note = new byte[1000];
        void Work(int operations)
        {
            Random random = new(operations);
            for (int i = 0; i < operations; i++)
            {
                string name = $"n{random.Next(100)}";
                switch (random.Next(6))
                {
                    case 0 or 1:
                        client.Put(name, random.Next(2) == 0 ? pipe.Write : null, note.AsSpan(0, random.Next(note.Length)));
                        break;
                    case 2:
                        client.Get(name)?.Dispose();
                        break;
                    case 3:
                        _ = client.Drop(name);
                        break;
                    case 4:
                        try
                        {
                            client.OpenMemory(name, 4096, out _).Dispose();
                        }
                        catch (KeeperException e) when (e.Error == errno.EEXIST)
                        {
                            // Something else has that name.
                        }

                        break;
                    default:
                        if (i % 50 == 0)
                        {
                            new KeeperClient(keeper.Socket).Dispose();
                        }

                        break;
                }
            }

            _ = client.DropAll("");
            Eventually.True(() => client.Status() is { Entries: 0, Closing: 0, Memory: 0, Clients: 1 }, KeeperProcess.Limit, "the end of all");
        }

        Work(10_000);
        (int descriptors, long memory) = (keeper.Descriptors, keeper.ResidentKiB);
        Work(150_000);
        Assert.AreEqual(descriptors, keeper.Descriptors);
        Assert.IsLessThan(memory + 512, keeper.ResidentKiB, $"KiB, of {memory} before");
        Console.WriteLine($"{memory} KiB, then {keeper.ResidentKiB}; {client.Status().Requests} requests");
    }

    private static string NoteOf(KeeperClient client, string name)
    {
        using Kept kept = client.Get(name)!;
        return Encoding.UTF8.GetString(kept.Entry.Note.Span);
    }

    // Speaks the protocol by itself: with a longer head than ours, as a later version's may be.
    private const string Python =
        """
        import array, os, socket, struct, sys
        def connect(path):
            s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            s.connect(path)
            ask(s, 1, size=1 << 32 | 7)
            return s
        def ask(s, operation, name=b'', note=b'', fd=None, size=0):
            head = struct.pack('=HHIiIIIQQQ', 48, operation, 0, 0, len(name), len(note), 0, 5, size, 99)
            rights = [] if fd is None else [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', [fd]))]
            s.sendmsg([head + name + note], rights)
            answer = s.recv(65536)
            error, tag = struct.unpack('=iIIIQ', answer[8:32])[0:5:4]
            assert error == 0 and tag == 5, (operation, error, tag)

        """;

    private const string Daemon = Python +
        """
        s = connect(sys.argv[1])
        os.mkfifo(sys.argv[2])
        r = os.open(sys.argv[2], os.O_RDONLY | os.O_NONBLOCK)
        w = os.open(sys.argv[2], os.O_WRONLY)
        os.write(w, b'written before the end')
        ask(s, 2, b'test/pipe', b'left by 1', r)
        print('put', flush=True)
        s.recv(1)
        """;

    private const string Lingering = Python +
        """
        s = connect(sys.argv[1])
        l = socket.socket()
        l.bind(('127.0.0.1', 0))
        l.listen()
        c = socket.socket()
        c.connect(l.getsockname())
        peer = l.accept()[0]
        c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 60))
        c.setblocking(False)
        try:
            while True: c.send(bytes(1 << 20))
        except BlockingIOError: pass
        c.setblocking(True)
        ask(s, 2, b'lingers', b'', c.fileno())
        c.close()
        print('put', flush=True)
        s.recv(1)
        """;

    /// <summary>A pipe of this process.</summary>
    private sealed class Pipe : IDisposable
    {
        public Pipe()
        {
            int* ends = stackalloc int[2];
            Assert.AreEqual(0, LibC.pipe2(ends, fcntl.O_CLOEXEC | fcntl.O_NONBLOCK));
            Read = new SafeFileHandle(ends[0], ownsHandle: true);
            Write = new SafeFileHandle(ends[1], ownsHandle: true);
        }

        public SafeFileHandle Read { get; }

        public SafeFileHandle Write { get; }

        /// <summary>Whether nobody has its end for writing.</summary>
        public bool HasEnded
        {
            get
            {
                byte one;
                return LibC.Result(LibC.read((int)Read.DangerousGetHandle(), &one, 1)) == 0;
            }
        }

        public void Dispose()
        {
            Read.Dispose();
            Write.Dispose();
        }
    }
}
