using System.Buffers.Binary;
using System.Text;
using Dpu.Relay.Processes;
using FsCheck;
using FsCheck.Fluent;

namespace Dpu.Relay.Tests.Processes;

[TestClass]
public sealed class ProcessSpecTests
{
    [TestMethod]
    [TestCategory("unit")]
    public void AnySpec_IsReadAsWritten() => Prop.ForAll<int>(seed =>
    {
        ProcessSpec spec = Some(seed);
        byte[] bytes = spec.ToBytes();
        Assert.IsTrue(ProcessSpec.TryRead(bytes, out ProcessSpec? read, out string problem), problem);
        Assert.AreEqual(spec.Program, read.Program);
        Assert.AreEqual(spec.Directory, read.Directory);
        Assert.AreEqual(spec.Host, read.Host);
        AssertSame(spec.Arguments, read.Arguments);
        AssertSame(spec.Environment, read.Environment);
        Assert.AreEqual(spec.Identity, read.Identity);
        CollectionAssert.AreEqual(spec.Groups, read.Groups);
        Assert.AreEqual(spec.Umask, read.Umask);
        CollectionAssert.AreEqual(spec.Limits.ToArray(), read.Limits.ToArray());
        CollectionAssert.AreEqual(spec.Capabilities, read.Capabilities);
        Assert.AreEqual(spec.Signals, read.Signals);
        Assert.AreEqual(spec.OutOfMemory, read.OutOfMemory);
        Assert.AreEqual(spec.Scheduling, read.Scheduling);
        Assert.AreEqual(spec.Session, read.Session);
        Assert.AreEqual(spec.OwnTerminal, read.OwnTerminal);
        Assert.AreEqual(spec.Controlling, read.Controlling);
        CollectionAssert.AreEqual(spec.Terminal?.ToBytes(), read.Terminal?.ToBytes());
        Assert.AreEqual(spec.Flags, read.Flags);
        CollectionAssert.AreEqual(spec.Cgroups.ToArray(), read.Cgroups.ToArray());
        CollectionAssert.AreEqual(spec.Processors, read.Processors);
        CollectionAssert.AreEqual(spec.Nodes, read.Nodes);
        CollectionAssert.AreEqual(spec.Descriptors.ToArray(), read.Descriptors.ToArray());
        CollectionAssert.AreEqual(spec.Passed, read.Passed);
        CollectionAssert.AreEqual(bytes, read.ToBytes());
    }).QuickCheckThrowOnFailure();

    [TestMethod]
    [TestCategory("unit")]
    public void CutAndAlteredBytes_AreReadOrRefused() => Prop.ForAll<int, (ushort At, byte Value)[], ushort>((seed, changes, cut) =>
    {
        byte[] bytes = Some(seed).ToBytes();
        foreach ((ushort at, byte value) in changes)
        {
            bytes[at % bytes.Length] = value;
        }

        foreach (int length in (int[])[bytes.Length, cut % bytes.Length])
        {
            if (ProcessSpec.TryRead(bytes.AsSpan(0, length), out ProcessSpec? read, out string problem))
            {
                Assert.AreEqual("", problem);
                Assert.IsTrue(ProcessSpec.TryRead(read.ToBytes(), out _, out problem), problem);
                Assert.IsLessThanOrEqualTo(100, read.Command(100).Length);
            }
            else
            {
                Assert.IsNull(read);
                Assert.AreNotEqual("", problem);
            }
        }
    }).QuickCheckThrowOnFailure();

    [TestMethod]
    [TestCategory("unit")]
    public void AnyBytes_AreReadOrRefused() => Prop.ForAll<byte[]>(bytes =>
    {
        Assert.AreEqual(ProcessSpec.TryRead(bytes, out ProcessSpec? read, out _), read is not null);
    }).QuickCheckThrowOnFailure();

