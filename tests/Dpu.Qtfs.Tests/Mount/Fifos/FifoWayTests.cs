using System.Net.Sockets;
using System.Text;
using Dpu.Linux;
using Dpu.Proto.V1;
using Dpu.Qtfs.Mount.Fifos;
using Dpu.TestSupport;
using Microsoft.Win32.SafeHandles;

namespace Dpu.Qtfs.Tests.Mount.Fifos;

/// <summary>What becomes of a way that the host has begun, as programs come and go at this moment.</summary>
[TestClass]
public sealed class FifoWayTests : IDisposable
{
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(20);

    private readonly TemporaryDirectory _folder = new();
    private readonly ManualResetEventSlim _over = new();

    public FifoWayTests() => MakeFifo(_folder["fifo"]);

    public void Dispose()
    {
        _folder.Dispose();
        _over.Dispose();
    }

    [TestMethod]
    [TestCategory("unit")]
    public void WriterThatHasWrittenAllAndGone_BeforeItsBytesAreRelayed_LosesNone()
    {
        var host = new Host(FifoDirection.ToHost);
        TaskCompletionSource<FifoWay> made = new();
        FifoWay way = new(Open, _over.Set, atOnce: false, host);
        made.SetResult(way);

        using Socket relay = host.Relay();
        Assert.AreEqual("hello", ReadToEnd(relay), "what it has written");
        Assert.IsTrue(_over.Wait(Limit), "the end of the way");
        Assert.AreEqual(0, way.Error);

        // Its open has waited for this one; the watch looks before more is done here.
        int Open(int access, out SafeFileHandle? opened)
        {
            opened = OpenFifo(access);
            using (var writer = new FileStream(OpenFifo(fcntl.O_WRONLY)!, FileAccess.Write, 0))
            {
                writer.Write("hello"u8);
            }

            made.Task.GetAwaiter().GetResult().LetGo();
            return 0;
        }
    }

    [TestMethod]
    [TestCategory("unit")]
    public void WriterThatNeverCame_EndsIt()
    {
        var host = new Host(FifoDirection.ToHost);
        FifoWay way = new(OpenAny, _over.Set, atOnce: false, host);
        using Socket relay = host.Relay();
        Assert.IsFalse(_over.IsSet, "it may come yet");
        way.LetGo();
        Assert.AreEqual("", ReadToEnd(relay));
        Assert.IsTrue(_over.Wait(Limit), "the end of the way");
    }

    [TestMethod]
    [TestCategory("unit")]
    public void WriterThatIsThere_IsHeard_ThoughNobodySeesIt()
    {
        var host = new Host(FifoDirection.ToHost);
        FifoWay way = new(OpenAny, _over.Set, atOnce: false, host);
        using Socket relay = host.Relay();
        using (var writer = new FileStream(OpenFifo(fcntl.O_WRONLY)!, FileAccess.Write, 0))
        {
            way.LetGo();
            writer.Write("hello"u8);
        }

        Assert.AreEqual("hello", ReadToEnd(relay));
    }

    [TestMethod]
    [TestCategory("unit")]
    public void ReaderThatIsNotInItsOpenYet_IsAwaited()
    {
        var host = new Host(FifoDirection.ToDpu);
        using CountdownEvent tries = new(3);
        _ = new FifoWay(Open, _over.Set, atOnce: false, host);
        Assert.IsTrue(tries.Wait(Limit), "it is tried again");
        Assert.IsFalse(host.IsCancelled, "the host's writer would get EPIPE");
        using SafeFileHandle reader = OpenFifo(fcntl.O_RDONLY)!;
        using (Socket relay = host.Relay())
        {
            _ = relay.Send("hello"u8);
        }

        Assert.IsTrue(_over.Wait(Limit), "the end of the way");
        byte[] bytes = new byte[10];
        Assert.AreEqual("hello", Encoding.ASCII.GetString(bytes, 0, Read(reader, bytes)));

        int Open(int access, out SafeFileHandle? opened)
        {
            if (!tries.IsSet)
            {
                _ = tries.Signal();
            }

            return OpenAny(access, out opened);
        }
    }

    [TestMethod]
    [TestCategory("unit")]
    public void ReaderThatNeverCame_EndsIt_AtTheHostToo()
    {
        var host = new Host(FifoDirection.ToDpu);
        using CountdownEvent tries = new(1);
        FifoWay way = new(Open, _over.Set, atOnce: false, host);
        Assert.IsTrue(tries.Wait(Limit), "a try");
        way.LetGo();
        Assert.IsTrue(_over.Wait(Limit), "the end of the way");
        Assert.IsTrue(host.IsCancelled);
        Assert.AreEqual(-errno.ENXIO, way.Error);

        int Open(int access, out SafeFileHandle? opened)
        {
            if (!tries.IsSet)
            {
                _ = tries.Signal();
            }

            return OpenAny(access, out opened);
        }
    }

    private static unsafe void MakeFifo(string path)
    {
        fixed (byte* name = Encoding.UTF8.GetBytes(path + '\0'))
        {
            // SAFETY: a NUL-terminated string, pinned.
            Assert.AreEqual(0, LibC.Result(LibC.mknodat(fcntl.AT_FDCWD, name, stat.S_IFIFO | 0x180, 0)));
        }
    }

    private int OpenAny(int access, out SafeFileHandle? opened)
    {
        opened = OpenFifo(access);
        return opened is null ? -errno.ENXIO : 0;
    }

    // Null where it is to be written and nobody reads.
    private unsafe SafeFileHandle? OpenFifo(int access)
    {
        fixed (byte* name = Encoding.UTF8.GetBytes(_folder["fifo"] + '\0'))
        {
            // SAFETY: a NUL-terminated string, pinned.
            int descriptor = LibC.Result(LibC.openat(fcntl.AT_FDCWD, name, access | fcntl.O_NONBLOCK | fcntl.O_CLOEXEC, 0));
            Assert.IsTrue(descriptor is >= 0 or -errno.ENXIO, $"errno {-descriptor}");
            return descriptor < 0 ? null : new SafeFileHandle(descriptor, ownsHandle: true);
        }
    }

    private static string ReadToEnd(Socket socket)
    {
        using var stream = new NetworkStream(socket);
        return new StreamReader(stream, Encoding.ASCII).ReadToEnd();
    }

    private static unsafe int Read(SafeFileHandle file, byte[] bytes)
    {
        fixed (byte* buffer = bytes)
        {
            // SAFETY: pinned, with its size.
            return (int)LibC.Result(LibC.read((int)file.DangerousGetHandle(), buffer, (nuint)bytes.Length));
        }
    }

    // A host that has a partner at once.
    private sealed class Host(FifoDirection way) : IAskedFifo
    {
        private readonly TaskCompletionSource<SafeFileHandle> _relayed = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private volatile bool _cancelled;

        public bool IsCancelled => _cancelled;

        public int Wait(out FifoDirection direction)
        {
            direction = way;
            return 0;
        }

        public void Cancel()
        {
            _cancelled = true;
            _ = _relayed.TrySetException(new IOException("dropped without a byte"));
        }

        public bool TryStart(SafeFileHandle socket) => !_cancelled && _relayed.TrySetResult(socket);

        public Socket Relay()
        {
            Assert.IsTrue(Task.WaitAny([_relayed.Task], Limit) == 0, "the relay");
            using SafeFileHandle socket = _relayed.Task.GetAwaiter().GetResult();
            var owned = new Socket(new SafeSocketHandle(socket.DangerousGetHandle(), ownsHandle: true));
            socket.SetHandleAsInvalid();
            return owned;
        }
    }
}
