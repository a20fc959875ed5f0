using Dpu.Linux;
using Dpu.Qtfs.Mount.Sockets;

namespace Dpu.Qtfs.Tests.Mount;

[TestClass]
public sealed class BindingSocketTests
{
    [TestMethod]
    [TestCategory("unit")]
    [DataRow("{0} 0x3 0x7ffd4c0 0x6e 0x0 0x0 0x0 0x7ffd490 0x7f1", 3)]
    [DataRow("{0} 0x1f4 0x7ffd4c0", 500)]
    [DataRow("{0} 0xffffffffffffffff 0x7ffd4c0", -1)]
    [DataRow("{0} 3 0x7ffd4c0", -1)]
    [DataRow("{0}", -1)]
    [DataRow("257 0x3 0x7ffd4c0 0x6e", -1)]
    [DataRow("-1 0x7ffd490 0x7f1", -1)]
    [DataRow("running", -1)]
    [DataRow("", -1)]
    public void ParseCall_OfAThread_FindsWhatBindBinds(string text, int expected) =>
        Assert.AreEqual(expected, BindingSocket.ParseCall(text.Replace("{0}", $"{SystemCallNumber.Bind}", StringComparison.Ordinal)));

    [TestMethod]
    [TestCategory("unit")]
    [DataRow("socket:[12345]", true, 12345u)]
    [DataRow("socket:[4294967296]", false, 0u)]
    [DataRow("socket:[-1]", false, 0u)]
    [DataRow("socket:[]", false, 0u)]
    [DataRow("pipe:[12345]", false, 0u)]
    [DataRow("/tmp/socket:[1]", false, 0u)]
    public void TryParseLink_OfADescriptor_KnowsSockets(string target, bool expected, uint number)
    {
        Assert.AreEqual(expected, BindingSocket.TryParseLink(target, out uint found));
        Assert.AreEqual(number, found);
    }
}
