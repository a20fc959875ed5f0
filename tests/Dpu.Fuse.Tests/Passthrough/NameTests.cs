using Dpu.Fuse.Wire;
using Dpu.Linux;

namespace Dpu.Fuse.Tests.Passthrough;

[TestClass]
public sealed class NameTests
{
    private const ulong Root = PeerExport.RootId;

    [TestMethod]
    [TestCategory("root")]
    public void HardLinks_AreOneNode_WithOneReferenceEach()
    {
        using PeerExport export = new();
        File.WriteAllText(export.In("a"), "x");
        fuse_entry_out a = export.Lookup("a");
        Assert.AreEqual(0, export.Link(a.nodeid, Root, "b", out fuse_entry_out b));
        Assert.AreEqual((a.nodeid, a.generation, 2u), (b.nodeid, b.generation, b.attr.nlink));
        Assert.AreEqual(-errno.EEXIST, export.Link(a.nodeid, Root, "b", out _));
        Assert.AreEqual(a.nodeid, export.Lookup("b").nodeid);
        Assert.AreEqual(1, export.FileSystem.OpenNodes);
        export.FileSystem.Forget(a.nodeid, 2);
        Assert.AreEqual(0, export.GetAttr(a.nodeid, out _), "three references less two");
        export.FileSystem.Forget(a.nodeid, 1);
        Assert.AreEqual(-errno.ESTALE, export.GetAttr(a.nodeid, out _));
        Assert.AreEqual(0, export.FileSystem.OpenNodes);
    }

    [TestMethod]
    [TestCategory("root")]
    public void Forget_MoreThanThereIs_CountsAndHarmsNothing()
    {
        using PeerExport export = new();
        File.WriteAllText(export.In("a"), "x");
        ulong a = export.Lookup("a").nodeid;
        export.FileSystem.Forget(a, ulong.MaxValue);
        export.FileSystem.Forget(a, ulong.MaxValue);
        export.FileSystem.Forget(Root, ulong.MaxValue);
        export.FileSystem.Forget(12345, 1);
        Assert.AreEqual((0, 1L), (export.FileSystem.OpenNodes, export.FileSystem.ForgetViolations));
        Assert.AreEqual(0, export.GetAttr(Root, out _));
        Assert.AreNotEqual(a, export.Lookup("a").nodeid);
    }

    [TestMethod]
    [TestCategory("root")]
    public void EveryByteInAName_MadeListedAndRemoved()
    {
        using PeerExport export = new();
        List<byte[]> names = [];
        for (int b = 1; b < 256; b++)
        {
            if (b != '/')
            {
                names.Add([(byte)'n', (byte)b]);
                if (b != '.')
                {
                    names.Add([(byte)b]);
                }
            }
        }

        names.Add([.. Enumerable.Repeat((byte)0xff, 255)]);
        foreach (byte[] name in names)
        {
            Assert.AreEqual(0, export.Call((PassthroughFileSystem fs, in FuseCaller caller) => fs.MkNod(caller, Root, name, new fuse_mknod_in { mode = stat.S_IFREG | 0x1a4 }, out _)));
        }

        IEnumerable<string> expected = names.Select(System.Text.Encoding.Latin1.GetString).Order(StringComparer.Ordinal);
        foreach (bool plus in (bool[])[false, true])
        {
            CollectionAssert.AreEqual(expected.ToList(), export.List(Root, plus).Select(line => line.Name).Where(name => name is not ("." or "..")).Order(StringComparer.Ordinal).ToList());
        }

        foreach (byte[] name in names)
        {
            Assert.AreEqual(0, export.TryLookup(Root, name, out _));
            Assert.AreEqual(0, export.Call((PassthroughFileSystem fs, in FuseCaller caller) => fs.Unlink(caller, Root, name)));
        }

        Assert.IsEmpty(Directory.GetFileSystemEntries(export.Root));
    }

    [TestMethod]
    [TestCategory("root")]
    public void Rename_EachFlag_AsTheHostDoes()
    {
        using PeerExport export = new();
        File.WriteAllText(export.In("a"), "a");
        File.WriteAllText(export.In("b"), "b");
        Directory.CreateDirectory(export.In("d"));
        ulong d = export.Lookup("d").nodeid;
        ulong a = export.Lookup("a").nodeid;
        Assert.AreEqual(-errno.EEXIST, export.Rename(Root, "a", Root, "b", stdio.RENAME_NOREPLACE));
        Assert.AreEqual(0, export.Rename(Root, "a", Root, "b", stdio.RENAME_EXCHANGE));
        Assert.AreEqual("b", File.ReadAllText(export.In("a")));
        Assert.AreEqual(0, export.Rename(Root, "b", d, "moved"));
        Assert.AreEqual("a", File.ReadAllText(export.In("d/moved")));
        Assert.AreEqual(a, export.Lookup("d/moved").nodeid, "the node goes with the file");
        Assert.AreEqual(-errno.EINVAL, export.Rename(Root, "a", Root, "c", 8));
        Assert.AreEqual(-errno.EINVAL, export.Rename(Root, "d", d, "self"));
        Assert.AreEqual(-errno.ENOENT, export.Rename(Root, "absent", Root, "c"));
        Assert.AreEqual(0, export.Rename(Root, "a", d, "moved"));
        Assert.AreEqual("b", File.ReadAllText(export.In("d/moved")));
        Assert.AreEqual(-errno.ENOTEMPTY, export.RmDir(Root, "d"));
        Assert.AreEqual(-errno.EISDIR, export.Unlink(Root, "d"));
        Assert.AreEqual(-errno.ENOTDIR, export.RmDir(d, "moved"));
        Assert.AreEqual(0, export.Unlink(d, "moved"));
        Assert.AreEqual(0, export.RmDir(Root, "d"));
    }

