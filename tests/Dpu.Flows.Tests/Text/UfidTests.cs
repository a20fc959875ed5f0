using System.Text;
using Dpu.Flows.Text;
using FsCheck;
using FsCheck.Fluent;

namespace Dpu.Flows.Tests.Text;

/// <summary>Names of data paths' flows.</summary>
[TestClass]
public sealed class UfidTests
{
    [TestMethod, TestCategory("unit")]
    public void Text_OfAnyUfid_IsReadAsTheSame() => Prop.ForAll(
        ArbMap.Default.ArbFor<(long High, long Low)>(),
        pair =>
        {
            UInt128 ufid = new((ulong)pair.High, (ulong)pair.Low);
            string text = Ufid.Format(ufid);
            return text.Length == 36 && Ufid.TryParse(text, out UInt128 read) && read == ufid
                && Ufid.TryParse(Encoding.ASCII.GetBytes(text.ToUpperInvariant()), out read) && read == ufid;
        }).Check(Config.QuickThrowOnFailure);

    [TestMethod, TestCategory("unit")]
    public void Text_OfAnyOtherForm_IsNone() => Prop.ForAll(
        ArbMap.Default.ArbFor<(string? Text, int At, char With)>(),
        given =>
        {
            char[] text = Ufid.Format(UInt128.MaxValue).ToCharArray();
            text[(int)((uint)given.At % 36)] = given.With;
            bool isHex = char.IsAsciiHexDigit(given.With) && (int)((uint)given.At % 36) is not (8 or 13 or 18 or 23);
            bool same = given.With == '-' && (int)((uint)given.At % 36) is 8 or 13 or 18 or 23;
            return Ufid.TryParse(text, out _) == (isHex || same) && (given.Text is null || given.Text.Length == 36 || !Ufid.TryParse(given.Text, out _));
        }).Check(Config.QuickThrowOnFailure);
}
