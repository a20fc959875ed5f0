using System.Text.RegularExpressions;

namespace Dpu.EndToEnd.Tests;

// As whom, and who may.
public sealed partial class SemanticsTests
{
    [TestMethod]
    [TestCategory("root")]
    [DataRow("creation", DisplayName = "creation by users without further groups")]
    [DataRow("creation-by-root", DisplayName = "creation by root")]
    [DataRow("creation-by-members", DisplayName = "creation by members of supplementary groups")]
    [DataRow("changes", DisplayName = "changes by owner, member and stranger")]
    [DataRow("changes-by-members", DisplayName = "changes by root and by members of supplementary groups")]
    public void Users_OfATrustedDpu_MakeAndChangeAsOnTheHost(string name) => Compare(name);

    [TestMethod]
    [TestCategory("root")]
    [DataRow("creation", Squashing)]
    [DataRow("creation", Mapping)]
    [DataRow("acls-of-a-user", Squashing)]
    [DataRow("acls-of-a-user", Mapping)]
    [DataRow("changes", Squashing)]
    [DataRow("changes", Mapping)]
    public void Users_UnderASquashOrAMap_MakeAndChangeAsOnTheHost(string name, string export)
    {
        using var local = new TemporaryDirectory();
        Shell.Check($"chmod 755 {local.FullPath}", "/");
        string onHost = Directory.CreateDirectory(Path.Combine(HostFolder(export), name)).FullName;
        string there = Path.Combine(MountFolder(export), name);
        Run("prepare", local.FullPath);
        Run("prepare", onHost);
        if (export == Mapping)
        {
            Shell.Check("for f in *; do chown $(stat -c '%u %g' $f | awk '{print $1+4000\":\"($2==3000 ? 7000 : $2+5000)}') $f; done; chmod 700 own; chmod 777 open; chmod 1777 sticky; chmod 770 group; chmod 2777 setgid; chmod 2775 setgid-group", onHost);
        }

        AssertSame(Run(name, local.FullPath), Run(name, there), "what the program saw");
        string tree = Run("describe", local.FullPath);
        AssertSame(tree, Run("describe", there), "what the mount shows");
        if (export == Mapping)
        {
            tree = Owner().Replace(tree, owner => $" {int.Parse(owner.Groups[1].Value) + 4000}:{(owner.Groups[2].Value == "3000" ? 7000 : int.Parse(owner.Groups[2].Value) + 5000)} ");
        }

        AssertSame(tree, Run("describe", onHost), "what the host holds");
    }

    [TestMethod]
    [TestCategory("root")]
    public void SupplementaryGroup_UnderASquash_CountsForCreationOnly()
    {
        string onHost = Directory.CreateDirectory(Path.Combine(HostFolder(Squashing), "member")).FullName;
        Run("prepare", onHost);

        string seen = Run("creation-by-a-member", Path.Combine(MountFolder(Squashing), "member"));

        // The request of a creation carries the directory's group; one of linkat(2) and unlink(2) does not.
        foreach (string made in new[] { "file", "tool", "dir", "pipe", "link" })
        {
            Assert.Contains($"setgid-group/{made}: ok", seen);
        }

        Assert.Contains("O_TMPFILE: ok", seen);
        Assert.Contains("setgid-group/tmpfile: EACCES", seen);
        Assert.AreEqual("3000 3000 3000", Shell.Check("stat -c %g setgid-group/file setgid-group/dir setgid-group/pipe | xargs", onHost));
    }

    [GeneratedRegex(@" (\d+):(\d+) ")]
    private static partial Regex Owner();
}
