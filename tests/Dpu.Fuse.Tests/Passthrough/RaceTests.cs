using Dpu.Fuse.Wire;
using Dpu.Linux;

namespace Dpu.Fuse.Tests.Passthrough;

/// <summary>Attackers on other threads, for a bounded number of rounds.</summary>
[TestClass]
public sealed class RaceTests
{
    private const int Rounds = 3000;

    [TestMethod]
    [TestCategory("root")]
    public void LookupAndOpen_NameFlipsBetweenFileAndSymLinkOutside_NeverReachesOutside()
    {
        using PeerExport export = ContainmentTests.WithSecret();
        File.WriteAllText(export.In("good"), "inside");
        File.CreateSymbolicLink(export.In("evil"), export.Out("secret"));
        int opened = 0;
        Attack(
            () => Exchange(export.In("good"), export.In("evil")),
            () =>
            {
                byte[] buffer = new byte[16];
                if (export.TryLookup(PeerExport.RootId, "good", out fuse_entry_out entry) == 0)
                {
                    if (export.Open(entry.nodeid, fcntl.O_RDONLY, out ulong handle) == 0)
                    {
                        int size = export.Read(entry.nodeid, handle, 0, buffer);
                        CollectionAssert.AreEqual("inside"u8.ToArray(), buffer[..size]);
                        Assert.AreEqual(0, export.Release(entry.nodeid, handle));
                        opened++;
                    }

                    export.FileSystem.Forget(entry.nodeid, 1);
                }

                if (export.Create(PeerExport.RootId, "good", fcntl.O_RDONLY, 0x1ff, out entry, out ulong created) == 0)
                {
                    int size = export.Read(entry.nodeid, created, 0, buffer);
                    CollectionAssert.AreEqual("inside"u8.ToArray(), buffer[..size]);
                    Assert.AreEqual(0, export.Release(entry.nodeid, created));
                    export.FileSystem.Forget(entry.nodeid, 1);
                }
            });
        Assert.AreNotEqual(0, opened, "the attack must leave good rounds");
        Assert.AreEqual((0, 0), (export.FileSystem.OpenNodes, export.FileSystem.OpenHandles));
    }

    [TestMethod]
    [TestCategory("root")]
    public void Lookup_DirectoryIsExchangedWithOneOutside_NeverReturnsItsFiles()
    {
        using PeerExport export = ContainmentTests.WithSecret();
        Directory.CreateDirectory(export.In("d"));
        File.WriteAllText(export.In("d/f"), "inside");
        Directory.CreateDirectory(export.Out("d"));
        File.WriteAllText(export.Out("d/f"), "outside");
        ulong insideInode = PeerExport.HostStatus(export.In("d/f")).stx_ino;
        ulong d = export.Lookup("d").nodeid;
        int found = 0;
        int stale = 0;
        byte[] buffer = new byte[4096];
        Attack(
            () => Exchange(export.In("d"), export.Out("d")),
            () =>
            {
                // The node is the directory itself, so that its own file may be found while it is inside and nothing else ever.
                int error = export.TryLookup(d, "f", out fuse_entry_out entry);
                if (error == 0)
                {
                    Assert.AreEqual(insideInode, entry.attr.ino);
                    export.FileSystem.Forget(entry.nodeid, 1);
                    found++;
                }
                else
                {
                    Assert.AreEqual(-errno.ESTALE, error);
                    stale++;
                }

                error = export.Create(d, "f", fcntl.O_RDONLY, 0x1ff, out entry, out ulong handle);
                if (error == 0)
                {
                    Assert.AreEqual(insideInode, entry.attr.ino);
                    Assert.AreEqual(0, export.Release(entry.nodeid, handle));
                    export.FileSystem.Forget(entry.nodeid, 1);
                }

                if (export.OpenDir(d, out ulong list) == 0)
                {
                    _ = export.ReadDir(d, list, 0, plus: true, buffer, out int written);
                    List<DirectoryLine> lines = [];
                    DirectoryLine.Parse(buffer.AsSpan(0, written), plus: true, lines);
                    foreach (DirectoryLine line in lines.Where(line => line.Entry.nodeid != 0))
                    {
                        Assert.AreEqual(insideInode, line.Entry.attr.ino);
                        export.FileSystem.Forget(line.Entry.nodeid, 1);
                    }

                    Assert.AreEqual(0, export.Call((PassthroughFileSystem fs, in FuseCaller caller) => fs.ReleaseDir(caller, d, new fuse_release_in { fh = list })));
                }
            });
        Assert.IsTrue(found > 0 && stale > 0, $"found {found}, stale {stale}");
        Assert.AreEqual((1, 0), (export.FileSystem.OpenNodes, export.FileSystem.OpenHandles));
    }

