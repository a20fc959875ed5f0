using System.Buffers.Binary;
using Dpu.Fuse.Wire;
using Dpu.Linux;
using FsCheck;
using FsCheck.Fluent;

namespace Dpu.Fuse.Tests.Passthrough;

/// <summary>ACLs under a map: their ids are translated, and what is no ACL is refused.</summary>
[TestClass]
public sealed class AclIdsTests
{
    private const ushort USER_OBJ = 1;
    private const ushort USER = linux_posix_acl.ACL_USER;
    private const ushort GROUP_OBJ = 4;
    private const ushort GROUP = linux_posix_acl.ACL_GROUP;
    private const ushort MASK = 16;
    private const ushort OTHER = 32;

    private static readonly IdentityPolicy s_policy = new()
    {
        Squash = Squash.None,
        Users = new IdMap([new(1000, 2000, 10)]),
        Groups = new IdMap([new(1000, 3000, 10)]),
    };

    [TestMethod]
    [TestCategory("root")]
    public void Acl_UnderAMap_HasTheHostsIdsThereAndThePeersHere()
    {
        using var export = new PeerExport(o => o with { Identity = s_policy });
        File.WriteAllText(export.In("f"), "");
        PeerExport.HostOwner(export.In("f"), 2003, 3003);
        ulong f = export.Lookup("f").nodeid;
        (export.Uid, export.Gid) = (1003, 1003);
        byte[] acl = Acl((USER_OBJ, 6, uint.MaxValue), (USER, 4, 1005), (GROUP_OBJ, 4, uint.MaxValue), (GROUP, 6, 1006), (MASK, 6, uint.MaxValue), (OTHER, 0, uint.MaxValue));

        Assert.AreEqual(0, export.SetXAttr(f, "system.posix_acl_access", acl));

        byte[] read = new byte[acl.Length];
        Assert.AreEqual(acl.Length, export.GetXAttr(f, "system.posix_acl_access", []), "the size alone");
        Assert.AreEqual(acl.Length, export.GetXAttr(f, "system.posix_acl_access", read));
        CollectionAssert.AreEqual(acl, read);
        Assert.Contains("user:2005:r--", Support.Shell.Run("getfacl", "-n", export.In("f")));
        Assert.Contains("group:3006:rw-", Support.Shell.Run("getfacl", "-n", export.In("f")));

        // Whom the peer does not know, it sees as nobody and cannot name.
        Support.Shell.Run("setfacl", "-m", "u:77:r,g:88:r", export.In("f"));
        byte[] more = new byte[acl.Length + 16];
        Assert.AreEqual(more.Length, export.GetXAttr(f, "system.posix_acl_access", more));
        Assert.AreEqual(2, Entries(more).Count(entry => entry.Id == IdentityPolicy.Nobody));
        Assert.AreEqual(-errno.EINVAL, export.SetXAttr(f, "system.posix_acl_access", Acl((USER_OBJ, 6, uint.MaxValue), (USER, 4, 77), (GROUP_OBJ, 4, uint.MaxValue), (MASK, 6, uint.MaxValue), (OTHER, 0, uint.MaxValue))));
        Assert.AreEqual(-errno.EINVAL, export.SetXAttr(f, "system.posix_acl_access", "no ACL"u8));
        Assert.AreEqual(-errno.E2BIG, export.SetXAttr(f, "system.posix_acl_access", new byte[AclIds.MaxSize + 8]));
    }

    [TestMethod]
    [TestCategory("unit")]
    public void AnyBytes_AreTranslatedOrRefused_AndOnlyIdsChange()
    {
        Prop.ForAll(ArbMap.Default.ArbFor<byte[]>(), bytes =>
        {
            byte[] acl = [2, 0, 0, 0, .. bytes];
            byte[] there = [.. acl];
            int error = AclIds.ToHost(there, s_policy);
            byte[] here = [.. acl];
            bool read = AclIds.ToPeer(here, s_policy) == 0;
            return read == (bytes.Length % 8 == 0)
                && (error == -errno.EINVAL || (error == 0 && read))
                && (!read || Entries(acl).Zip(Entries(here)).All(pair => (pair.First.Tag, pair.First.Permissions) == (pair.Second.Tag, pair.Second.Permissions)));
        }).QuickCheckThrowOnFailure();
    }

    [TestMethod]
    [TestCategory("unit")]
    public void IdsOfTheMap_ThereAndBack_AreTheSame()
    {
        Prop.ForAll(ArbMap.Default.ArbFor<uint[]>(), numbers =>
        {
            byte[] acl = Acl([.. numbers.Select((number, i) => (i % 2 == 0 ? USER : GROUP, (ushort)(number % 8), 1000 + (number % 10)))]);
            byte[] changed = [.. acl];
            return AclIds.ToHost(changed, s_policy) == 0
                && Entries(changed).All(entry => entry.Id >= (entry.Tag == USER ? 2000u : 3000u))
                && AclIds.ToPeer(changed, s_policy) == 0
                && changed.AsSpan().SequenceEqual(acl);
        }).QuickCheckThrowOnFailure();
    }

    private static byte[] Acl(params (ushort Tag, ushort Permissions, uint Id)[] entries)
    {
        byte[] acl = new byte[4 + (8 * entries.Length)];
        acl[0] = 2;
        for (int i = 0; i < entries.Length; i++)
        {
            Span<byte> entry = acl.AsSpan(4 + (8 * i));
            BinaryPrimitives.WriteUInt16LittleEndian(entry, entries[i].Tag);
            BinaryPrimitives.WriteUInt16LittleEndian(entry[2..], entries[i].Permissions);
            BinaryPrimitives.WriteUInt32LittleEndian(entry[4..], entries[i].Id);
        }

        return acl;
    }

    private static IEnumerable<(ushort Tag, ushort Permissions, uint Id)> Entries(byte[] acl)
    {
        for (int at = 4; at < acl.Length; at += 8)
        {
            yield return (BitConverter.ToUInt16(acl, at), BitConverter.ToUInt16(acl, at + 2), BitConverter.ToUInt32(acl, at + 4));
        }
    }
}
