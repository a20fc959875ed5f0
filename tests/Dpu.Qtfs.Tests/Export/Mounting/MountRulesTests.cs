using System.Text;
using Dpu.Qtfs.Export.Mounting;

namespace Dpu.Qtfs.Tests.Export.Mounting;

[TestClass]
public sealed class MountRulesTests
{
    private static readonly MountRules s_rules = new([
        new("ctr/**", ["overlay", "tmpfs", "ext4", "bind"], null, ["/dev/vd*", "/srv/images/**"], false, false),
        new("rootfs", ["proc"], [], [], true, false),
        new("all", ["tmpfs"], ["*"], [], false, false),
    ]);

    [TestMethod]
    [TestCategory("unit")]
    [DataRow("ctr/a/b", "tmpfs", "size=1m mode=700", "", "")]
    [DataRow("ctr/o", "overlay", "index=off volatile", "", "")]
    [DataRow("ctr", "overlay", "", "", "\"match\" for that place")]
    [DataRow("ctr/x", "overlay", "", "/srv/images/a/b", "")]
    [DataRow("ctr/x", "ext4", "", "/dev/vdb", "")]
    [DataRow("deep/rootfs/x", "proc", "", "", "")]
    [DataRow("all/x", "tmpfs", "huge=always", "", "")]
    [DataRow("ctr/a", "tmpfs", "size=1m,huge=always", "", "\"size=1m,huge=always\"")]
    [DataRow("all/x", "tmpfs", "source=/dev/sda", "", "\"source=/dev/sda\"")]
    [DataRow("all/x", "tmpfs", "size=1m,source=/dev/sda", "", "source=/dev/sda\"")]
    [DataRow("ctr/a", "tmpfs", "size=1m huge=always", "", "\"huge=always\"")]
    [DataRow("ctr/a", "ext4", "errors=panic", "/dev/vdb", "\"errors=panic\"")]
    [DataRow("rootfs", "proc", "hidepid=2", "", "\"hidepid=2\"")]
    [DataRow("ctr/a", "ext4", "", "/dev/sda", "\"/dev/sda\", which is not in the export")]
    [DataRow("ctr/a", "bind", "", "/srv/imagesX", "\"/srv/imagesX\"")]
    [DataRow("ctr/a", "bind", "", "dev/vdb", "\"dev/vdb\"")]
    [DataRow("ctr/a", "sysfs", "", "", "does not have \"sysfs\"")]
    [DataRow("ctrX/a", "tmpfs", "", "", "\"match\" for that place")]
    [DataRow("", "tmpfs", "", "", "\"match\" for that place")]
    public void Find_TellsWhatIsMissing_WhereNoRulePermitsIt(string path, string type, string options, string source, string missing)
    {
        MountRule? rule = s_rules.Find(
            Encoding.UTF8.GetBytes(path), type, options.Split(' ', StringSplitOptions.RemoveEmptyEntries), source.Length == 0 ? [] : [Encoding.UTF8.GetBytes(source)], out string said);
        Assert.AreEqual(missing.Length == 0, rule is not null, said);
        Assert.Contains(missing, said);
    }

    [TestMethod]
    [TestCategory("unit")]
    public void Rules_OfTheSameWords_AreEqual_AndOthersAreNot()
    {
        static MountRules Of(bool allowSuid) => new([new("a", ["tmpfs"], ["x"], ["/s"], allowSuid, false)]);
        Assert.AreEqual(Of(true), Of(true));
        Assert.AreNotEqual(Of(true), Of(false));
        Assert.AreNotEqual(new MountRules([new("a", ["tmpfs"], null, [], false, false)]), new MountRules([new("a", ["tmpfs"], [], [], false, false)]));
        Assert.IsTrue(MountRules.None.IsEmpty);
        Assert.IsNotNull(MountTypes.Problem("fuse"));
        Assert.IsNotNull(MountTypes.Problem("../x"));
        Assert.IsNull(MountTypes.Problem("ext4"));
    }
}
