using Dpu.Fuse.Wire;
using Dpu.Qtfs.Mount.Ring;

namespace Dpu.Qtfs.Tests.Mount;

/// <summary>Sizes of answers, as the kernel's FUSE client takes them.</summary>
[TestClass]
public sealed unsafe class ReplySizeTests
{
    [TestMethod, TestCategory("unit")]
    [DataRow(fuse_opcode.FUSE_LOOKUP, 128)]
    [DataRow(fuse_opcode.FUSE_CREATE, 144)]
    [DataRow(fuse_opcode.FUSE_GETATTR, 104)]
    [DataRow(fuse_opcode.FUSE_OPEN, 16)]
    [DataRow(fuse_opcode.FUSE_WRITE, 8)]
    [DataRow(fuse_opcode.FUSE_STATFS, 80)]
    [DataRow(fuse_opcode.FUSE_UNLINK, 0)]
    [DataRow(fuse_opcode.FUSE_RENAME2, 0)]
    public void Fits_OfAFixedSize_ThatOnly(fuse_opcode opcode, int size)
    {
        Assert.IsTrue(Fits(opcode, 0, size));
        Assert.IsFalse(Fits(opcode, 0, size + 1));
        Assert.IsFalse(Fits(opcode, 0, size - 1));
    }

    [TestMethod, TestCategory("unit")]
    public void Fits_OfData_UpToWhatWasAskedFor()
    {
        Assert.IsTrue(Fits(fuse_opcode.FUSE_READ, 4096, 0));
        Assert.IsTrue(Fits(fuse_opcode.FUSE_READ, 4096, 4096));
        Assert.IsFalse(Fits(fuse_opcode.FUSE_READ, 4096, 4097));
        Assert.IsFalse(Fits(fuse_opcode.FUSE_READDIRPLUS, 4096, 4097));
    }

    // Of fuse_read_in, whose field 'size' lies 16 bytes in.
    private static bool Fits(fuse_opcode opcode, uint asked, int body)
    {
        byte* message = stackalloc byte[sizeof(fuse_in_header) + sizeof(fuse_read_in)];
        *(fuse_in_header*)message = new fuse_in_header { opcode = (uint)opcode };
        *(fuse_read_in*)(message + sizeof(fuse_in_header)) = new fuse_read_in { size = asked };
        return ReplySize.Fits(message, sizeof(fuse_in_header) + sizeof(fuse_read_in), body);
    }
}
