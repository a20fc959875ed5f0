using Dpu.Relay.Processes;
using Dpu.Relay.Terminals;

namespace Dpu.Relay.Tests.Processes;

/// <summary>How a process stands to its terminal, as the link has it.</summary>
[TestClass]
public sealed class ProcessJobTests
{
    [TestMethod]
    [TestCategory("unit")]
    [DataRow(0u)]
    [DataRow(1u)]
    public void Job_IsReadAsItWasWritten(uint kind)
    {
        var job = new ProcessJob(kind, new TerminalSize(25, 80, 640, 480));
        byte[] bytes = job.ToBytes();
        Assert.HasCount(ProcessJob.Size, bytes);
        CollectionAssert.AreEqual((byte[])[(byte)kind, 0, 0, 0, 25, 0, 80, 0, 128, 2, 224, 1], bytes);
        Assert.IsTrue(ProcessJob.TryRead(bytes, out ProcessJob read));
        Assert.AreEqual(job, read);
        Assert.AreEqual(kind == 1, read.IsForeground);
    }

    [TestMethod]
    [TestCategory("unit")]
    [DataRow(2u)]
    [DataRow(256u)]
    [DataRow(uint.MaxValue)]
    public void Job_ThatAPeerMayNotSay_IsRefused(uint kind) => Assert.IsFalse(ProcessJob.TryRead(new ProcessJob(kind, default).ToBytes(), out _), "a signal to a group is the agent's own");
}
