using Dpu.Hosting.Machine;
using FsCheck;
using FsCheck.Fluent;

namespace Dpu.Hosting.Tests.Machine;

[TestClass]
public sealed class NumberListTests
{
    [TestMethod]
    [TestCategory("unit")]
    [DataRow("0", "0")]
    [DataRow("0-3,8", "0 1 2 3 8")]
    [DataRow("8,0-1,1-2", "0 1 2 8")]
    [DataRow("4095", "4095")]
    public void List_Good_IsRead(string text, string numbers) => Assert.AreEqual(numbers, string.Join(' ', NumberList.TryParse(text, NumberList.MaxProcessors)!));

    [TestMethod]
    [TestCategory("unit")]
    [DataRow("")]
    [DataRow(" 0")]
    [DataRow("0,")]
    [DataRow("-1")]
    [DataRow("3-1")]
    [DataRow("0-1-2")]
    [DataRow("a")]
    [DataRow("4096")]
    [DataRow("0-99999999999999999999")]
    public void List_Bad_IsNone(string text) => Assert.IsNull(NumberList.TryParse(text, NumberList.MaxProcessors));

    [TestMethod]
    [TestCategory("unit")]
    public void AnyNumbers_AreReadAsTheyAreWritten_AndEachHasItsBit() => Prop.ForAll<ushort[]>(some =>
    {
        int[] numbers = [.. some.Select(number => number % NumberList.MaxProcessors).Distinct().Order()];
        byte[] mask = NumberList.ToMask(numbers);
        CollectionAssert.AreEqual(numbers, Enumerable.Range(0, 8 * mask.Length).Where(i => (mask[i / 8] >> (i % 8) & 1) != 0).ToArray());
        Assert.AreEqual(0, mask.Length % 8);
        string text = NumberList.Format(numbers);
        if (numbers.Length > 0)
        {
            CollectionAssert.AreEqual(numbers, NumberList.TryParse(text, NumberList.MaxProcessors)!.ToArray(), text);
        }
        else
        {
            Assert.AreEqual("none", text);
        }
    }).QuickCheckThrowOnFailure();

    [TestMethod]
    [TestCategory("unit")]
    public void AnyText_IsAListOfWhatThereMayBe_OrNone() => Prop.ForAll<string, byte>((text, end) =>
    {
        // Letters of lists more often than others.
        text = string.Concat((text ?? "").Select(letter => "0123456789-,"[letter % 12]));
        if (NumberList.TryParse(text, end) is { } read)
        {
            Assert.IsNotEmpty(read);
            Assert.IsTrue(read.All(number => number >= 0 && number < end), text);
            CollectionAssert.AreEqual(read.Distinct().Order().ToArray(), read.ToArray());
        }
    }).QuickCheckThrowOnFailure();
}
