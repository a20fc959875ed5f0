using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Dpu.Linux;
using Dpu.Qtfs.Export.Coherence;
using FsCheck;
using FsCheck.Fluent;

namespace Dpu.Qtfs.Tests.Export.Coherence;

[TestClass]
public sealed class FileChangeTests
{
    [TestMethod]
    [TestCategory("unit")]
    public void TryRead_EventWithDirectoryNameAndFile_HasAllThree()
    {
        byte[] events = [.. Event(fanotify.FAN_MODIFY, 42, Record(fanotify.FAN_EVENT_INFO_TYPE_DFID_NAME, 8, "name"), Record(fanotify.FAN_EVENT_INFO_TYPE_FID, 12, null)), .. Event(fanotify.FAN_Q_OVERFLOW, 0)];
        ReadOnlySpan<byte> left = events;

        Assert.IsTrue(FileChange.TryRead(ref left, out FileChange change));
        Assert.AreEqual(fanotify.FAN_MODIFY, change.Mask);
        Assert.AreEqual(42, change.Thread);
        Assert.AreEqual("name", System.Text.Encoding.ASCII.GetString(change.Name));
        Assert.AreEqual(24, change.Directory.Length);
        Assert.AreEqual(7, FileChange.HandleOf(change.File, out ReadOnlySpan<byte> handle));
        Assert.AreEqual(12, handle.Length);
        Assert.IsTrue(FileChange.TryRead(ref left, out change));
        Assert.AreEqual(fanotify.FAN_Q_OVERFLOW, change.Mask);
        Assert.IsFalse(FileChange.TryRead(ref left, out _));
    }

    [TestMethod]
    [TestCategory("unit")]
    public void TryRead_AnyBytes_EndsAndStaysInside() =>
        Prop.ForAll(ArbMap.Default.ArbFor<byte[]>(), Gen.Choose(0, 120).ToArbitrary(), (noise, at) =>
        {
            byte[] events = Event(fanotify.FAN_CREATE, 1, Record(fanotify.FAN_EVENT_INFO_TYPE_DFID_NAME, 8, "n"));
            noise.AsSpan(0, Math.Min(noise.Length, events.Length - (at % events.Length))).CopyTo(events.AsSpan(at % events.Length));
            ReadOnlySpan<byte> left = events;
            int rounds = 0;
            while (FileChange.TryRead(ref left, out FileChange change) && ++rounds < 100)
            {
                _ = FileChange.HandleOf(change.File, out _);
            }

            return rounds < 100;
        }).QuickCheckThrowOnFailure();

    private static byte[] Event(ulong mask, int thread, params byte[][] records)
    {
        byte[] head = new byte[Marshal.SizeOf<fanotify_event_metadata>()];
        var metadata = new fanotify_event_metadata
        {
            event_len = (uint)(head.Length + records.Sum(record => record.Length)),
            vers = fanotify.FANOTIFY_METADATA_VERSION,
            metadata_len = (ushort)head.Length,
            mask = mask,
            fd = -1,
            pid = thread,
        };
        MemoryMarshal.Write(head, in metadata);
        return [.. head, .. records.SelectMany(record => record)];
    }

    private static byte[] Record(byte kind, int handle, string? name)
    {
        byte[] text = name is null ? [] : [.. System.Text.Encoding.ASCII.GetBytes(name), 0];
        int length = (4 + 16 + handle + text.Length + 3) & ~3;
        byte[] record = new byte[length];
        record[0] = kind;
        BinaryPrimitives.WriteUInt16LittleEndian(record.AsSpan(2), (ushort)length);
        BinaryPrimitives.WriteUInt32LittleEndian(record.AsSpan(12), (uint)handle);
        BinaryPrimitives.WriteInt32LittleEndian(record.AsSpan(16), 7);
        text.CopyTo(record, 20 + handle);
        return record;
    }
}