    [TestMethod]
    [TestCategory("unit")]
    [DataRow(1, 4095, true, DisplayName = "program, the longest")]
    [DataRow(1, 4096, false, DisplayName = "program, too long")]
    [DataRow(3, 4096, true, DisplayName = "a variable is not a path")]
    [DataRow(4, 4096, false, DisplayName = "directory")]
    [DataRow(5, 7, false, DisplayName = "identity")]
    [DataRow(6, 4 * 65536, true, DisplayName = "groups, the most")]
    [DataRow(6, 4 * 65537, false, DisplayName = "groups, too many")]
    [DataRow(6, 3, false, DisplayName = "groups, broken")]
    [DataRow(7, 8, false, DisplayName = "umask")]
    [DataRow(8, 24 * 64, true, DisplayName = "limits, the most")]
    [DataRow(8, 24 * 65, false, DisplayName = "limits, too many")]
    [DataRow(9, 48, false, DisplayName = "capabilities")]
    [DataRow(10, 8, false, DisplayName = "signals")]
    [DataRow(11, 0, false, DisplayName = "oom_score_adj")]
    [DataRow(12, 8, false, DisplayName = "scheduling")]
    [DataRow(13, 16, false, DisplayName = "session")]
    [DataRow(15, 8, false, DisplayName = "flags")]
    [DataRow(32, 8, false, DisplayName = "cgroup")]
    [DataRow(34, 512, true, DisplayName = "processors, the most")]
    [DataRow(34, 520, false, DisplayName = "processors, too many")]
    [DataRow(35, 0, false, DisplayName = "no nodes")]
    [DataRow(35, 12, false, DisplayName = "nodes, broken")]
    [DataRow(64, 13, false, DisplayName = "descriptors")]
    [DataRow(999, 13, true, DisplayName = "a later version's")]
    public void RecordOfASize_IsReadOrRefused(int kind, int size, bool expected)
    {
        byte[] content = new byte[size];
        if (kind < 5)
        {
            content.AsSpan().Fill((byte)'x');
        }

        Assert.AreEqual(expected, ProcessSpec.TryRead(Record(kind, content), out _, out _));
    }

    [TestMethod]
    [TestCategory("unit")]
    public void Strings_WithAnEndWithin_AreRefused()
    {
        foreach (int kind in (int[])[1, 2, 3, 4, 14])
        {
            Assert.IsFalse(ProcessSpec.TryRead(Record(kind, "a\0b"u8.ToArray()), out _, out string problem));
            Assert.Contains($"kind {kind}", problem);
        }
    }

    [TestMethod]
    [TestCategory("unit")]
    public void MoreOfAKindThanAllowed_IsRefused()
    {
        AssertMost(ProcessSpec.MostStrings, Record(2, "x"u8.ToArray()));
        AssertMost(16, Record(32, new byte[4]));
        AssertMost(64, Record(8, new byte[24]));
    }

    [TestMethod]
    [TestCategory("unit")]
    [DataRow(ProcessSpec.MostDescriptors, 0, 0u, 0, true)]
    [DataRow(ProcessSpec.MostDescriptors + 1, 0, 0u, 0, false)]
    [DataRow(1, -1, 0u, 0, false)]
    [DataRow(1, 0, 2u, 5, true)]
    [DataRow(1, 0, 3u, 7, true)]
    [DataRow(1, 0, 4u, 0, false)]
    [DataRow(1, 0, 256u, 0, false)]
    [DataRow(1, 0, 0u, -1, false)]
    public void Descriptors_AreReadOrRefused(int count, int first, uint way, int index, bool expected)
    {
        byte[] content = [.. Enumerable.Range(first, count).SelectMany(number => (byte[])[.. BitConverter.GetBytes(number), .. BitConverter.GetBytes(way), .. BitConverter.GetBytes(index)])];
        Assert.AreEqual(expected, ProcessSpec.TryRead(Record(64, content), out _, out _));
        Assert.IsFalse(ProcessSpec.TryRead((byte[])[.. Record(64, content), .. Record(64, content)], out _, out _), "a number twice");
    }

