using Dpu.Fuse.Tests.Support;
using Dpu.Fuse.Wire;
using Dpu.Linux;
using static Dpu.Fuse.Wire.FuseConstants;

namespace Dpu.Fuse.Tests.Dispatcher;

[TestClass]
public sealed class InitTests
{
    private readonly RecordingFileSystem _files = new();

    [TestMethod, TestCategory("unit")]
    public void Init_OfModernKernel_AgreesOnTheDefaults()
    {
        using var harness = new DispatcherHarness(_files, init: false);
        var reply = harness.Send(DispatcherHarness.Init(ulong.MaxValue, minor: 45)).As<fuse_init_out>();
        Assert.AreEqual(7u, reply.major);
        Assert.AreEqual(FuseLimits.MinorVersion, reply.minor);
        Assert.AreEqual(FuseFeatures.Default, reply.flags | ((ulong)reply.flags2 << 32));
        Assert.AreEqual(FuseLimits.MaxWrite, reply.max_write);
        Assert.AreEqual((ushort)256, reply.max_pages);
        Assert.AreEqual(1u, reply.time_gran);
        Assert.AreEqual(131072u, reply.max_readahead);
        Assert.AreEqual(new FuseNegotiation(FuseLimits.MinorVersion, FuseFeatures.Default, FuseLimits.MaxWrite), harness.Dispatcher.Negotiation);
    }

    [TestMethod, TestCategory("unit")]
    public void Init_OfLittleOffer_TakesNoMore()
    {
        using var harness = new DispatcherHarness(_files, init: false);
        var reply = harness.Send(DispatcherHarness.Init(FUSE_ASYNC_READ | FUSE_EXPORT_SUPPORT | FUSE_CREATE_SUPP_GROUP, minor: 31)).As<fuse_init_out>();
        Assert.AreEqual(FUSE_ASYNC_READ, reply.flags, "only what is both offered and wanted");
        Assert.AreEqual(0u, reply.flags2, "flags2 means nothing without FUSE_INIT_EXT");
        Assert.AreEqual(31u, reply.minor);
    }

    [TestMethod, TestCategory("unit")]
    public void Init_OfShortOldStruct_IsRead()
    {
        using var harness = new DispatcherHarness(_files, init: false);
        byte[] old = new RequestBuilder(fuse_opcode.FUSE_INIT).Struct((7u, 31u)).Struct((4096u, FUSE_ASYNC_READ)).Build();
        Assert.AreEqual(FUSE_ASYNC_READ, harness.Send(old).As<fuse_init_out>().flags);
    }

    [TestMethod, TestCategory("unit")]
    [DataRow(6u, 31u)]
    [DataRow(7u, 30u)]
    [DataRow(7u, 0u)]
    public void Init_OfOldKernel_IsRefused(uint major, uint minor)
    {
        using var harness = new DispatcherHarness(_files, init: false);
        Assert.AreEqual(-errno.EPROTO, harness.Send(DispatcherHarness.Init(ulong.MaxValue, major, minor)).Error);
        Assert.IsNull(harness.Dispatcher.Negotiation);
    }

    [TestMethod, TestCategory("unit")]
    public void Init_OfNextMajor_AnswersOursAndWaits()
    {
        using var harness = new DispatcherHarness(_files, init: false);
        Assert.AreEqual(7u, harness.Send(DispatcherHarness.Init(ulong.MaxValue, major: 8)).As<fuse_init_out>().major);
        Assert.AreEqual(-errno.EIO, harness.Send(new RequestBuilder(fuse_opcode.FUSE_STATFS)).Error, "nothing is agreed on yet");
        Assert.AreEqual(0, harness.Send(DispatcherHarness.Init(ulong.MaxValue)).Error);
    }

    [TestMethod, TestCategory("unit")]
    public void Init_CutShort_IsInvalid()
    {
        using var harness = new DispatcherHarness(_files, init: false);
        Assert.AreEqual(-errno.EINVAL, harness.Send(new RequestBuilder(fuse_opcode.FUSE_INIT).Bytes(new byte[15])).Error);
        Assert.AreEqual(-errno.EINVAL, harness.Send(DispatcherHarness.Init(0), capacity: 79).Error);
    }

