using System.Text;
using Dpu.Rpc.Wire;
using FsCheck;
using FsCheck.Fluent;

namespace Dpu.Rpc.Tests.Wire;

[TestClass]
public sealed class PercentEncodingTests
{
    [TestMethod]
    [TestCategory("unit")]
    [DataRow("plain text", "plain text")]
    [DataRow("100%", "100%25")]
    [DataRow("a\nb", "a%0Ab")]
    [DataRow("\u263A", "%E2%98%BA")]
    [DataRow("\U0001F608", "%F0%9F%98%88")]
    [DataRow("\u007f", "%7F")]
    public void Encode_Text_IsAsSpecified(string text, string expected)
    {
        Assert.AreEqual(expected, PercentEncoding.Encode(text));
        Assert.AreEqual(text, PercentEncoding.Decode(expected));
    }

    [TestMethod]
    [TestCategory("unit")]
    [DataRow("%", "%")]
    [DataRow("%4", "%4")]
    [DataRow("%zz", "%zz")]
    [DataRow("100%", "100%")]
    [DataRow("%41%4", "A%4")]
    [DataRow("%e2%98%ba", "\u263A")]
    [DataRow("%ff", "\uFFFD")]
    [DataRow("\u00e2\u0098\u00ba", "\u263A")]
    public void Decode_Malformed_NeverFails(string header, string expected) => Assert.AreEqual(expected, PercentEncoding.Decode(header));

    [TestMethod]
    [TestCategory("unit")]
    public void Decode_AnyText_DoesNotThrow() => Prop.ForAll<string>(text => PercentEncoding.Decode(text ?? "") is not null).QuickCheckThrowOnFailure();

    [TestMethod]
    [TestCategory("unit")]
    public void Encode_AnyText_IsPrintableAndComesBack() =>
        Prop.ForAll<string>(text =>
        {
            // A lone surrogate is no text: UTF-8 makes it U+FFFD before anything is encoded.
            string sound = Encoding.UTF8.GetString(Encoding.UTF8.GetBytes(text ?? ""));
            string encoded = PercentEncoding.Encode(text ?? "");
            return !encoded.AsSpan().ContainsAnyExceptInRange(' ', '~') && PercentEncoding.Decode(encoded) == sound;
        }).QuickCheckThrowOnFailure();
}