    [TestMethod]
    [TestCategory("unit")]
    public void RecordLongerThanAllThereIs_IsRefused()
    {
        byte[] bytes = Record(2, "abc"u8.ToArray());
        foreach (uint size in (uint[])[9, int.MaxValue, 0xfffffff8, uint.MaxValue])
        {
            BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(4), size);
            Assert.IsFalse(ProcessSpec.TryRead(bytes, out _, out string problem));
            Assert.Contains("longer", problem);
        }
    }

    [TestMethod]
    [TestCategory("unit")]
    public void Command_IsAsAShellHasIt()
    {
        var spec = new ProcessSpec { Arguments = ["ls"u8.ToArray(), "a b"u8.ToArray(), "it's"u8.ToArray(), []] };
        Assert.AreEqual("ls 'a b' 'it'\\''s' ''", spec.Command());
    }

    [TestMethod]
    [TestCategory("unit")]
    [DataRow(51)]
    [DataRow(55)]
    [DataRow(57)]
    [DataRow(56 + (4 * (ProcessSpec.MostDescriptors + 1)))]
    public void Terminal_OfASizeThatIsNone_IsRefused(int size)
    {
        Assert.IsFalse(ProcessSpec.TryRead(Record(66, new byte[size]), out _, out string problem));
        Assert.Contains("kind 66", problem);
    }

    private static void AssertMost(int most, byte[] record)
    {
        byte[] bytes = [.. Enumerable.Repeat(record, most).SelectMany(one => one)];
        Assert.IsTrue(ProcessSpec.TryRead(bytes, out _, out string problem), problem);
        Assert.IsFalse(ProcessSpec.TryRead((byte[])[.. bytes, .. record], out _, out _));
    }

    private static void AssertSame(IList<byte[]> expected, IList<byte[]> actual) =>
        CollectionAssert.AreEqual(expected.Select(Convert.ToHexString).ToArray(), actual.Select(Convert.ToHexString).ToArray());

    private static byte[] Record(int kind, byte[] content)
    {
        byte[] record = new byte[8 + ((content.Length + 7) & ~7)];
        BinaryPrimitives.WriteUInt16LittleEndian(record, (ushort)kind);
        BinaryPrimitives.WriteInt32LittleEndian(record.AsSpan(4), content.Length);
        content.CopyTo(record, 8);
        return record;
    }

    private static ProcessSpec Some(int seed)
    {
        var random = new System.Random(seed);
        bool Maybe() => random.Next(2) == 0;
        uint Number() => (uint)random.NextInt64(1L << 32);
        ulong Long() => (ulong)random.NextInt64() ^ ((ulong)random.Next(2) << 63);
        IEnumerable<int> Several(int most) => Enumerable.Range(0, random.Next(most));
        byte[] Text() => [.. Several(20).Select(_ => (byte)random.Next(1, 256))];
        return new ProcessSpec
        {
            Program = "/bin/" + Encoding.Latin1.GetString(Text()),
            Arguments = [.. Several(5).Select(_ => Text())],
            Environment = [.. Several(5).Select(_ => Text())],
            Directory = Encoding.Latin1.GetString(Text()),
            Host = Encoding.Latin1.GetString(Text()),
            Identity = Maybe() ? (Number(), Number()) : null,
            Groups = Maybe() ? [.. Several(6).Select(_ => Number())] : null,
            Umask = Maybe() ? Number() & 0x1ff : null,
            Limits = [.. Several(5).Select(_ => (Number(), Long(), Long()))],
            Capabilities = Maybe() ? [Long(), Long(), Long(), Long(), Long()] : null,
            Signals = Maybe() ? (Long(), Long()) : null,
            OutOfMemory = Maybe() ? (int)Number() : null,
            Scheduling = Maybe() ? ((int)Number(), (int)Number(), (int)Number()) : null,
            Session = Maybe() ? ((int)Number(), (int)Number(), (int)Number(), (int)Number(), (int)Number()) : null,
            OwnTerminal = Maybe() ? ((int)Number(), Maybe(), Maybe()) : null,
            Controlling = Maybe() ? ((int)Number(), (int)Number()) : null,
            Terminal = Maybe() ? new ProcessTerminal(Relay.Terminals.TerminalSettings.Read([.. Enumerable.Range(0, Relay.Terminals.TerminalSettings.Size).Select(_ => (byte)random.Next(256))])!, Maybe(), [.. Several(4)]) : null,
            Flags = Number(),
            Cgroups = [.. Several(5).Select(_ => (int)Number())],
            Processors = Maybe() ? new byte[8 * random.Next(1, 65)] : null,
            Nodes = Maybe() ? new byte[8 * random.Next(1, 17)] : null,
            Descriptors = [.. Several(9).Select(number => new ProcessDescriptor(number, (ProcessDescriptorWay)random.Next(4), random.Next()))],
            Passed = Text(),
        };
    }
}
