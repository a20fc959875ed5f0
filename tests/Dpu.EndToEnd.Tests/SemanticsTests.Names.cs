namespace Dpu.EndToEnd.Tests;

// Names and directories.
public sealed partial class SemanticsTests
{
    [TestMethod]
    [TestCategory("root")]
    [DataRow("exclusive", DisplayName = "O_EXCL and what open(2) makes, also by eight at once")]
    [DataRow("temporary", DisplayName = "O_TMPFILE, and linkat(2) of it")]
    [DataRow("rename-flags", DisplayName = "renameat2(2): NOREPLACE, EXCHANGE, WHITEOUT")]
    [DataRow("nodes", DisplayName = "mknod(2): devices, FIFOs, sockets")]
    [DataRow("hard-links", DisplayName = "hard links")]
    [DataRow("unlinked", DisplayName = "open files and directories without a name")]
    [DataRow("names", DisplayName = "names of 255 bytes, and of any byte")]
    public void Names_OfEveryKind_AreMadeLinkedAndRemovedAsOnTheHost(string name) => Compare(name);

    [TestMethod]
    [TestCategory("root")]
    [DataRow("changing", DisplayName = "a listing in pieces, between which the directory changes")]
    [DataRow("positions", DisplayName = "seekdir(3) to every position that was ever told")]
    [DataRow("entries", DisplayName = "entries, numbers and types; rewinding, removed directories")]
    public void Directories_ThatChange_AreListedAsOnTheHost(string name)
    {
        Compare(name);

        // Equal is not enough: nothing that stayed may be missed or doubled.
        if (name != "entries")
        {
            Assert.EndsWith("missed 0, doubled 0\n", Run(name, Directory.CreateDirectory(Path.Combine(MountFolder(Trusting), name + "-again")).FullName));
        }
    }

    [TestMethod]
    [TestCategory("root")]
    public void InodeNumbersLinksAndBirth_ThroughMount_AreTheHosts()
    {
        string onHost = Directory.CreateDirectory(Path.Combine(s_pair.ExportRoot, "numbers")).FullName;
        string there = Path.Combine(MountFolder(Trusting), "numbers");
        Shell.Check("mkdir d d/e; echo 1 > d/f; mkfifo d/p; ln -s f d/l", onHost);
        Shell.Check("ln d/f g; ln d/l h; echo 2 > d/e/i; truncate -s 1G d/sparse", there);

        const string numbers = "stat --printf '%n %i %h %s %b %B %o %f\\n' . d d/* d/e/* g h; find . -printf '%P %i %n\\n' | sort; stat --printf '%n %W %w\\n' . d d/* d/e/* g h";
        string expected = Shell.Check(numbers, onHost);

        Assert.AreEqual(expected, Shell.Check(numbers, there));
        Assert.DoesNotContain(" 0 -\n", expected, "this file system keeps no time of birth, so the test shows nothing");
        Assert.AreEqual(Shell.Check("stat -c %i .", s_pair.ExportRoot), Shell.Check("stat -c %i .", MountFolder(Trusting)), "the root's number");
    }
}
