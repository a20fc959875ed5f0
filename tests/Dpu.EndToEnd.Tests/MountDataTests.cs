using System.Text;
using Dpu.Runtime.Views.Calls;
using FsCheck;
using FsCheck.Fluent;

namespace Dpu.EndToEnd.Tests;

/// <summary>The data of mount(2), as a view's programs give it.</summary>
[TestClass]
public sealed class MountDataTests
{
    [TestMethod]
    [TestCategory("unit")]
    [DataRow("size=1m,mode=700", false, "size=1m|mode=700")]
    [DataRow(",ro,,x=a=b,", false, "ro|x=a=b")]
    [DataRow(@"lowerdir=a\,b:c,upperdir=", true, @"lowerdir=a\,b:c|upperdir=")]
    [DataRow(@"a\,b", false, @"a\|b")]
    [DataRow(@"a\", true, @"a\")]
    [DataRow("", true, "")]
    public void Split_AtCommas_ThatNoBackslashTakes(string data, bool escapes, string expected) =>
        Assert.AreEqual(expected, string.Join('|', MountData.Split(Encoding.UTF8.GetBytes(data), escapes).Select(word => word.Value is null ? word.Key : $"{word.Key}={Encoding.UTF8.GetString(word.Value)}")));

    [TestMethod]
    [TestCategory("unit")]
    [DataRow("a:b/c", "a b/c")]
    [DataRow("a::d:e", "a +d +e")]
    [DataRow(@"a\:b:c\\", @"a:b c\")]
    [DataRow("a:", null)]
    [DataRow(":a", null)]
    [DataRow("a:::b", null)]
    [DataRow("", null)]
    public void Layers_HaveColonsBetween_AndTwoBeforeData(string value, string? expected)
    {
        IReadOnlyList<(byte[] Path, bool DataOnly)>? layers = MountData.Layers(Encoding.UTF8.GetBytes(value));
        Assert.AreEqual(expected, layers is null ? null : string.Join(' ', layers.Select(layer => (layer.DataOnly ? "+" : "") + Encoding.UTF8.GetString(layer.Path))));
    }

    [TestMethod]
    [TestCategory("unit")]
    public void AnyBytes_AreWords_WithoutLossAndWithoutAnException() =>
        Prop.ForAll(ArbMap.Default.ArbFor<byte[]>(), bytes =>
        {
            // Without escapes nothing but empty words and commas is lost.
            byte[] ascii = [.. bytes.Select(one => (byte)(one & 0x7f))];
            string expected = string.Join(',', Encoding.ASCII.GetString(ascii).Split(',', StringSplitOptions.RemoveEmptyEntries));
            string said = string.Join(',', MountData.Split(ascii, escapes: false).Select(word => word.Value is null ? word.Key : $"{word.Key}={Encoding.ASCII.GetString(word.Value)}"));
            _ = MountData.Split(bytes, escapes: true);
            return said == expected && (MountData.Layers(bytes) is not { } layers || layers.All(layer => layer.Path.Length > 0)) && MountData.Path(bytes).Length <= bytes.Length;
        }).QuickCheckThrowOnFailure();
}
