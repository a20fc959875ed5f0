using System.Runtime.InteropServices;
using Dpu.Fuse.Tests.Support;
using Dpu.Fuse.Wire;
using FsCheck;
using FsCheck.Fluent;
using static System.Runtime.InteropServices.Architecture;

namespace Dpu.Fuse.Tests.Dispatcher;

[TestClass]
public sealed class OpenFlagsTests
{
    [TestMethod, TestCategory("unit")]
    [DataRow(0x10000u, 0x4000u, "O_DIRECTORY")]
    [DataRow(0x20000u, 0x8000u, "O_NOFOLLOW")]
    [DataRow(0x4000u, 0x10000u, "O_DIRECT")]
    [DataRow(0x8000u, 0x20000u, "O_LARGEFILE")]
    [DataRow(0x410000u, 0x404000u, "O_TMPFILE")]
    [DataRow(0x2u, 0x2u, "O_RDWR")]
    [DataRow(0x40u, 0x40u, "O_CREAT")]
    [DataRow(0x200u, 0x200u, "O_TRUNC")]
    [DataRow(0x400u, 0x400u, "O_APPEND")]
    [DataRow(0x101000u, 0x101000u, "O_SYNC")]
    [DataRow(0x40000u, 0x40000u, "O_NOATIME")]
    [DataRow(0xC402u, 0x30402u, "O_RDWR|O_APPEND|O_DIRECT|O_LARGEFILE")]
    public void Translate_OfFlag_GivesTheOtherValue(uint x64, uint arm64, string name)
    {
        Assert.AreEqual(arm64, FuseOpenFlags.Translate(x64, X64, Arm64), name);
        Assert.AreEqual(x64, FuseOpenFlags.Translate(arm64, Arm64, X64), name);
        Assert.AreEqual(x64, FuseOpenFlags.Translate(x64, X64, X64), name);
        Assert.AreEqual(arm64, FuseOpenFlags.Translate(arm64, Arm64, Arm64), name);
    }

    [TestMethod, TestCategory("unit")]
    public void Translate_ThereAndBack_IsTheSame() =>
        Prop.ForAll(ArbMap.Default.ArbFor<uint>(), flags =>
            FuseOpenFlags.Translate(FuseOpenFlags.Translate(flags, X64, Arm64), Arm64, X64) == flags).QuickCheckThrowOnFailure();

    [TestMethod, TestCategory("unit")]
    public void Translate_OfOtherArchitecture_IsRefused() =>
        Assert.ThrowsExactly<ArgumentOutOfRangeException>(() => FuseOpenFlags.Translate(0, X86, X64));

    /// <summary>The peer's O_DIRECT must arrive as ours in every struct that carries flags.</summary>
    [TestMethod, TestCategory("unit")]
    public void Dispatch_OfOtherArchitecturesFlags_TranslatesEverywhere()
    {
        Architecture own = RuntimeInformation.ProcessArchitecture;
        Architecture peer = own == X64 ? Arm64 : X64;
        (uint sent, string seen) = own == X64 ? (0x10000u, "4000") : (0x4000u, "10000");
        var files = new RecordingFileSystem();
        using var harness = new DispatcherHarness(files, new FuseDispatcherOptions { PeerArchitecture = peer });
        harness.Send(new RequestBuilder(fuse_opcode.FUSE_OPEN).Struct(new fuse_open_in { flags = sent }));
        harness.Send(new RequestBuilder(fuse_opcode.FUSE_OPENDIR).Struct(new fuse_open_in { flags = sent }));
        harness.Send(new RequestBuilder(fuse_opcode.FUSE_CREATE).Struct(new fuse_create_in { flags = sent }).Name("f"));
        harness.Send(new RequestBuilder(fuse_opcode.FUSE_TMPFILE).Struct(new fuse_create_in { flags = sent }));
        harness.Send(new RequestBuilder(fuse_opcode.FUSE_READ).Struct(new fuse_read_in { flags = sent }));
        harness.Send(new RequestBuilder(fuse_opcode.FUSE_WRITE).Struct(new fuse_write_in { flags = sent }));
        harness.Send(new RequestBuilder(fuse_opcode.FUSE_RELEASE).Struct(new fuse_release_in { flags = sent }));
        Assert.HasCount(7, files.Calls);
        foreach (string call in files.Calls)
        {
            Assert.IsTrue(call.Split(' ').Contains(seen), call);
        }
    }
}
