using Dpu.Rpc.Wire;
using FsCheck;
using FsCheck.Fluent;

namespace Dpu.Rpc.Tests.Wire;

[TestClass]
public sealed class GrpcTimeoutTests
{
    [TestMethod]
    [TestCategory("unit")]
    [DataRow("1n", 1L)]
    [DataRow("100n", 1L)]
    [DataRow("101n", 2L)]
    [DataRow("1u", 10L)]
    [DataRow("299m", 2_990_000L)]
    [DataRow("5S", 50_000_000L)]
    [DataRow("2M", 1_200_000_000L)]
    [DataRow("1H", 36_000_000_000L)]
    [DataRow("0S", 0L)]
    [DataRow("99999999H", 99_999_999L * 36_000_000_000L)]
    public void TryParse_Valid_GivesTicks(string header, long ticks)
    {
        Assert.IsTrue(GrpcTimeout.TryParse(header, out TimeSpan timeout));
        Assert.AreEqual(ticks, timeout.Ticks);
    }

    [TestMethod]
    [TestCategory("unit")]
    [DataRow("")]
    [DataRow("S")]
    [DataRow("5")]
    [DataRow("5s")]
    [DataRow("-1S")]
    [DataRow("+1S")]
    [DataRow(" 1S")]
    [DataRow("1 S")]
    [DataRow("1.5S")]
    [DataRow("123456789S")]
    [DataRow("\u0661S")]
    public void TryParse_Malformed_IsRefused(string header) => Assert.IsFalse(GrpcTimeout.TryParse(header, out _));

    [TestMethod]
    [TestCategory("unit")]
    public void TryParse_AnyText_DoesNotThrow() =>
        Prop.ForAll<string>(text => GrpcTimeout.TryParse(text ?? "", out TimeSpan timeout) || timeout == default).QuickCheckThrowOnFailure();

    [TestMethod]
    [TestCategory("unit")]
    public void Format_AnyTime_IsReadBackNotShorterAndCloseBy() =>
        Prop.ForAll(ArbMap.Default.ArbFor<long>().Filter(ticks => ticks > 0), ticks =>
        {
            // Small and large values alike.
            foreach (int shift in new[] { 0, 20, 40 })
            {
                var timeout = TimeSpan.FromTicks(Math.Max(1, ticks >> shift));
                string header = GrpcTimeout.Format(timeout);
                if (!GrpcTimeout.TryParse(header, out TimeSpan read))
                {
                    return false;
                }

                bool beyond = timeout > TimeSpan.FromHours(99_999_999);
                if (!beyond && (read < timeout || (read - timeout).Ticks > Math.Max(1, timeout.Ticks / 100_000)))
                {
                    return false;
                }
            }

            return true;
        }).QuickCheckThrowOnFailure();

    [TestMethod]
    [TestCategory("unit")]
    [DataRow(0L, "1n")]
    [DataRow(-5L, "1n")]
    [DataRow(1L, "100n")]
    [DataRow(10_000_000L, "1000000u")]
    [DataRow(long.MaxValue, "99999999H")]
    public void Format_Edges_AreValid(long ticks, string expected) => Assert.AreEqual(expected, GrpcTimeout.Format(TimeSpan.FromTicks(ticks)));
}
