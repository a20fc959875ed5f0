using Dpu.Fuse.Tests.Support;
using Dpu.Fuse.Wire;
using Dpu.Linux;
using static Dpu.Fuse.Wire.fuse_opcode;

namespace Dpu.Fuse.Tests.Dispatcher;

/// <summary>What a hostile sender can put into a message, and what a file system must not get out.</summary>
[TestClass]
public sealed unsafe class MalformedTests
{
    private readonly RecordingFileSystem _files = new();

    public static IEnumerable<object[]> Names =>
    [
        ["", errno.EINVAL], [".", errno.EINVAL], ["..", errno.EINVAL], ["a/b", errno.EINVAL], ["/", errno.EINVAL], ["../x", errno.EINVAL],
        [new string('n', 256), errno.ENAMETOOLONG], [new string('n', 4096), errno.ENAMETOOLONG],
    ];

    [TestMethod, TestCategory("unit")]
    [DynamicData(nameof(Names))]
    public void Dispatch_OfBadName_IsRefusedByEveryOpcode(string name, int error)
    {
        using var harness = new DispatcherHarness(_files);
        RequestBuilder[] requests =
        [
            new RequestBuilder(FUSE_LOOKUP).Name(name),
            new RequestBuilder(FUSE_UNLINK).Name(name),
            new RequestBuilder(FUSE_RMDIR).Name(name),
            new RequestBuilder(FUSE_SYMLINK).Name(name).Name("target"),
            new RequestBuilder(FUSE_MKNOD).Struct(default(fuse_mknod_in)).Name(name),
            new RequestBuilder(FUSE_MKDIR).Struct(default(fuse_mkdir_in)).Name(name),
            new RequestBuilder(FUSE_LINK).Struct(default(fuse_link_in)).Name(name),
            new RequestBuilder(FUSE_CREATE).Struct(default(fuse_create_in)).Name(name),
            new RequestBuilder(FUSE_RENAME).Struct(default(fuse_rename_in)).Name(name).Name("good"),
            new RequestBuilder(FUSE_RENAME).Struct(default(fuse_rename_in)).Name("good").Name(name),
            new RequestBuilder(FUSE_RENAME2).Struct(default(fuse_rename2_in)).Name("good").Name(name),
        ];
        foreach (RequestBuilder request in requests)
        {
            Assert.AreEqual(-error, harness.Send(request).Error);
        }

        Assert.IsEmpty(_files.Calls);
    }

    [TestMethod, TestCategory("unit")]
    public void Dispatch_OfNameWithoutNul_IsInvalid()
    {
        using var harness = new DispatcherHarness(_files);
        Assert.AreEqual(-errno.EINVAL, harness.Send(new RequestBuilder(FUSE_LOOKUP).Bytes("name"u8.ToArray())).Error);
        Assert.AreEqual(-errno.EINVAL, harness.Send(new RequestBuilder(FUSE_LOOKUP)).Error);
        Assert.IsEmpty(_files.Calls);
    }

    [TestMethod, TestCategory("unit")]
    public void Dispatch_OfNameEndingInTheExtensions_IsInvalid()
    {
        // Without the split the name would be read on into the extension, up to its first zero.
        using var harness = new DispatcherHarness(_files);
        Assert.AreEqual(-errno.EINVAL, harness.Send(new RequestBuilder(FUSE_LOOKUP).Bytes("name"u8.ToArray()).Groups(1)).Error);
    }

    [TestMethod, TestCategory("unit")]
    public void SymLink_OfBadTarget_IsRefused()
    {
        using var harness = new DispatcherHarness(_files);
        Assert.AreEqual(-errno.EINVAL, harness.Send(new RequestBuilder(FUSE_SYMLINK).Name("a").Name("")).Error);
        Assert.AreEqual(-errno.ENAMETOOLONG, harness.Send(new RequestBuilder(FUSE_SYMLINK).Name("a").Name(new string('t', 4096))).Error);
        Assert.AreEqual(0, harness.Send(new RequestBuilder(FUSE_SYMLINK).Name("a").Name(new string('t', 4095))).Error);
    }

    [TestMethod, TestCategory("unit")]
    public void Write_OfMoreThanItCarriesOrMayCarry_IsInvalid()
    {
        using var harness = new DispatcherHarness(_files, new FuseDispatcherOptions { MaxWrite = 4096 });
        Assert.AreEqual(-errno.EINVAL, harness.Send(new RequestBuilder(FUSE_WRITE).Struct(new fuse_write_in { size = 5 }).Bytes(1, 2, 3, 4)).Error);
        Assert.AreEqual(-errno.EINVAL, harness.Send(new RequestBuilder(FUSE_WRITE).Struct(new fuse_write_in { size = uint.MaxValue }).Bytes(1)).Error);
        Assert.AreEqual(-errno.EINVAL, harness.Send(new RequestBuilder(FUSE_WRITE).Struct(new fuse_write_in { size = 4097 }).Bytes(new byte[4097])).Error);
        Assert.AreEqual(-errno.EINVAL, harness.Send(new RequestBuilder(FUSE_WRITE).Struct(new fuse_write_in { size = 1, offset = ulong.MaxValue }).Bytes(1)).Error);
        Assert.IsEmpty(_files.Calls);
    }

