using System.Runtime.InteropServices;
using Dpu.Linux;
using Dpu.Relay.Processes;
using FsCheck;
using FsCheck.Fluent;
using Microsoft.Win32.SafeHandles;

namespace Dpu.Relay.Tests.Processes;

/// <summary>A pipe and its journal, in any order of calls and kills, beside two numbers that say what is in it.</summary>
[TestClass]
public sealed unsafe class JournaledPipeTests
{
    [TestMethod]
    [TestCategory("unit")]
    public void AnyCallsAndKills_KeepPositionsAndOrder() => Prop.ForAll<(byte What, ushort Size)[]>(steps =>
    {
        using var model = new Model(64 << 10);
        foreach ((byte what, ushort size) in steps)
        {
            model.Step(what, size);
        }

        model.Empty();
    }).QuickCheckThrowOnFailure();

    [TestMethod]
    [TestCategory("unit")]
    public void PipeThatIsOftenFull_KeepsPositionsAndOrder()
    {
        var random = new System.Random(20);
        using var model = new Model(4096);
        for (int i = 0; i < 3000; i++)
        {
            model.Step((byte)random.Next(256), (ushort)random.Next(1, 9000));
        }

        model.Empty();
    }

    [TestMethod]
    [TestCategory("unit")]
    [DataRow(1)]
    [DataRow(4096)]
    [DataRow(5000)]
    public void KillAfterBytesCame_CountsThem(int size)
    {
        using var model = new Model(64 << 10);
        model.Write(100);
        model.Drop(30);
        model.ComeUnseen(size);
        Assert.AreEqual(30UL, model.First);
        Assert.AreEqual(100UL + (ulong)size, model.End);
        model.Empty();
    }

    [TestMethod]
    [TestCategory("unit")]
    [DataRow(1)]
    [DataRow(69)]
    [DataRow(70)]
    public void KillAfterBytesWent_CountsThem(int size)
    {
        using var model = new Model(64 << 10);
        model.Write(100);
        model.Drop(30);
        model.GoUnseen(size);
        Assert.AreEqual(30UL + (ulong)size, model.First);
        Assert.AreEqual(100UL, model.End);
        model.Empty();
    }

    [TestMethod]
    [TestCategory("unit")]
    public void Drop_OfWhatIsNotThere_DropsNothing()
    {
        using var model = new Model(64 << 10);
        model.Write(10);
        model.Pipe.Drop(11);
        model.Check();
        model.Drop(4);
        model.Pipe.Drop(3);
        model.Check();
    }

    private static byte ByteAt(ulong position) => (byte)((position * 167) ^ (position >> 8));

    private static byte[] Bytes(ulong from, int size) => [.. Enumerable.Range(0, size).Select(i => ByteAt(from + (ulong)i))];

    /// <summary>The pipe, what it is to say, and pipes that it takes from and gives to.</summary>
    private sealed class Model : IDisposable
    {
        private readonly ulong* _journal = (ulong*)NativeMemory.AllocZeroed(sizeof(ulong));
        private readonly SafeFileHandle _source = JournaledPipe.TryMake(64 << 10)!;
        private readonly SafeFileHandle _target = JournaledPipe.TryMake(8192)!;

        public Model(int size) => Pipe = new JournaledPipe(JournaledPipe.TryMake(size)!, _journal);

        public JournaledPipe Pipe { get; private set; }

        public ulong First { get; private set; }

        public ulong End { get; private set; }

        private int Count => (int)(End - First);

        public void Step(byte what, int size)
        {
            switch (what % 9)
            {
                case 0:
                    Write(size % 9000);
                    break;
                case 1:
                    Fill(size % 9000, most: 1 + (size % 5000));
                    break;
                case 2:
                    Drain();
                    break;
                case 3:
                    Drop(size % (Count + 1));
                    break;
                case 4:
                    Peek(size % 9000);
                    break;
                case 5:
                    ComeUnseen(size % 3000);
                    break;
                case 6:
                    GoUnseen(size % (Count + 1));
                    break;
                case 7:
                    Fill(0, most: 100);
                    break;
                default:
                    Kill();
                    break;
            }

            Check();
        }

