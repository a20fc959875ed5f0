using Dpu.Fuse.Wire;
using Dpu.Linux;

namespace Dpu.Fuse.Tests.Passthrough;

[TestClass]
public sealed class DirectoryTests
{
    private const ulong Root = PeerExport.RootId;

    [TestMethod]
    [TestCategory("root")]
    [Timeout(120_000, CooperativeCancellation = true)]
    public void HundredThousandEntries_ListedOnceEach_PlainAndPlus()
    {
        const int count = 100_000;
        using PeerExport export = new(o => o with { MaxNodes = 1000 });
        Directory.CreateDirectory(export.In("many"));
        for (int i = 0; i < count; i++)
        {
            File.OpenHandle(export.In($"many/entry-{i:D6}"), FileMode.CreateNew, FileAccess.Write).Dispose();
        }

        ulong many = export.Lookup("many").nodeid;
        foreach (bool plus in (bool[])[false, true])
        {
            List<DirectoryLine> lines = export.List(many, plus, 64 * 1024);
            Assert.HasCount(count + 2, lines);
            Assert.HasCount(count + 2, lines.Select(line => line.Name).ToHashSet());
            Assert.IsTrue(lines.All(line => line.Name is "." or ".." ? line.Type == dirent.DT_DIR : line.Type == dirent.DT_REG));

            // The limit of nodes shortens what comes along, never the listing.
            Assert.IsTrue(export.FileSystem.OpenNodes <= 1000);
            Assert.AreEqual(plus ? 999 : 0, lines.Count(line => line.Entry.nodeid != 0));
        }
    }

    [TestMethod]
    [TestCategory("root")]
    [Timeout(60_000, CooperativeCancellation = true)]
    public void LongListing_GivesReferencesToTheFirstFilesOnly()
    {
        using PeerExport export = new();
        for (int i = 0; i < PassthroughFileSystem.MostListed + 100; i++)
        {
            File.OpenHandle(export.In($"entry-{i:D6}"), FileMode.CreateNew, FileAccess.Write).Dispose();
        }

        List<DirectoryLine> lines = export.List(Root, plus: true, 64 * 1024);
        Assert.HasCount(PassthroughFileSystem.MostListed + 102, lines);
        Assert.AreEqual(PassthroughFileSystem.MostListed, lines.Count(line => line.Entry.nodeid != 0));
    }

    [TestMethod]
    [TestCategory("root")]
    public void ReadDir_FromAnyOffsetInAnyOrder_GoesOnFromThere()
    {
        using PeerExport export = new();
        for (int i = 0; i < 500; i++)
        {
            File.WriteAllText(export.In($"f{i}"), string.Empty);
        }

        List<DirectoryLine> all = export.List(Root);
        Assert.HasCount(502, all);
        Assert.AreEqual(0, export.OpenDir(Root, out ulong handle));
        byte[] buffer = new byte[200];
        foreach (int start in (int[])[400, 3, 3, 250, 0, 500])
        {
            Assert.AreEqual(0, export.ReadDir(Root, handle, all[start].Offset, plus: false, buffer, out int written));
            List<DirectoryLine> lines = [];
            DirectoryLine.Parse(buffer.AsSpan(0, written), plus: false, lines);
            CollectionAssert.AreEqual(all.Skip(start + 1).Take(lines.Count).Select(line => line.Name).ToList(), lines.Select(line => line.Name).ToList());
            Assert.IsNotEmpty(lines);
        }

        Assert.AreEqual(0, export.ReadDir(Root, handle, all[^1].Offset, plus: false, buffer, out int rest));
        Assert.AreEqual(0, rest);
        Assert.AreEqual(-errno.EINVAL, export.ReadDir(Root, handle, 0, plus: false, buffer.AsSpan(0, 8), out _), "no room for one entry");
        Assert.AreEqual(-errno.EINVAL, export.ReadDir(Root, handle, ulong.MaxValue, plus: false, buffer, out _));
        Assert.AreEqual(0, export.ReadDir(Root, handle, 0, plus: false, buffer, out rest));
        Assert.AreNotEqual(0, rest);
    }

    [TestMethod]
    [TestCategory("root")]
    public void ReadDir_AtTheStartAgain_SeesWhatWasAdded()
    {
        using PeerExport export = new();
        Assert.AreEqual(0, export.OpenDir(Root, out ulong handle));
        byte[] buffer = new byte[4096];
        Assert.AreEqual(0, export.ReadDir(Root, handle, 0, plus: false, buffer, out int before));
        File.WriteAllText(export.In("new"), string.Empty);
        Assert.AreEqual(0, export.ReadDir(Root, handle, 0, plus: false, buffer, out int after));
        Assert.IsTrue(after > before);
    }

    [TestMethod]
    [TestCategory("root")]
    public void ReadDirPlus_Entries_TakeOneReferenceEachAndDotsNone()
    {
        using PeerExport export = new();
        File.WriteAllText(export.In("f"), "abc");
        Directory.CreateDirectory(export.In("d"));
        List<DirectoryLine> lines = export.List(Root, plus: true);
        Assert.IsTrue(lines.Where(line => line.Name is "." or "..").All(line => line.Entry.nodeid == 0 && line.Inode == PeerExport.HostStatus(export.Root).stx_ino), "nothing of what is above");
        DirectoryLine f = lines.Single(line => line.Name == "f");
        Assert.AreEqual((3UL, f.Inode), (f.Entry.attr.size, f.Entry.attr.ino));
        Assert.AreEqual(f.Entry.nodeid, export.Lookup("f").nodeid);
        export.FileSystem.Forget(f.Entry.nodeid, 2);
        export.FileSystem.Forget(lines.Single(line => line.Name == "d").Entry.nodeid, 1);
        Assert.AreEqual((0, 0L), (export.FileSystem.OpenNodes, export.FileSystem.ForgetViolations));
    }

    [TestMethod]
    [TestCategory("root")]
    public void DirectoryHandle_SyncedAndReleased_ThenBad()
    {
        using PeerExport export = new();
        Assert.AreEqual(0, export.OpenDir(Root, out ulong handle));
        int Sync() => export.Call((PassthroughFileSystem fs, in FuseCaller caller) => fs.FSyncDir(caller, Root, new fuse_fsync_in { fh = handle }));
        int Release() => export.Call((PassthroughFileSystem fs, in FuseCaller caller) => fs.ReleaseDir(caller, Root, new fuse_release_in { fh = handle }));
        Assert.AreEqual(0, Sync());
        Assert.AreEqual(-errno.EBADF, export.Release(Root, handle), "of another kind");
        Assert.AreEqual(0, Release());
        Assert.AreEqual(-errno.EBADF, Release());
        Assert.AreEqual(-errno.EBADF, Sync());
    }
}
