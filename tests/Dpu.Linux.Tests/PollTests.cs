using System.IO.Pipes;

namespace Dpu.Linux.Tests;

[TestClass]
public sealed class PollTests
{
    [TestMethod, TestCategory("unit")]
    public void WaitReadable_OfPipe_SeesDataAndEnd()
    {
        using var server = new AnonymousPipeServerStream(PipeDirection.Out);
        using var client = new AnonymousPipeClientStream(PipeDirection.In, server.ClientSafePipeHandle);
        Assert.IsFalse(poll.WaitReadable(client.SafePipeHandle, TimeSpan.Zero), "nothing is there");
        Assert.AreEqual(0, poll.Now(client.SafePipeHandle, poll.POLLIN));
        server.WriteByte(1);
        Assert.IsTrue(poll.WaitReadable(client.SafePipeHandle, TimeSpan.FromSeconds(5)));
        Assert.AreEqual(1, client.ReadByte());
        server.Dispose();
        Assert.IsTrue(poll.WaitReadable(client.SafePipeHandle, TimeSpan.FromSeconds(5)), "the end is readable");
    }
}
