using Dpu.Fuse.Wire;
using Dpu.Qtfs.Mount;

namespace Dpu.Qtfs.Tests.Mount;

[TestClass]
public sealed unsafe class LookupCheckTests
{
    [TestMethod]
    [TestCategory("unit")]
    [DataRow("name\0", 1ul, 0, true)]
    [DataRow("...\0", 1ul, 0, true)]
    [DataRow(".\0", 1ul, 0, false, DisplayName = "an exporting kernel asks for '.'")]
    [DataRow("..\0", 1ul, 0, false, DisplayName = "and for '..'")]
    [DataRow("name\0", 2ul, 0, false)]
    [DataRow("name\0", 0ul, 0, false)]
    [DataRow("name\0", 1ul, -2, false, DisplayName = "an error carries no entry")]
    public void IsForgedRoot_Lookup_OnlyForAName(string name, ulong node, int error, bool expected) =>
        Assert.AreEqual(expected, Check(fuse_opcode.FUSE_LOOKUP, name, node, error, sizeof(fuse_entry_out)));

    [TestMethod]
    [TestCategory("unit")]
    public void IsForgedRoot_OtherRequestOrShortAnswer_IsTheKernelsToJudge()
    {
        Assert.IsFalse(Check(fuse_opcode.FUSE_MKDIR, "name\0", 1, 0, sizeof(fuse_entry_out)));
        Assert.IsFalse(Check(fuse_opcode.FUSE_LOOKUP, "name\0", 1, 0, sizeof(ulong) - 1));
    }

    private static bool Check(fuse_opcode opcode, string name, ulong node, int error, int bodyLength)
    {
        byte[] request = new byte[sizeof(fuse_in_header) + name.Length];
        byte[] reply = new byte[sizeof(fuse_out_header) + sizeof(fuse_entry_out)];
        System.Text.Encoding.ASCII.GetBytes(name, request.AsSpan(sizeof(fuse_in_header)));

        // SAFETY: both arrays are as long as the structs that are written into them.
        fixed (byte* asked = request, answer = reply)
        {
            ((fuse_in_header*)asked)->opcode = (uint)opcode;
            ((fuse_out_header*)answer)->error = error;
            ((fuse_entry_out*)(answer + sizeof(fuse_out_header)))->nodeid = node;
            return LookupCheck.IsForgedRoot(asked, request.Length, answer, sizeof(fuse_out_header) + bodyLength);
        }
    }
}
