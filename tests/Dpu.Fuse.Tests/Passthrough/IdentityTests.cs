using Dpu.Fuse.Wire;
using Dpu.Linux;
using FsCheck;
using FsCheck.Fluent;

namespace Dpu.Fuse.Tests.Passthrough;

[TestClass]
public sealed class IdentityTests
{
    [TestMethod]
    [TestCategory("unit")]
    public void IdMap_AnyId_GoesThereAndBack() => Prop.ForAll<uint, uint, uint>((peer, host, id) =>
    {
        uint length = Math.Min((peer * 7 % 100) + 1, uint.MaxValue - Math.Max(peer, host));
        if (length == 0)
        {
            return true;
        }

        var map = new IdMap([new IdMapRange(peer, host, length)]);
        bool inside = id >= peer && id - peer < length;
        return map.TryToHost(id, out uint there) == inside && (!inside || (there == host + (id - peer) && map.TryToPeer(there, out uint back) && back == id));
    }).QuickCheckThrowOnFailure();

    [TestMethod]
    [TestCategory("unit")]
    [DataRow(10u, 20u, 5u, 14u, 100u, 5u)]
    [DataRow(10u, 20u, 5u, 100u, 24u, 5u)]
    [DataRow(10u, 20u, 5u, 10u, 20u, 5u)]
    public void IdMap_OverlappingRanges_Refused(uint p1, uint h1, uint c1, uint p2, uint h2, uint c2) =>
        Assert.ThrowsExactly<ArgumentException>(() => new IdMap([new(p1, h1, c1), new(p2, h2, c2)]));

    [TestMethod]
    [TestCategory("unit")]
    [DataRow(0u, 0u, 0u)]
    [DataRow(uint.MaxValue, 0u, 1u)]
    [DataRow(1u, uint.MaxValue - 1, 2u)]
    public void IdMap_EmptyOrEndlessRange_Refused(uint peer, uint host, uint count) =>
        Assert.ThrowsExactly<ArgumentException>(() => new IdMap([new(peer, host, count)]));

    [TestMethod]
    [TestCategory("unit")]
    public void Policy_EachSquash_ActsAsSaid()
    {
        var map = new IdMap([new(1000, 2000, 10), new(0, 5000, 1)]);
        var root = new IdentityPolicy();
        var all = new IdentityPolicy { Squash = Squash.All, AnonymousUid = 77 };
        var mapped = new IdentityPolicy { Squash = Squash.None, Users = map };
        Assert.AreEqual((65534u, 1000u), (root.ToHostUser(0), root.ToHostUser(1000)));
        Assert.AreEqual((77u, 77u), (all.ToHostUser(0), all.ToHostUser(1000)));
        Assert.AreEqual((5000u, 2003u, 65534u), (mapped.ToHostUser(0), mapped.ToHostUser(1003), mapped.ToHostUser(999)));
        Assert.AreEqual((1003u, 65534u), (mapped.ToPeerUser(2003), mapped.ToPeerUser(1003)));
        Assert.AreEqual(65534u, new IdentityPolicy { Users = map }.ToHostUser(0));
        Assert.AreEqual(65534u, root.ToHostUser(uint.MaxValue));
        Assert.IsTrue(IdentityPolicy.Trusting.TrustsPeer && !root.TrustsPeer && !all.TrustsPeer && !mapped.TrustsPeer);
    }

    [TestMethod]
    [TestCategory("root")]
    public void SquashAll_ForgedRootRequest_CannotReachRootsFile()
    {
        using var export = new PeerExport(o => o with { Identity = new IdentityPolicy { Squash = Squash.All } });
        File.WriteAllText(export.In("secret"), "key");
        PeerExport.Mode(export.In("secret"), 0x180);
        Directory.CreateDirectory(export.In("private"));
        PeerExport.Mode(export.In("private"), 0x1c0);
        ulong secret = export.Lookup("secret").nodeid;
        ulong folder = export.Lookup("private").nodeid;
        Assert.AreEqual(-errno.EACCES, export.Open(secret, fcntl.O_RDONLY, out _));
        Assert.AreEqual(-errno.EACCES, export.Open(secret, fcntl.O_WRONLY, out _));
        Assert.AreEqual(-errno.EACCES, export.OpenDir(folder, out _));
        Assert.AreEqual(-errno.EACCES, export.TryLookup(folder, "x", out _));
        Assert.AreEqual(-errno.EACCES, export.MkDir(PeerExport.RootId, "made", 0x1ff, out _));
        Assert.AreEqual(-errno.EACCES, export.Unlink(PeerExport.RootId, "secret"));
        Assert.AreEqual(-errno.EACCES, export.SetAttr(secret, new fuse_setattr_in { valid = FuseConstants.FATTR_SIZE }, out _));
        Assert.AreEqual(-errno.EPERM, export.SetAttr(secret, new fuse_setattr_in { valid = FuseConstants.FATTR_MODE, mode = 0x1ff }, out _));
        Assert.AreEqual(-errno.EPERM, export.SetAttr(secret, new fuse_setattr_in { valid = FuseConstants.FATTR_UID, uid = 0 }, out _));
        Assert.AreEqual(-errno.EACCES, export.Call((PassthroughFileSystem fs, in FuseCaller caller) => fs.Access(caller, secret, unistd.R_OK)));
        Assert.AreEqual("key", File.ReadAllText(export.In("secret")));
    }