    [TestMethod]
    [TestCategory("root")]
    public void Lookup_DirectoryGoesOutAndGetsASecretThere_NeverFindsTheSecret()
    {
        // Only a check of what was found, after it was opened, holds this: while the name is the secret, the directory is outside.
        using PeerExport export = ContainmentTests.WithSecret();
        Directory.CreateDirectory(export.In("d"));
        File.WriteAllText(export.In("d/f"), "inside");
        Directory.CreateDirectory(export.Out("d"));
        ulong secret = PeerExport.HostStatus(export.Out("secret")).stx_ino;
        ulong d = export.Lookup("d").nodeid;
        int found = 0;
        Attack(
            () =>
            {
                Exchange(export.In("d"), export.Out("d"));
                Exchange(export.Out("d/f"), export.Out("secret"));
                Exchange(export.Out("d/f"), export.Out("secret"));
                Exchange(export.In("d"), export.Out("d"));
            },
            () =>
            {
                if (export.TryLookup(d, "f", out fuse_entry_out entry) == 0)
                {
                    Assert.AreNotEqual(secret, entry.attr.ino);
                    export.FileSystem.Forget(entry.nodeid, 1);
                    found++;
                }
            },
            rounds: 60_000);
        Assert.AreNotEqual(0, found);
        Assert.AreEqual(1, export.FileSystem.OpenNodes);
    }

    [TestMethod]
    [TestCategory("root")]
    public void ForgetAndRelease_WhileOthersUseThem_NeverReachAnotherFile()
    {
        // Descriptors close and open all the time: one that is used after its close would show another file's content.
        using PeerExport export = ContainmentTests.WithSecret();
        for (int i = 0; i < 4; i++)
        {
            File.WriteAllText(export.In($"f{i}"), $"{i}{i}{i}{i}");
        }

        ulong node = 0;
        ulong handle = 0;
        Attack(
            () =>
            {
                export.FileSystem.Forget(Volatile.Read(ref node), ulong.MaxValue);
                _ = export.Release(Volatile.Read(ref node), Volatile.Read(ref handle));
                ulong other = export.TryLookup(PeerExport.RootId, $"f{Random.Shared.Next(4)}", out fuse_entry_out entry) == 0 ? entry.nodeid : 0;
                export.FileSystem.Forget(other, 1);
            },
            () =>
            {
                int wanted = Random.Shared.Next(4);
                if (export.TryLookup(PeerExport.RootId, $"f{wanted}", out fuse_entry_out entry) != 0)
                {
                    return;
                }

                Volatile.Write(ref node, entry.nodeid);
                if (export.Open(entry.nodeid, fcntl.O_RDONLY, out ulong opened) != 0)
                {
                    return;
                }

                Volatile.Write(ref handle, opened);
                byte[] buffer = new byte[4];
                int size = export.Read(entry.nodeid, opened, 0, buffer);
                Assert.IsTrue(size is 4 or -errno.EBADF, $"{size}");
                if (size == 4)
                {
                    Assert.AreEqual((byte)('0' + wanted), buffer[0]);
                }

                int error = export.GetAttr(entry.nodeid, out fuse_attr attr);
                Assert.IsTrue(error is -errno.ESTALE || attr.ino == entry.attr.ino, $"{error}");
                _ = export.Release(entry.nodeid, opened);
                export.FileSystem.Forget(entry.nodeid, 1);
            });
        export.FileSystem.Destroy();
        Assert.AreEqual((0, 0), (export.FileSystem.OpenNodes, export.FileSystem.OpenHandles));
    }

    private static void Attack(Action attack, Action victim, int rounds = Rounds)
    {
        bool done = false;
        Exception? failure = null;
        var attacker = new Thread(() =>
        {
            try
            {
                while (!Volatile.Read(ref done))
                {
                    attack();
                }
            }
            catch (Exception e)
            {
                failure = e;
            }
        });
        attacker.Start();
        try
        {
            for (int round = 0; round < rounds; round++)
            {
                victim();
            }
        }
        finally
        {
            Volatile.Write(ref done, true);
            attacker.Join();
        }

        Assert.IsNull(failure, failure?.ToString());
    }

    private static unsafe void Exchange(string a, string b)
    {
        fixed (byte* first = PeerExport.Bytes(a + '\0'), second = PeerExport.Bytes(b + '\0'))
        {
            Assert.AreEqual(0, LibC.Result(LibC.renameat2(fcntl.AT_FDCWD, first, fcntl.AT_FDCWD, second, stdio.RENAME_EXCHANGE)));
        }
    }
}
