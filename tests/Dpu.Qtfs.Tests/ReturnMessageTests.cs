using System.Runtime.InteropServices;
using FsCheck;
using FsCheck.Fluent;

namespace Dpu.Qtfs.Tests;

[TestClass]
public sealed class ReturnMessageTests
{
    [TestMethod]
    [TestCategory("unit")]
    public void TryReadNode_AnyBytes_StaysWithinThem() =>
        Prop.ForAll(ArbMap.Default.ArbFor<byte[]>(), Gen.Choose(0, 300).ToArbitrary(), Gen.Choose(0, 300).ToArbitrary(), (noise, nameLength, more) =>
        {
            byte[] bytes = [.. Node((uint)nameLength), .. new byte[more], .. noise];
            ReadOnlySpan<byte> rest = bytes;
            int read = 0;
            while (ReturnMessage.TryReadNode(ref rest, out ReturnedNode node, out ReadOnlySpan<byte> name))
            {
                read += ReturnMessage.SizeOf(name.Length);
                if (name.Length != node.NameLength || name.Length is 0 or > 255 || read + rest.Length != bytes.Length)
                {
                    return false;
                }
            }

            return read + rest.Length == bytes.Length && (read > 0) == (nameLength is > 0 and <= 255 && ReturnMessage.SizeOf(nameLength) <= bytes.Length);
        }).QuickCheckThrowOnFailure();

    private static byte[] Node(uint nameLength)
    {
        var node = new ReturnedNode { Id = 1, NameLength = nameLength };
        return MemoryMarshal.AsBytes(new ReadOnlySpan<ReturnedNode>(in node)).ToArray();
    }
}
