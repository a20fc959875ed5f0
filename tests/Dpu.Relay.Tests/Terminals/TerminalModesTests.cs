using Dpu.Linux;
using Dpu.Relay.Terminals;
using FsCheck;
using FsCheck.Fluent;

namespace Dpu.Relay.Tests.Terminals;

[TestClass]
public sealed class TerminalModesTests
{
    private static readonly TerminalModes s_cooked = new TerminalModes().With(
        input: termbits.ICRNL | termbits.IXON, output: termbits.OPOST | termbits.ONLCR, local: termbits.ICANON | termbits.ECHO | termbits.ISIG | termbits.IEXTEN);

    [TestMethod]
    [TestCategory("unit")]
    public void Shown_IsTheSame_ButThatNothingIsDoneToBytes()
    {
        TerminalModes shown = s_cooked.Shown();
        Assert.AreEqual(termbits.ICRNL, shown.Input);
        Assert.AreEqual(termbits.ONLCR, shown.Output);
        Assert.AreEqual(s_cooked.Local | termbits.EXTPROC, shown.Local);
    }

    [TestMethod]
    [TestCategory("unit")]
    public void Changed_TakesWhatAProgramMeans()
    {
        TerminalModes shown = s_cooked.Shown();
        Assert.AreEqual(s_cooked, s_cooked.Changed(shown, shown), "nothing");
        Assert.AreEqual(s_cooked.With(local: s_cooked.Local & ~termbits.ECHO), s_cooked.Changed(shown, shown.With(local: shown.Local & ~termbits.ECHO)), "a password is asked for");
        Assert.AreEqual(s_cooked.With(output: termbits.OPOST), s_cooked.Changed(shown, shown.With(output: shown.Output & ~termbits.ONLCR)), "as console programs do");
        TerminalModes raw = shown.With(input: 0, output: shown.Output & ~termbits.OPOST, local: shown.Local & ~(termbits.ICANON | termbits.ECHO | termbits.ISIG | termbits.IEXTEN));
        Assert.AreEqual(s_cooked.With(input: 0, output: termbits.ONLCR, local: 0), s_cooked.Changed(shown, raw), "cfmakeraw(3)");
        TerminalModes afterRaw = s_cooked.Changed(shown, raw);
        Assert.AreEqual(s_cooked, afterRaw.Changed(afterRaw.Shown(), s_cooked), "put back as it was before it crossed");
    }

    [TestMethod]
    [TestCategory("unit")]
    public void Settings_AnyBytes_AreReadOrRefused_AndWrittenAsTheyWere() => Prop.ForAll<byte[]>(bytes =>
    {
        byte[] whole = [.. bytes.Concat(new byte[TerminalSettings.Size]).Take(TerminalSettings.Size)];

        // The line discipline is each terminal's own.
        whole[16] = 0;
        CollectionAssert.AreEqual(whole, TerminalSettings.Read(whole)!.Write());
        Assert.AreEqual(bytes.Length == TerminalSettings.Size, TerminalSettings.Read(bytes) is not null);
    }).QuickCheckThrowOnFailure();
}
