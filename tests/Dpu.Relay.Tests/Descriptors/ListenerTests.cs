using Dpu.Linux;
using Dpu.Relay.Descriptors;
using Microsoft.Win32.SafeHandles;

namespace Dpu.Relay.Tests.Descriptors;

[TestClass]
public sealed class ListenerTests
{
    [TestMethod]
    [TestCategory("unit")]
    public void Notice_IsReadAsItWasWritten()
    {
        byte[] token = PassedTokens.Create();
        byte[] content = new ListenerNotice(token, 1000, uint.MaxValue).Write();
        Assert.HasCount(ListenerNotice.Size, content);
        ListenerNotice read = ListenerNotice.Read(content);
        CollectionAssert.AreEqual(token, read.Token.ToArray());
        Assert.AreEqual((1000u, uint.MaxValue), (read.Uid, read.Gid));
    }

    [TestMethod]
    [TestCategory("root")]
    public void Copy_TakesOneAhead_AndIsClosedWithItsProgram()
    {
        ListenerControl control = ListenerControl.TryMake(out SafeFileHandle? relayed)!;
        using (relayed)
        using (ListenerCopy copy = ListenerCopy.TryMake(DescriptorFlags.Messages | DescriptorFlags.NonBlock, control, out SafeFileHandle? program, out string reason)!)
        {
            Assert.IsNotNull(copy, reason);
            Assert.IsFalse(copy.IsClosed);
            Assert.AreEqual(0, copy.Connect(4321, 4321, TimeSpan.Zero, out SafeFileHandle? first));
            Assert.AreEqual(-errno.EAGAIN, copy.Connect(4321, 4321, TimeSpan.Zero, out _), "the one before waits still");
            Assert.IsFalse(copy.IsClosed);
            program!.Dispose();
            Assert.IsFalse(copy.Await());
            Assert.IsTrue(copy.IsClosed);
            Assert.AreEqual(-errno.ECONNREFUSED, copy.Connect(4321, 4321, TimeSpan.Zero, out _));
            first!.Dispose();
        }
    }

    [TestMethod]
    [TestCategory("unit")]
    public void Control_EndsWithItsOtherEnd()
    {
        using ListenerControl control = ListenerControl.TryMake(out SafeFileHandle? relayed)!;
        Assert.IsFalse(control.IsOver);
        Assert.IsTrue(control.TryWrite([1]));
        relayed!.Dispose();
        Assert.IsTrue(control.IsOver);
        Assert.AreEqual(-errno.EPIPE, control.Accept(new SafeFileHandle(-1, ownsHandle: false), out _));
        Assert.IsFalse(control.TryRead(new byte[1]));
        Assert.IsFalse(control.TryWrite([1]));
    }
}
