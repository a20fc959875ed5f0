using System.Text;
using FsCheck;
using FsCheck.Fluent;

namespace Dpu.Fuse.Tests.Device;

[TestClass]
public sealed class MountTableTests
{
    private const string Sample = """
        36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue
        40 36 0:47 / /mnt/with\040space\134and\011tab rw,nosuid,nodev shared:2 master:3 - fuse.dpu host1:/srv rw,user_id=0
        malformed
        41 36 0:x / /mnt/bad rw - ext4 a b
        42 36 0:5 / /mnt/no-separator rw
        43 36 0:48 / /mnt/octal\9 rw - fuse a b

        """;

    [TestMethod, TestCategory("unit")]
    public void Parse_OfTable_ReadsWellFormedLines()
    {
        List<MountTableEntry> entries = MountTable.Parse(Encoding.UTF8.GetBytes(Sample));
        Assert.HasCount(3, entries);
        Assert.AreEqual((98u, 0u, "/mnt2", "ext3", false), Describe(entries[0]));
        Assert.AreEqual((0u, 47u, "/mnt/with space\\and\ttab", "fuse.dpu", true), Describe(entries[1]));
        Assert.AreEqual((0u, 48u, "/mnt/octal\\9", "fuse", true), Describe(entries[2]));
    }

    [TestMethod, TestCategory("unit")]
    public void Parse_OfAnyBytes_DoesNotThrow() =>
        Prop.ForAll(ArbMap.Default.ArbFor<byte[]>(), bytes => MountTable.Parse(bytes).Count <= bytes.Length).QuickCheckThrowOnFailure();

    [TestMethod, TestCategory("unit")]
    public void Parse_OfAnyEscapedPath_GivesItBack() =>
        Prop.ForAll(ArbMap.Default.ArbFor<NonEmptyArray<byte>>(), path =>
        {
            byte[] bytes = [.. path.Get.Select(value => value == 0 ? (byte)1 : value)];
            string escaped = string.Concat(bytes.Select(value => $"\\{Convert.ToString(value, 8).PadLeft(3, '0')}"));
            MountTableEntry entry = MountTable.Parse(Encoding.ASCII.GetBytes($"1 2 0:3 / {escaped} rw - fuse x rw\n")).Single();
            return entry.MountPoint.AsSpan().SequenceEqual(bytes);
        }).QuickCheckThrowOnFailure();

    [TestMethod, TestCategory("unit")]
    public void Parse_OfCutTable_KeepsWhatIsWhole()
    {
        byte[] table = Encoding.UTF8.GetBytes(Sample);
        for (int length = 0; length < table.Length; length++)
        {
            Assert.IsLessThanOrEqualTo(3, MountTable.Parse(table.AsSpan(0, length)).Count);
        }
    }

    private static (uint, uint, string, string, bool) Describe(MountTableEntry entry) =>
        (entry.Major, entry.Minor, Encoding.UTF8.GetString(entry.MountPoint), entry.Type, entry.IsFuse);
}
