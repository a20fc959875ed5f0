using Dpu.Qtfs.Mount;

namespace Dpu.Qtfs.Tests.Mount;

[TestClass]
public sealed class CallerStateTests
{
    [TestMethod]
    [TestCategory("unit")]
    [DataRow("Name:\tx\nSigPnd:\t0000000000000100\nShdPnd:\t0000000000000000\n", true)]
    [DataRow("SigPnd:\t0000000000000000\nShdPnd:\t0000000000000100\n", true)]
    [DataRow("SigPnd:\t0000000000400000\nShdPnd:\t0000000000000200\nSigCgt:\t0000000000000100\n", false)]
    [DataRow("SigPnd:\tnonsense\n", false)]
    [DataRow("", false)]
    public void IsDying_Status_OnlyForSigKill(string status, bool expected) => Assert.AreEqual(expected, CallerState.IsDying(status));

    [TestMethod]
    [TestCategory("unit")]
    public void IsDying_LivingAndMissingThread_AreToldApart()
    {
        Assert.IsFalse(CallerState.IsDying((uint)Environment.ProcessId));
        Assert.IsTrue(CallerState.IsDying(uint.MaxValue));
        Assert.IsTrue(CallerState.IsDying(0u));
    }
}