    [TestMethod]
    [TestCategory("root")]
    public void SquashRoot_OtherUser_ActsAsItselfAndRootAsNobody()
    {
        using var export = new PeerExport(o => o with { Identity = IdentityPolicy.RootSquashing });
        PeerExport.Mode(export.Root, 0x3ff);
        (export.Uid, export.Gid) = (1234, 1235);
        Assert.AreEqual(0, export.Create(PeerExport.RootId, "mine", fcntl.O_WRONLY, 0x180, out fuse_entry_out mine, out _));
        Assert.AreEqual((1234u, 1235u), Owner(export.In("mine")));
        (export.Uid, export.Gid) = (0, 0);
        Assert.AreEqual(0, export.MkDir(PeerExport.RootId, "roots", 0x1ed, out _));
        Assert.AreEqual((65534u, 65534u), Owner(export.In("roots")));
        Assert.AreEqual(-errno.EACCES, export.Open(mine.nodeid, fcntl.O_RDONLY, out _));
        Assert.AreEqual(-errno.EPERM, export.Unlink(PeerExport.RootId, "mine"), "sticky directory");
    }

    [TestMethod]
    [TestCategory("root")]
    public void Squash_SetIdFile_LosesItsBitsWhenWritten()
    {
        using var export = new PeerExport(o => o with { Identity = IdentityPolicy.RootSquashing });
        File.WriteAllText(export.In("tool"), "#!");
        PeerExport.Mode(export.In("tool"), 0x9ff);
        (export.Uid, export.Gid) = (1234, 1234);
        ulong node = export.Lookup("tool").nodeid;
        Assert.AreEqual(0, export.Open(node, fcntl.O_WRONLY, out ulong handle));
        Assert.AreEqual(2, export.Write(node, handle, 0, "##"u8));
        Assert.AreEqual(0x1ffu, PeerExport.HostStatus(export.In("tool")).stx_mode & 0xfffu);
    }

    [TestMethod]
    [TestCategory("root")]
    public void Map_FilesAndOwners_TranslatedBothWays()
    {
        var policy = new IdentityPolicy
        {
            Squash = Squash.None,
            Users = new IdMap([new(1000, 2000, 10)]),
            Groups = new IdMap([new(1000, 3000, 10)]),
        };
        using var export = new PeerExport(o => o with { Identity = policy });
        PeerExport.Mode(export.Root, 0x1ff);
        (export.Uid, export.Gid) = (1003, 1004);
        Assert.AreEqual(0, export.MkDir(PeerExport.RootId, "d", 0x1ed, out fuse_entry_out made));
        Assert.AreEqual((2003u, 3004u), Owner(export.In("d")));
        Assert.AreEqual((1003u, 1004u), (made.attr.uid, made.attr.gid));

        File.WriteAllText(export.In("hosts"), "x");
        Assert.AreEqual((65534u, 65534u), (export.Lookup("hosts").attr.uid, export.Lookup("hosts").attr.gid));
        Assert.AreEqual(-errno.EPERM, export.SetAttr(made.nodeid, new fuse_setattr_in { valid = FuseConstants.FATTR_UID, uid = 5 }, out _));

        // Nobody in the map: anonymous, so not the owner.
        (export.Uid, export.Gid) = (2003, 3004);
        Assert.AreEqual(-errno.EPERM, export.SetAttr(made.nodeid, new fuse_setattr_in { valid = FuseConstants.FATTR_MODE, mode = 0 }, out _));
    }

