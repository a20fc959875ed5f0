using System.Text;
using Dpu.Qtfs.Export;
using FsCheck;
using FsCheck.Fluent;

namespace Dpu.Qtfs.Tests.Export;

[TestClass]
public sealed class StrictPathsTests
{
    [TestMethod]
    [TestCategory("unit")]
    [DataRow("*.img", "disk.img", true)]
    [DataRow("*.img", "a/b/disk.img", true)]
    [DataRow("*.img", "a/disk.img/inside", true, DisplayName = "below a directory that is meant")]
    [DataRow("*.img", "disk.img2", false)]
    [DataRow("*.img", "disk/img", false)]
    [DataRow("images", "images", true)]
    [DataRow("images/", "a/images/x", true, DisplayName = "a slash behind says nothing")]
    [DataRow("images", "images2", false)]
    [DataRow("/images", "images/x", true)]
    [DataRow("/images", "a/images", false, DisplayName = "a slash before means the export's directory")]
    [DataRow("var/*/disk?", "var/vm1/disk0", true)]
    [DataRow("var/*/disk?", "var/a/b/disk0", false)]
    [DataRow("var/*/disk?", "x/var/vm1/disk0", false)]
    [DataRow("var/**/disk", "var/disk", true)]
    [DataRow("var/**/disk", "var/a/b/disk", true)]
    [DataRow("var/**", "var/a/b", true)]
    [DataRow("var/**", "var", false)]
    [DataRow("a.c", "abc", false, DisplayName = "a dot is a dot")]
    [DataRow("Größe*", "Größe1", true)]
    [DataRow("?", "\u00e4", false, DisplayName = "names are bytes, and this one has two")]
    public void Match_PatternAndPath_AsDocumented(string pattern, string path, bool expected) =>
        Assert.AreEqual(expected, new StrictPaths([pattern]).Match(Encoding.UTF8.GetBytes(path)));

    [TestMethod]
    [TestCategory("unit")]
    public void Match_NoPattern_OrTheExportItself_IsNothing()
    {
        Assert.IsFalse(StrictPaths.None.Match("a"u8));
        Assert.IsFalse(new StrictPaths(["*", "**"]).Match([]));
        Assert.IsTrue(new StrictPaths(["b", "a"]).Match("a"u8));
    }

    [TestMethod]
    [TestCategory("unit")]
    public void Equals_SamePatterns_IsTheSamePolicy()
    {
        Assert.AreEqual(new StrictPaths(["a", "b"]), new StrictPaths(["a", "b"]));
        Assert.AreEqual(new StrictPaths(["a", "b"]).GetHashCode(), new StrictPaths(["a", "b"]).GetHashCode());
        Assert.AreNotEqual(new StrictPaths(["a"]), new StrictPaths(["b"]));
    }

    [TestMethod]
    [TestCategory("unit")]
    public void AnyText_IsAPattern_ThatMatchesWhatIsWrittenSo() =>
        Prop.ForAll(ArbMap.Default.ArbFor<NonEmptyString>(), text =>
        {
            string name = new([.. text.Get.Where(c => c is not ('/' or '*' or '?' or '\0') && !char.IsSurrogate(c))]);
            _ = new StrictPaths([text.Get]).Match(Encoding.UTF8.GetBytes(text.Get));
            return name.Length == 0 || new StrictPaths([name]).Match(Encoding.UTF8.GetBytes("d/" + name));
        }).QuickCheckThrowOnFailure();
}
