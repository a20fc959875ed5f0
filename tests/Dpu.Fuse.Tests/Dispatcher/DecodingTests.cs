using Dpu.Fuse.Tests.Support;
using Dpu.Fuse.Wire;
using Dpu.Linux;
using static Dpu.Fuse.Wire.fuse_opcode;

namespace Dpu.Fuse.Tests.Dispatcher;

/// <summary>Every opcode reaches its method with its arguments, and its reply has the right form.</summary>
[TestClass]
public sealed class DecodingTests
{
    public static IEnumerable<object[]> Names => DecodingCases.All.Keys.Select(name => new object[] { name });

    /// <summary>Without those whose reply is as long as the room for it, or empty.</summary>
    public static IEnumerable<object[]> NamesOfFixedReplies => DecodingCases.All
        .Where(item => item.Value.PayloadSize != 0 && item.Key is not ("READLINK" or "LISTXATTR of too much"))
        .Select(item => new object[] { item.Key });

    /// <summary>Without those of whose arguments nothing is needed.</summary>
    public static IEnumerable<object[]> NamesOfNeededArguments => DecodingCases.All
        .Where(item => item.Value.Request.Length > 40 && item.Key is not ("TMPFILE" or "SYNCFS"))
        .Select(item => new object[] { item.Key });

    public static IEnumerable<object[]> UnansweredNames => DecodingCases.Unanswered.Keys.Select(name => new object[] { name });

    [TestMethod, TestCategory("unit")]
    [DynamicData(nameof(Names))]
    public void Dispatch_OfValidRequest_CallsAndReplies(string name)
    {
        DecodingCase expected = DecodingCases.All[name];
        var files = new RecordingFileSystem { Result = expected.Returns };
        using var harness = new DispatcherHarness(files);
        Reply reply = harness.Send(expected.Request);
        Assert.AreEqual($"{expected.Call} by 1000:2000:3000", files.Single);
        Assert.AreEqual(0, reply.Error);
        Assert.HasCount(expected.PayloadSize, reply.Payload);
        Assert.AreEqual(0, harness.Dispatcher.Counters.Bugs);
    }

    [TestMethod, TestCategory("unit")]
    [DynamicData(nameof(Names))]
    public void Dispatch_OfFailingCall_RepliesItsErrno(string name)
    {
        var files = new RecordingFileSystem();
        using var harness = new DispatcherHarness(files);
        files.Result = -errno.EDQUOT;
        Reply reply = harness.Send(DecodingCases.All[name].Request);

        // Entries already written win over the error: they hold references.
        Assert.AreEqual(name.StartsWith("READDIR", StringComparison.Ordinal) ? 0 : -errno.EDQUOT, reply.Error);
    }

    [TestMethod, TestCategory("unit")]
    [DynamicData(nameof(NamesOfFixedReplies))]
    public void Dispatch_WithoutRoomForTheReply_IsRefusedBeforeTheCall(string name)
    {
        DecodingCase expected = DecodingCases.All[name];
        var files = new RecordingFileSystem();
        using var harness = new DispatcherHarness(files);
        Assert.AreEqual(-errno.EINVAL, harness.Send(expected.Request, capacity: 16 + 7).Error);
        Assert.IsEmpty(files.Calls);
    }

    [TestMethod, TestCategory("unit")]
    [DynamicData(nameof(NamesOfNeededArguments))]
    public void Dispatch_OfTruncatedRequest_IsRefusedBeforeTheCall(string name)
    {
        byte[] request = DecodingCases.All[name].Request;
        var files = new RecordingFileSystem();
        using var harness = new DispatcherHarness(files);
        byte[] cut = request[..^1];
        BitConverter.TryWriteBytes(cut, (uint)cut.Length);
        Assert.AreEqual(-errno.EINVAL, harness.Send(cut).Error);
        Assert.IsEmpty(files.Calls);
    }

