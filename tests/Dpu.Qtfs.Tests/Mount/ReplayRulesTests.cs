using Dpu.Fuse.Wire;
using Dpu.Qtfs.Mount;

namespace Dpu.Qtfs.Tests.Mount;

[TestClass]
public sealed unsafe class ReplayRulesTests
{
    // Executing these twice leaves what executing them once leaves.
    private static readonly fuse_opcode[] s_repeatable =
    [
        fuse_opcode.FUSE_LOOKUP, fuse_opcode.FUSE_GETATTR, fuse_opcode.FUSE_STATX, fuse_opcode.FUSE_READLINK, fuse_opcode.FUSE_READ, fuse_opcode.FUSE_STATFS,
        fuse_opcode.FUSE_FSYNC, fuse_opcode.FUSE_FSYNCDIR, fuse_opcode.FUSE_SYNCFS, fuse_opcode.FUSE_GETXATTR, fuse_opcode.FUSE_LISTXATTR,
        fuse_opcode.FUSE_FLUSH, fuse_opcode.FUSE_INIT, fuse_opcode.FUSE_OPENDIR, fuse_opcode.FUSE_READDIR, fuse_opcode.FUSE_READDIRPLUS,
        fuse_opcode.FUSE_ACCESS, fuse_opcode.FUSE_GETLK, fuse_opcode.FUSE_POLL, fuse_opcode.FUSE_LSEEK, fuse_opcode.FUSE_INTERRUPT, fuse_opcode.FUSE_RELEASE,
        fuse_opcode.FUSE_RELEASEDIR, fuse_opcode.FUSE_SETLK, fuse_opcode.FUSE_SETLKW, fuse_opcode.FUSE_WRITE, fuse_opcode.FUSE_OPEN, fuse_opcode.FUSE_SETATTR,
    ];

    [TestMethod]
    [TestCategory("unit")]
    public void MayRepeat_EveryOpcode_OnlyTheListed()
    {
        byte* message = stackalloc byte[256];
        foreach (fuse_opcode opcode in Enum.GetValues<fuse_opcode>())
        {
            new Span<byte>(message, 256).Clear();
            ((fuse_in_header*)message)->opcode = (uint)opcode;
            Assert.AreEqual(s_repeatable.Contains(opcode), ReplayRules.MayRepeat(message, 256), opcode.ToString());
        }
    }

    [TestMethod]
    [TestCategory("unit")]
    public void MayRepeat_WriteThatAppends_IsNotRepeated()
    {
        byte* message = stackalloc byte[256];
        new Span<byte>(message, 256).Clear();
        ((fuse_in_header*)message)->opcode = (uint)fuse_opcode.FUSE_WRITE;
        ((fuse_write_in*)(message + sizeof(fuse_in_header)))->flags = 0x401;
        Assert.IsFalse(ReplayRules.MayRepeat(message, 256));
    }

    [TestMethod]
    [TestCategory("unit")]
    public void MayRepeat_OpenThatTruncates_AndTruncation_AreNotRepeated()
    {
        byte* message = stackalloc byte[256];
        new Span<byte>(message, 256).Clear();
        ((fuse_in_header*)message)->opcode = (uint)fuse_opcode.FUSE_OPEN;
        ((fuse_open_in*)(message + sizeof(fuse_in_header)))->flags = 0x201;
        Assert.IsFalse(ReplayRules.MayRepeat(message, 256));
        ((fuse_in_header*)message)->opcode = (uint)fuse_opcode.FUSE_SETATTR;
        ((fuse_setattr_in*)(message + sizeof(fuse_in_header)))->valid = FuseConstants.FATTR_SIZE | FuseConstants.FATTR_FH;
        Assert.IsFalse(ReplayRules.MayRepeat(message, 256));
    }

    [TestMethod]
    [TestCategory("unit")]
    public void MayRepeat_BodyCutOff_IsNotRepeated()
    {
        byte* message = stackalloc byte[64];
        new Span<byte>(message, 64).Clear();
        foreach (fuse_opcode opcode in new[] { fuse_opcode.FUSE_WRITE, fuse_opcode.FUSE_OPEN, fuse_opcode.FUSE_SETATTR })
        {
            ((fuse_in_header*)message)->opcode = (uint)opcode;
            Assert.IsFalse(ReplayRules.MayRepeat(message, sizeof(fuse_in_header)), opcode.ToString());
        }
    }
}
