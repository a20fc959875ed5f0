namespace Dpu.EndToEnd.Tests;

// Attributes, ACLs, set-id bits, capabilities, inode flags.
public sealed partial class SemanticsTests
{
    [TestMethod]
    [TestCategory("root")]
    [DataRow("xattrs", DisplayName = "user, trusted, security; by root and by a user")]
    [DataRow("acls", DisplayName = "ACLs: who may what, and what is none")]
    [DataRow("acls-inherited", DisplayName = "default ACLs, which take the umask's place")]
    [DataRow("times", DisplayName = "times, and the time of birth")]
    [DataRow("inode-flags", DisplayName = "chattr(1): by root and by a user; ioctl(2) of other numbers")]
    public void Attributes_SetAndRead_AreAsOnTheHost(string name) => Compare(name);

    [TestMethod]
    [TestCategory("root")]
    [DataRow("set-id", DisplayName = "06777: every change, by root, owner, member, stranger")]
    [DataRow("set-id-without-group", DisplayName = "04767: the same")]
    [DataRow("capabilities", DisplayName = "file capabilities: the same")]
    [DataRow("capabilities-set", DisplayName = "setting and removing file capabilities")]
    public void Privileges_OfAFileThatIsChanged_GoAsOnTheHost(string name) => Compare(name);

    [TestMethod]
    [TestCategory("root")]
    public void FileCapabilities_UnderASquash_GoWithAWriteAndCannotBeSet()
    {
        string onHost = Directory.CreateDirectory(Path.Combine(HostFolder(Squashing), "capable")).FullName;
        string there = Path.Combine(MountFolder(Squashing), "capable");
        Shell.Check("for f in a b c; do echo x > $f; setcap cap_net_raw+ep $f; done; chmod 666 a b; chown 1000 c", onHost);

        Shell.Check("echo more >> a; : > b; chown 1000:1000 c", there, uid: 1000);
        Assert.AreNotEqual(0, Shell.Run("setcap cap_net_raw+ep a", there).ExitCode, "root of the DPU is nobody on the host");

        Assert.AreEqual("", Shell.Check("getcap a b c", onHost));
        Assert.AreEqual("x\nmore", Shell.Check("cat a", onHost));
    }

    [TestMethod]
    [TestCategory("root")]
    public void InodeFlags_UnderASquash_AreTheOwnersToChange()
    {
        string onHost = Directory.CreateDirectory(Path.Combine(HostFolder(Squashing), "flags")).FullName;
        string there = Path.Combine(MountFolder(Squashing), "flags");
        Shell.Check(": > own; : > others; chown 1000 own", onHost);

        Shell.Check("chattr +d own", there, uid: 1000);
        Assert.AreNotEqual(0, Shell.Run("chattr +d others", there, uid: 1000).ExitCode, "another's file");
        Assert.AreNotEqual(0, Shell.Run("chattr +i own", there).ExitCode, "root of the DPU is nobody on the host");

        Assert.AreEqual("d", Shell.Check("lsattr own | cut -d' ' -f1 | tr -d e-", onHost));
        Assert.AreEqual("", Shell.Check("lsattr others | cut -d' ' -f1 | tr -d e-", onHost));
    }
}
