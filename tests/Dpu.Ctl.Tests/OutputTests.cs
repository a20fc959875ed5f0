using Dpu.Ctl.Output;
using FsCheck;
using FsCheck.Fluent;
using Google.Protobuf.WellKnownTypes;

namespace Dpu.Ctl.Tests;

[TestClass]
public sealed class OutputTests
{
    [TestMethod]
    [TestCategory("unit")]
    [DataRow(0.0, "0s")]
    [DataRow(0.0005, "500us")]
    [DataRow(0.0015, "1.5ms")]
    [DataRow(12.34, "12.3s")]
    [DataRow(200.0, "3m 20s")]
    [DataRow(7384.0, "2h 3m")]
    [DataRow(277200.0, "3d 5h")]
    [DataRow(-60.0, "-1m 0s")]
    public void Duration_ForPeople_HasTwoUnits(double seconds, string expected) =>
        Assert.AreEqual(expected, Human.Duration(TimeSpan.FromSeconds(seconds)));

    [TestMethod]
    [TestCategory("unit")]
    public void Bytes_ForPeople_HaveBinaryUnits()
    {
        Assert.AreEqual("1023 B", Human.Bytes(1023));
        Assert.AreEqual("1.5 KiB", Human.Bytes(1536));
        Assert.AreEqual("16 EiB", Human.Bytes(ulong.MaxValue));
    }

    [TestMethod]
    [TestCategory("unit")]
    public void Text_OfThePeer_NeverHoldsControlCharacters() =>
        Prop.ForAll((string text) => !Human.Clean(text).Any(char.IsControl)).QuickCheckThrowOnFailure();

    [TestMethod]
    [TestCategory("unit")]
    public void Values_OfAHostilePeer_NeverThrow() =>
        Prop.ForAll((long seconds, int nanos) =>
        {
            _ = Human.Duration(new Duration { Seconds = seconds, Nanos = nanos });
            _ = Human.Time(new Timestamp { Seconds = seconds, Nanos = nanos });
            _ = Human.Age(new Timestamp { Seconds = Math.Abs(seconds % 1_000_000_000_000) }, TimeProvider.System.GetUtcNow());
            return true;
        }).QuickCheckThrowOnFailure();

    [TestMethod]
    [TestCategory("unit")]
    public void Table_Columns_AlignWhateverTheColour()
    {
        var table = new Table("A", "LONG", "C");
        table.Add("longer cell", new Cell("x", CellStyle.Bad), "1");
        table.Add("s", null, "2");
        using var plain = new StringWriter();
        table.WriteTo(plain, withColor: false);
        Assert.AreEqual("A            LONG  C\nlonger cell  x     1\ns            -     2\n", plain.ToString());
        using var colored = new StringWriter();
        table.WriteTo(colored, withColor: true);
        Assert.Contains("\u001b[31mx\u001b[0m     1", colored.ToString());
    }
}
