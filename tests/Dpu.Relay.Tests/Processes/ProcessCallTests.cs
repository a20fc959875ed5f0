using Dpu.Relay.Processes;
using FsCheck;
using FsCheck.Fluent;

namespace Dpu.Relay.Tests.Processes;

[TestClass]
public sealed class ProcessCallTests
{
    [TestMethod]
    [TestCategory("unit")]
    public void Call_AndAnswer_CrossAsTheyAre()
    {
        var call = new ProcessCall(ulong.MaxValue, ProcessCallKind.Prlimit, -7, long.MinValue, [1, 2, 3]);
        ProcessCall? read = ProcessCall.Read(call.ToBytes());
        Assert.AreEqual((call.Id, call.Kind, call.First, call.Second, "010203"), (read!.Id, read.Kind, read.First, read.Second, Convert.ToHexString(read.Content)));
        var answer = new ProcessCallAnswer(3, -22, [9]);
        ProcessCallAnswer? answered = ProcessCallAnswer.Read(answer.ToBytes());
        Assert.AreEqual((3ul, -22L, "09"), (answered!.Id, answered.Result, Convert.ToHexString(answered.Content)));
    }

    [TestMethod]
    [TestCategory("unit")]
    public void Answer_WithAResultThatIsNone_IsNone()
    {
        Assert.IsNull(ProcessCallAnswer.Read(new ProcessCallAnswer(1, -4096, []).ToBytes()));
        Assert.IsNull(ProcessCallAnswer.Read(new ProcessCallAnswer(1, 1L << 40, []).ToBytes()));
        Assert.IsNull(ProcessCallAnswer.Read(new ProcessCallAnswer(1, 0, new byte[ProcessCall.MaxContent + 1]).ToBytes()));
    }

    [TestMethod]
    [TestCategory("unit")]
    public void AnyBytes_AreReadWithinTheirLength_OrRefused() => Prop.ForAll(
        ArbMap.Default.ArbFor<byte[]>(),
        bytes => (ProcessCall.Read(bytes) is null) == (bytes.Length < ProcessCall.HeaderSize)
            && (ProcessCallAnswer.Read(bytes) is not { } answer || (answer.Result is >= -4095 and <= int.MaxValue && answer.Content.Length == bytes.Length - ProcessCallAnswer.HeaderSize)))
        .QuickCheckThrowOnFailure();
}