    [TestMethod, TestCategory("unit")]
    public void Read_OfMoreThanFits_IsInvalid()
    {
        using var harness = new DispatcherHarness(_files);
        Assert.AreEqual(-errno.EINVAL, harness.Send(new RequestBuilder(FUSE_READ).Struct(new fuse_read_in { size = 101 }), capacity: 116).Error);
        Assert.AreEqual(-errno.EINVAL, harness.Send(new RequestBuilder(FUSE_READ).Struct(new fuse_read_in { size = uint.MaxValue })).Error);
        Assert.AreEqual(-errno.EINVAL, harness.Send(new RequestBuilder(FUSE_READDIRPLUS).Struct(new fuse_read_in { size = uint.MaxValue })).Error);
        Assert.IsEmpty(_files.Calls);
    }

    [TestMethod, TestCategory("unit")]
    public void SetXAttr_OfBadSizeOrFlags_IsRefused()
    {
        using var harness = new DispatcherHarness(_files);
        Assert.AreEqual(-errno.E2BIG, harness.Send(new RequestBuilder(FUSE_SETXATTR).Struct(new fuse_setxattr_in { size = 65537 }).Name("user.a").Bytes(new byte[65537])).Error);
        Assert.AreEqual(-errno.EINVAL, harness.Send(new RequestBuilder(FUSE_SETXATTR).Struct(new fuse_setxattr_in { size = 2 }).Name("user.a").Bytes(1)).Error);
        Assert.AreEqual(-errno.EINVAL, harness.Send(new RequestBuilder(FUSE_SETXATTR).Struct(new fuse_setxattr_in { flags = 4 }).Name("user.a")).Error);
        Assert.AreEqual(-errno.ERANGE, harness.Send(new RequestBuilder(FUSE_SETXATTR).Struct(new fuse_setxattr_in()).Name(new string('x', 256))).Error);
        Assert.IsEmpty(_files.Calls);
    }

    [TestMethod, TestCategory("unit")]
    public void Rename2_OfUnknownFlag_IsInvalid()
    {
        using var harness = new DispatcherHarness(_files);
        Assert.AreEqual(-errno.EINVAL, harness.Send(new RequestBuilder(FUSE_RENAME2).Struct(new fuse_rename2_in { flags = 8 }).Name("a").Name("b")).Error);
    }

    [TestMethod, TestCategory("unit")]
    public void Dispatch_OfUnbelievableHeader_IsAViolation()
    {
        using var harness = new DispatcherHarness(_files);
        byte[] message = new RequestBuilder(FUSE_STATFS).Build();
        Assert.AreEqual(FuseDispatcher.Violation, harness.Send(message[..39]).Result, "shorter than a header");
        Assert.AreEqual(FuseDispatcher.Violation, harness.Send([.. message, 0]).Result, "longer than it says");
        message[0]++;
        Assert.AreEqual(FuseDispatcher.Violation, harness.Send(message).Result, "shorter than it says");
        Assert.AreEqual(3, harness.Dispatcher.Counters.Violations);
        Assert.IsEmpty(_files.Calls);
    }

    [TestMethod, TestCategory("unit")]
    public void Dispatch_WithOverlappingBuffers_IsAViolation()
    {
        using var harness = new DispatcherHarness(_files);
        byte[] message = new RequestBuilder(FUSE_STATFS).Build();
        fixed (byte* memory = message)
        {
            Assert.AreEqual(FuseDispatcher.Violation, harness.Dispatcher.Dispatch(memory, message.Length, memory + message.Length - 1, 1));
            Assert.AreEqual(FuseDispatcher.Violation, harness.Dispatcher.Dispatch(memory, message.Length, memory, message.Length));
        }
    }

    [TestMethod, TestCategory("unit")]
    public void Dispatch_OfThrowingFileSystem_IsReportedAndEio()
    {
        using var harness = new DispatcherHarness(_files);
        _files.Throws = new InvalidOperationException("a bug");
        Assert.AreEqual(-errno.EIO, harness.Send(new RequestBuilder(FUSE_LOOKUP).Name("a")).Error);
        Assert.AreSame(_files.Throws, harness.Bugs.Single());
        Assert.AreEqual(1, harness.Dispatcher.Counters.Bugs);
        _files.Throws = null;
        Assert.AreEqual(0, harness.Send(new RequestBuilder(FUSE_LOOKUP).Name("a")).Error, "the next request is served");
    }

    [TestMethod, TestCategory("unit")]
    public void Dispatch_OfThrowingFileSystemAndCallback_IsEio()
    {
        using var harness = new DispatcherHarness(_files, new FuseDispatcherOptions { OnBug = (_, _, _) => throw new InvalidOperationException("another") });
        _files.Throws = new InvalidOperationException("a bug");
        Assert.AreEqual(-errno.EIO, harness.Send(new RequestBuilder(FUSE_LOOKUP).Name("a")).Error);
    }

    [TestMethod, TestCategory("unit")]
    [DataRow(FUSE_LOOKUP, -512)]
    [DataRow(FUSE_LOOKUP, int.MinValue)]
    [DataRow(FUSE_READ, 101)]
    [DataRow(FUSE_READ, int.MaxValue)]
    public void Dispatch_OfImpossibleResult_IsEioAndABug(fuse_opcode opcode, int result)
    {
        using var harness = new DispatcherHarness(_files);
        _files.Result = result;
        RequestBuilder request = opcode == FUSE_READ ? new RequestBuilder(opcode).Struct(new fuse_read_in { size = 100 }) : new RequestBuilder(opcode).Name("a");
        Assert.AreEqual(-errno.EIO, harness.Send(request).Error);
        Assert.AreEqual(1, harness.Dispatcher.Counters.Bugs);
    }
}