    [TestMethod]
    [TestCategory("root")]
    public void Trusting_Creation_RunsAsCallerInADirectoryOfAnother()
    {
        using var export = new PeerExport();
        PeerExport.Mode(export.Root, 0x1c0);
        (export.Uid, export.Gid) = (1234, 1235);
        Assert.AreEqual(0, export.Create(PeerExport.RootId, "f", fcntl.O_RDWR, 0x1b6, out _, out _, umask: 0x12));
        Assert.AreEqual(0, export.MkDir(PeerExport.RootId, "d", 0x1ff, out fuse_entry_out folder, umask: 0x3f));
        Assert.AreEqual(0, export.SymLink(PeerExport.RootId, "s", "f", out _));
        Assert.AreEqual(0, export.MkNod(PeerExport.RootId, "p", stat.S_IFIFO | 0x180, 0, out _));
        foreach (string name in (string[])["f", "d", "s", "p"])
        {
            Assert.AreEqual((1234u, 1235u), Owner(export.In(name)), name);
        }

        Assert.AreEqual(0x1a4u, PeerExport.HostStatus(export.In("f")).stx_mode & 0xfffu);
        Assert.AreEqual(0x1c0u, folder.attr.mode & 0xfff);

        // What is not a creation is the agent's.
        Assert.AreEqual(0, export.SetAttr(folder.nodeid, new fuse_setattr_in { valid = FuseConstants.FATTR_UID, uid = 99 }, out fuse_attr changed));
        Assert.AreEqual(99u, changed.uid);
    }

    [TestMethod]
    [TestCategory("root")]
    public void Trusting_SupplementaryGroupOfRequest_KeepsSetGidBit()
    {
        using var export = new PeerExport();
        Directory.CreateDirectory(export.In("team"));
        PeerExport.HostOwner(export.In("team"), 0, 4321);
        PeerExport.Mode(export.In("team"), 0x5fd);
        ulong team = export.Lookup("team").nodeid;
        (export.Uid, export.Gid) = (1234, 1235);
        Assert.AreEqual(0, export.Create(team, "without", fcntl.O_WRONLY, 0x5f8, out _, out _));
        export.Groups = [4321];
        Assert.AreEqual(0, export.Create(team, "with", fcntl.O_WRONLY, 0x5f8, out _, out _));
        Assert.AreEqual((1234u, 4321u), Owner(export.In("team/with")));
        Assert.AreEqual(0u, PeerExport.HostStatus(export.In("team/without")).stx_mode & stat.S_ISGID);
        Assert.AreEqual(stat.S_ISGID, PeerExport.HostStatus(export.In("team/with")).stx_mode & stat.S_ISGID);
    }

    [TestMethod]
    [TestCategory("root")]
    public void Trusting_CreateMeetsAnotherUsersFile_HostChecks()
    {
        // The peer's kernel saw no such name when it checked, so its decision says nothing about this file.
        using var export = new PeerExport();
        File.WriteAllText(export.In("late"), "secret");
        PeerExport.Mode(export.In("late"), 0x180);
        (export.Uid, export.Gid) = (1234, 1235);
        Assert.AreEqual(-errno.EACCES, export.Create(PeerExport.RootId, "late", fcntl.O_RDWR, 0x1a4, out _, out _));
        (export.Uid, export.Gid) = (0, 0);
        Assert.AreEqual(0, export.Create(PeerExport.RootId, "late", fcntl.O_RDWR, 0x1a4, out _, out _));
    }

    [TestMethod]
    [TestCategory("root")]
    public void Thread_AfterManyCallers_IsTheDaemonAgain()
    {
        using var export = new PeerExport(o => o with { Identity = IdentityPolicy.RootSquashing });
        PeerExport.Mode(export.Root, 0x1ff);
        for (uint user = 1; user < 50; user++)
        {
            (export.Uid, export.Gid, export.Groups) = (user, user + 1, user % 3 == 0 ? [user + 2] : []);
            Assert.AreEqual(0, export.MkDir(PeerExport.RootId, $"d{user}", 0x1c0, out _));
            Assert.AreEqual((user, user + 1), Owner(export.In($"d{user}")));
        }

        // Only root with its capabilities may do this.
        PeerExport.Mode(export.In("d7"), 0);
        Assert.IsEmpty(Directory.GetFileSystemEntries(export.In("d7")));
        string status = File.ReadAllText("/proc/thread-self/status");
        StringAssert.Contains(status, "Uid:\t0\t0\t0\t0");
        StringAssert.Contains(status, "Groups:\t \n");
    }

    private static (uint Uid, uint Gid) Owner(string path)
    {
        statx status = PeerExport.HostStatus(path);
        return (status.stx_uid, status.stx_gid);
    }
}
