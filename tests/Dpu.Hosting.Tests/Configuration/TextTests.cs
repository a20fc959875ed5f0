using Dpu.Hosting.Configuration;
using FsCheck;
using FsCheck.Fluent;

namespace Dpu.Hosting.Tests.Configuration;

[TestClass]
public sealed class TextTests
{
    [TestMethod]
    [TestCategory("unit")]
    [DataRow("0s", 0.0)]
    [DataRow("500ms", 0.5)]
    [DataRow("1.5s", 1.5)]
    [DataRow("5m", 300.0)]
    [DataRow("2h", 7200.0)]
    [DataRow("10000d", 864000000.0)]
    public void Duration_Good_IsRead(string text, double seconds)
    {
        Assert.IsTrue(DurationText.TryParse(text, out TimeSpan value));
        Assert.AreEqual(seconds, value.TotalSeconds);
    }

    [TestMethod]
    [TestCategory("unit")]
    [DataRow("")]
    [DataRow(null)]
    [DataRow("60")]
    [DataRow("s")]
    [DataRow("-1s")]
    [DataRow("1 s")]
    [DataRow("1.2.3s")]
    [DataRow("1e3s")]
    [DataRow("10001d")]
    [DataRow("99999999999999999999999999999999d")]
    public void Duration_Bad_IsRefused(string? text) => Assert.IsFalse(DurationText.TryParse(text, out _));

    [TestMethod]
    [TestCategory("unit")]
    public void Duration_Formatted_IsReadBack() =>
        Prop.ForAll((uint microseconds, bool large) =>
        {
            TimeSpan span = TimeSpan.FromMicroseconds(microseconds) * (large ? 1000 : 1);
            return DurationText.TryParse(DurationText.Format(span), out TimeSpan back) && back == span;
        }).QuickCheckThrowOnFailure();

    [TestMethod]
    [TestCategory("unit")]
    [DataRow("exprots", "exports")]
    [DataRow("Listen", "listen")]
    [DataRow("peer", "peers")]
    [DataRow("zzzz", null)]
    [DataRow("x", null)]
    public void Suggestion_Word_FindsTheClosestOrNone(string word, string? expected) =>
        Assert.AreEqual(expected, Suggestion.For(word, ["listen", "peers", "exports", "limits"]));
}