    [TestMethod]
    [TestCategory("root")]
    public void SymLink_AnyTarget_ReadBackAsWritten()
    {
        using PeerExport export = new();
        string longest = new('t', 4095);
        foreach (string target in (string[])["x", "/", "../..", "ü \n", longest])
        {
            Assert.AreEqual(0, export.SymLink(Root, "l", target, out fuse_entry_out link));
            Assert.AreEqual(0, export.ReadLink(link.nodeid, out string read));
            Assert.AreEqual(target, read);
            Assert.AreEqual(0, export.Unlink(Root, "l"));
        }

        Assert.AreEqual(-errno.ENAMETOOLONG, export.SymLink(Root, "l", longest + "t", out _));
        Assert.AreEqual(-errno.ENOENT, export.SymLink(Root, "l", string.Empty, out _));
        Assert.AreEqual(-errno.EINVAL, export.SymLink(Root, "l", "a\0b", out _));
        Assert.AreEqual(-errno.EINVAL, export.ReadLink(Root, out _));
    }

    [TestMethod]
    [TestCategory("root")]
    public void XAttr_SetGetListRemove_OnTheHostsFile()
    {
        using PeerExport export = new();
        File.WriteAllText(export.In("f"), "x");
        ulong f = export.Lookup("f").nodeid;
        byte[] buffer = new byte[256];
        Assert.AreEqual(0, export.SetXAttr(f, "trusted.a/b", "value"u8));
        Assert.AreEqual(-errno.EEXIST, export.SetXAttr(f, "trusted.a/b", "v"u8, xattr.XATTR_CREATE));
        Assert.AreEqual(-errno.ENODATA, export.SetXAttr(f, "trusted.c", "v"u8, xattr.XATTR_REPLACE));
        Assert.AreEqual(5, export.GetXAttr(f, "trusted.a/b", []));
        Assert.AreEqual(5, export.GetXAttr(f, "trusted.a/b", buffer));
        Assert.IsTrue(buffer.AsSpan(0, 5).SequenceEqual("value"u8));
        Assert.AreEqual(-errno.ERANGE, export.GetXAttr(f, "trusted.a/b", buffer.AsSpan(0, 4)));
        int size = export.ListXAttr(f, []);
        Assert.AreEqual(size, export.ListXAttr(f, buffer));
        StringAssert.Contains(System.Text.Encoding.UTF8.GetString(buffer, 0, size), "trusted.a/b\0");
        Assert.AreEqual(0, export.RemoveXAttr(f, "trusted.a/b"));
        Assert.AreEqual(-errno.ENODATA, export.GetXAttr(f, "trusted.a/b", buffer));
        Assert.AreEqual(-errno.ENODATA, export.RemoveXAttr(f, "trusted.a/b"));
        Assert.AreEqual(-errno.ERANGE, export.SetXAttr(f, string.Empty, "v"u8));
        Assert.AreEqual(-errno.ERANGE, export.SetXAttr(f, new string('x', 256), "v"u8));
        Assert.AreEqual(-errno.EINVAL, export.SetXAttr(f, "user.a\0b", "v"u8));
    }

    [TestMethod]
    [TestCategory("root")]
    public void DeepDirectories_BeyondPathMax_AreReachedAndRemoved()
    {
        using PeerExport export = new();
        string name = new('d', 200);
        List<ulong> nodes = [Root];
        for (int depth = 0; depth < 40; depth++)
        {
            Assert.AreEqual(0, export.MkDir(nodes[^1], name, 0x1ff, out fuse_entry_out made), $"{depth}");
            nodes.Add(made.nodeid);
        }

        Assert.AreEqual(0, export.GetAttr(nodes[^1], out _));
        Assert.AreEqual(0, export.Create(nodes[^1], "f", fcntl.O_RDWR, 0x1ff, out fuse_entry_out file, out ulong opened));
        Assert.AreEqual(0, export.GetAttr(file.nodeid, out _), "of an open file");
        Assert.AreEqual(0, export.Release(file.nodeid, opened));
        Assert.AreEqual(-errno.ENAMETOOLONG, export.GetAttr(file.nodeid, out _), "documented: no text, no parent to climb");
        Assert.AreEqual(0, export.Unlink(nodes[^1], "f"));
        for (int depth = 39; depth >= 0; depth--)
        {
            Assert.AreEqual(0, export.RmDir(nodes[depth], name), $"{depth}");
        }
    }
}