    [TestMethod, TestCategory("unit")]
    [DynamicData(nameof(UnansweredNames))]
    public void Dispatch_OfRequestWithoutReply_CallsAndReturnsNothing(string name)
    {
        (byte[] request, string[] calls) = DecodingCases.Unanswered[name];
        var files = new RecordingFileSystem();
        using var harness = new DispatcherHarness(files);
        Assert.AreEqual(0, harness.Send(request).Result);
        CollectionAssert.AreEqual(calls, files.Calls);
        Assert.AreEqual(0, harness.Send(request, capacity: 0).Result, "a request without a reply needs no room for one");
    }

    [TestMethod, TestCategory("unit")]
    public void Dispatch_OfEveryOpcodeOfLinux_HasACase()
    {
        fuse_opcode[] elsewhere = [FUSE_INIT, FUSE_DESTROY, CUSE_INIT, FUSE_BMAP, FUSE_SETUPMAPPING, FUSE_REMOVEMAPPING];
        foreach (fuse_opcode opcode in Enum.GetValues<fuse_opcode>().Except(elsewhere))
        {
            Assert.IsTrue(DecodingCases.All.Values.Select(item => item.Request).Concat(DecodingCases.Unanswered.Values.Select(item => item.Request))
                .Any(request => BitConverter.ToUInt32(request, 4) == (uint)opcode), $"{opcode} has no case");
        }
    }

    [TestMethod, TestCategory("unit")]
    [DataRow(FUSE_BMAP)]
    [DataRow(FUSE_SETUPMAPPING)]
    [DataRow(CUSE_INIT)]
    [DataRow((fuse_opcode)0)]
    [DataRow((fuse_opcode)53)]
    [DataRow((fuse_opcode)uint.MaxValue)]
    public void Dispatch_OfUnknownOpcode_IsNotImplemented(fuse_opcode opcode)
    {
        using var harness = new DispatcherHarness(new RecordingFileSystem());
        Assert.AreEqual(-errno.ENOSYS, harness.Send(new RequestBuilder(opcode).Bytes(new byte[64])).Error);
    }

    [TestMethod, TestCategory("unit")]
    public void Lookup_OfEntry_CarriesItsNode()
    {
        using var harness = new DispatcherHarness(new RecordingFileSystem());
        Assert.AreEqual(RecordingFileSystem.EntryNode, harness.Send(new RequestBuilder(FUSE_LOOKUP).Name("a")).As<fuse_entry_out>().nodeid);
    }

    [TestMethod, TestCategory("unit")]
    public void Create_Reply_CarriesEntryThenHandle()
    {
        using var harness = new DispatcherHarness(new RecordingFileSystem());
        Reply reply = harness.Send(DecodingCases.All["CREATE"].Request);
        Assert.AreEqual(RecordingFileSystem.EntryNode, reply.As<fuse_entry_out>().nodeid);
        Assert.AreEqual(RecordingFileSystem.Handle, BitConverter.ToUInt64(reply.Payload, DecodingCases.EntrySize));
    }

    [TestMethod, TestCategory("unit")]
    public void Ioctl_Reply_CarriesResultThenData()
    {
        using var harness = new DispatcherHarness(new RecordingFileSystem { Result = 9 });
        Reply reply = harness.Send(DecodingCases.All["IOCTL"].Request);
        Assert.AreEqual(5, reply.As<fuse_ioctl_out>().result);
        Assert.AreEqual("xxxxxxxxx", System.Text.Encoding.ASCII.GetString(reply.Payload.AsSpan(16)));
    }

    [TestMethod, TestCategory("unit")]
    public void GetXAttr_LargerThanAsked_IsRange()
    {
        using var harness = new DispatcherHarness(new RecordingFileSystem { Result = 11 });
        Assert.AreEqual(-errno.ERANGE, harness.Send(DecodingCases.All["GETXATTR"].Request).Error);
    }
}