    [TestMethod, TestCategory("unit")]
    public void Init_OfFileSystemThatAdds_KeepsToTheOffer()
    {
        _files.OnInit = reply => reply with { flags = uint.MaxValue, flags2 = uint.MaxValue, max_write = uint.MaxValue, minor = 99 };
        using var harness = new DispatcherHarness(_files, init: false);
        var reply = harness.Send(DispatcherHarness.Init(FUSE_ASYNC_READ | FUSE_EXPORT_SUPPORT)).As<fuse_init_out>();
        Assert.AreEqual(FUSE_ASYNC_READ, reply.flags);
        Assert.AreEqual(FuseLimits.MaxWrite, reply.max_write);
        Assert.AreEqual(DispatcherHarness.KernelMinor, reply.minor);
    }

    [TestMethod, TestCategory("unit")]
    public void Init_OfFileSystemThatTakesAway_LosesIt()
    {
        _files.OnInit = reply => reply with { flags = reply.flags & ~FUSE_POSIX_ACL };
        using var harness = new DispatcherHarness(_files, init: false);
        Assert.AreEqual(0u, harness.Send(DispatcherHarness.Init(ulong.MaxValue)).As<fuse_init_out>().flags & FUSE_POSIX_ACL);
        Assert.AreEqual(FuseFeatures.Default & ~(ulong)FUSE_POSIX_ACL, harness.Dispatcher.Negotiation!.Flags);
    }

    [TestMethod, TestCategory("unit")]
    public void Init_OfLargePages_CountsInThem()
    {
        using var harness = new DispatcherHarness(_files, new FuseDispatcherOptions { PeerPageSize = 65536 }, init: false);
        Assert.AreEqual((ushort)16, harness.Send(DispatcherHarness.Init(ulong.MaxValue)).As<fuse_init_out>().max_pages);
    }

    [TestMethod, TestCategory("unit")]
    public void Dispatch_BeforeInit_IsEio()
    {
        using var harness = new DispatcherHarness(_files, init: false);
        foreach (DecodingCase item in DecodingCases.All.Values)
        {
            Assert.AreEqual(-errno.EIO, harness.Send(item.Request).Error);
        }

        foreach ((byte[] request, _) in DecodingCases.Unanswered.Values)
        {
            Assert.AreEqual(0, harness.Send(request).Result);
        }

        Assert.IsEmpty(_files.Calls);
    }

    [TestMethod, TestCategory("unit")]
    public void Destroy_AfterInit_EndsTheConnectionOnce()
    {
        using var harness = new DispatcherHarness(_files);
        Assert.AreEqual(0, harness.Send(new RequestBuilder(fuse_opcode.FUSE_DESTROY)).Error);
        harness.Dispatcher.End();
        Assert.AreEqual("Destroy", _files.Single);
        Assert.AreEqual(-errno.EIO, harness.Send(new RequestBuilder(fuse_opcode.FUSE_STATFS)).Error);
    }

    [TestMethod, TestCategory("unit")]
    public void Resume_OfNegotiated_NeedsNoInit()
    {
        using var harness = new DispatcherHarness(_files, new FuseDispatcherOptions { Resume = new FuseNegotiation(38, 0, 4096) }, init: false);
        Assert.AreEqual(0, harness.Send(new RequestBuilder(fuse_opcode.FUSE_STATFS)).Error);
        Assert.AreEqual(-errno.EINVAL, harness.Send(new RequestBuilder(fuse_opcode.FUSE_WRITE).Struct(new fuse_write_in { size = 8192 }).Bytes(new byte[8192])).Error);
    }

    [TestMethod, TestCategory("unit")]
    public void SetXAttr_WithoutTheExtension_HasTheOldStruct()
    {
        using var harness = new DispatcherHarness(_files, new FuseDispatcherOptions { Resume = new FuseNegotiation(38, 0, 4096) }, init: false);
        Assert.AreEqual(0, harness.Send(new RequestBuilder(fuse_opcode.FUSE_SETXATTR, 9).Struct((2u, 1u)).Name("user.a").Bytes("ab"u8.ToArray())).Error);
        Assert.AreEqual("SetXAttr 9 user.a ab 1 0 by 1000:2000:3000", _files.Single);
    }

    [TestMethod, TestCategory("unit")]
    public void Options_OutOfRange_AreRefused()
    {
        foreach (FuseDispatcherOptions options in (FuseDispatcherOptions[])[new() { MaxWrite = 0 }, new() { MaxWrite = 5000 }, new() { MaxWrite = FuseLimits.MaxWrite + 4096 },
            new() { Features = FUSE_EXPORT_SUPPORT }, new() { PeerPageSize = 8192 }, new() { PeerArchitecture = System.Runtime.InteropServices.Architecture.X86 }])
        {
            Assert.ThrowsExactly<ArgumentException>(() => new FuseDispatcher(_files, options));
        }
    }
}