        public void Write(int size)
        {
            if (size > 0)
            {
                fixed (byte* bytes = Bytes(End, size))
                {
                    Came(Pipe.Write(bytes, size), size);
                }
            }
        }

        public void Drop(int size)
        {
            First += (ulong)size;
            Pipe.Drop(First);
        }

        /// <summary>The kernel has taken bytes, and the object does not know.</summary>
        public void ComeUnseen(int size)
        {
            Assert.AreEqual(-errno.EAGAIN, Pipe.Fill(Number(_source), 1));
            Came(Put(Pipe.Handle, Bytes(End, size)), size);
            Kill();
        }

        /// <summary>The kernel has given bytes, and the object does not know.</summary>
        public void GoUnseen(int size)
        {
            while (Put(_target, new byte[4096]) > 0)
            {
                // Until it is full.
            }

            int given = Pipe.Drain(Number(_target));
            Assert.AreEqual(Count == 0 ? 0 : -errno.EAGAIN, given);
            _ = Get(_target, 1 << 16);
            byte[] got = Get(Pipe.Handle, size);
            CollectionAssert.AreEqual(Bytes(First, size), got);
            First += (ulong)size;
            Kill();
        }

        public void Empty()
        {
            Kill();
            while (Count > 0)
            {
                Drain();
                Check();
            }
        }

        public void Check()
        {
            Assert.AreEqual(First, Pipe.First, "the first byte's position");
            Assert.AreEqual(End, Pipe.End, "the position behind the last byte");
            Assert.AreEqual(Count, Pipe.Count);
        }

        public void Dispose()
        {
            Pipe.Dispose();
            _source.Dispose();
            _target.Dispose();
            NativeMemory.Free(_journal);
        }

        private static int Number(SafeFileHandle handle) => (int)handle.DangerousGetHandle();

        private static int Put(SafeFileHandle into, byte[] bytes)
        {
            fixed (byte* at = bytes)
            {
                return bytes.Length == 0 ? 0 : (int)LibC.Result(LibC.write(Number(into), at, (nuint)bytes.Length));
            }
        }

        private static byte[] Get(SafeFileHandle from, int most)
        {
            byte[] bytes = new byte[most];
            fixed (byte* at = bytes)
            {
                int got = most == 0 ? 0 : (int)LibC.Result(LibC.read(Number(from), at, (nuint)most));
                return bytes[..Math.Max(0, got)];
            }
        }

        private void Fill(int size, int most)
        {
            int there = Math.Max(0, Put(_source, Bytes(End, size)));
            Came(Pipe.Fill(Number(_source), most), Math.Min(most, there));

            // What was not taken comes again as what it is then.
            _ = Get(_source, 1 << 16);
        }

        private void Drain()
        {
            int given = Pipe.Drain(Number(_target));
            Assert.AreEqual(Count > 0, given > 0);
            CollectionAssert.AreEqual(Bytes(First, given), Get(_target, 1 << 16));
            First += (ulong)given;
        }

        private void Peek(int size)
        {
            byte[] room = new byte[size];
            int copied = Pipe.Peek(room);
            Assert.IsTrue(copied <= Math.Min(size, Count) && copied > 0 == Math.Min(size, Count) > 0, $"{copied} of {Count} bytes were copied");
            CollectionAssert.AreEqual(Bytes(First, copied), room[..copied]);
        }

        private void Came(int got, int most)
        {
            Assert.IsTrue(got <= most && (got >= 0 || got == -errno.EAGAIN), $"{got} of {most} bytes came");
            End += (ulong)Math.Max(0, got);
        }

        private void Kill()
        {
            int copy = LibC.Result(LibC.fcntl_int(Number(Pipe.Handle), fcntl.F_DUPFD_CLOEXEC, 0));
            Pipe.Dispose();
            Pipe = new JournaledPipe(new SafeFileHandle(copy, ownsHandle: true), _journal);
            Check();
        }
    }
}
