using FsCheck;
using FsCheck.Fluent;

namespace Dpu.TestSupport.Tests;

[TestClass]
public sealed class SmallHelpersTests
{
    [TestMethod]
    [TestCategory("unit")]
    public void Tool_Missing_FailsAndNamesThePackage()
    {
        RequirementException e = Assert.ThrowsExactly<RequirementException>(() => Requires.Tool("no-such-program"));
        StringAssert.Contains(e.Message, "apt-get install no-such-program", StringComparison.Ordinal);
        Assert.AreEqual("util-linux", DebianPackages.Load().PackageOf("nsenter"));
    }

    [TestMethod]
    [TestCategory("unit")]
    public void FindTool_ProgramInFolderOfPath_IsFoundThereFirst()
    {
        using TemporaryDirectory folder = new();
        string path = folder.WriteFile("sh", "");
        Assert.AreNotEqual(path, Requires.FindTool("sh", folder.FullPath), "it is not executable");
        File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.UserExecute);
        Assert.AreEqual(path, Requires.FindTool("sh", folder.FullPath));
    }

    [TestMethod]
    [TestCategory("unit")]
    public void MountTable_EscapedTarget_IsUnescaped() =>
        CollectionAssert.AreEqual(
            (string[])["/a b\\c", "/"],
            MountTable.Parse("1 2 0:3 / /a\\040b\\134c rw - tmpfs t rw\n4 5 0:6 / / rw - ext4 r rw\n").ToArray());

    [TestMethod]
    [TestCategory("unit")]
    public void MountTable_AnyText_DoesNotThrow() =>
        Prop.ForAll<string?>(text => MountTable.Parse(text ?? "").Count >= 0).QuickCheckThrowOnFailure();

    [TestMethod]
    [TestCategory("unit")]
    public void DebianPackages_AnyText_ParsesOrSaysWhichLine() =>
        Prop.ForAll<string?>(text =>
        {
            try
            {
                return DebianPackages.Parse(text ?? "").Packages.All(p => p.Name.Length > 0);
            }
            catch (FormatException e)
            {
                return e.Message.StartsWith("Line ", StringComparison.Ordinal);
            }
        }).QuickCheckThrowOnFailure();

    [TestMethod]
    [TestCategory("unit")]
    public void Eventually_ConditionThatNeverHolds_ThrowsWithItsName()
    {
        TimeoutException e = Assert.ThrowsExactly<TimeoutException>(() => Eventually.True(() => false, TimeSpan.FromMilliseconds(20), "the moon"));
        StringAssert.Contains(e.Message, "the moon", StringComparison.Ordinal);
    }

    [TestMethod]
    [TestCategory("unit")]
    public void TemporaryDirectory_Disposed_IsGoneWithItsContent()
    {
        string path;
        using (TemporaryDirectory folder = new())
        {
            path = folder.FullPath;
            folder.WriteFile("a/b/c", "x");
        }

        Assert.IsFalse(Directory.Exists(path));
    }
}
