using Dpu.Fuse.Wire;
using Dpu.Qtfs.Mount;
using Dpu.Qtfs.Mount.Coherence;
using FsCheck;
using FsCheck.Fluent;

namespace Dpu.Qtfs.Tests.Mount.Coherence;

[TestClass]
public sealed unsafe class GrantedReplyTests
{
    [TestMethod]
    [TestCategory("unit")]
    public void Bound_Zero_TakesEveryGrantAway()
    {
        byte[] reply = new byte[sizeof(fuse_out_header) + sizeof(fuse_entry_out) + sizeof(fuse_open_out)];
        fixed (byte* bytes = reply)
        {
            var entry = (fuse_entry_out*)(bytes + sizeof(fuse_out_header));
            *entry = new fuse_entry_out { nodeid = 9, entry_valid = 5, attr_valid = 6, attr_valid_nsec = 7 };
            var opened = (fuse_open_out*)(entry + 1);
            opened->open_flags = FuseConstants.FOPEN_KEEP_CACHE | FuseConstants.FOPEN_DIRECT_IO;
            Assert.AreEqual(9ul, GrantedReply.NodeOf((uint)fuse_opcode.FUSE_CREATE, bytes, reply.Length));

            GrantedReply.Bound((uint)fuse_opcode.FUSE_CREATE, bytes, reply.Length, 0);

            Assert.AreEqual((0ul, 0ul, 0u), (entry->entry_valid, entry->attr_valid, entry->attr_valid_nsec));
            Assert.AreEqual(FuseConstants.FOPEN_DIRECT_IO, opened->open_flags);
        }
    }

    [TestMethod]
    [TestCategory("unit")]
    public void Bound_OneSecond_BoundsNamesOnly()
    {
        byte[] reply = new byte[sizeof(fuse_out_header) + sizeof(fuse_entry_out)];
        fixed (byte* bytes = reply)
        {
            var entry = (fuse_entry_out*)(bytes + sizeof(fuse_out_header));
            *entry = new fuse_entry_out { entry_valid = 1000, attr_valid = 1000 };
            GrantedReply.Bound((uint)fuse_opcode.FUSE_LOOKUP, bytes, reply.Length, 1);
            Assert.AreEqual((1ul, 1000ul), (entry->entry_valid, entry->attr_valid));
        }
    }

    [TestMethod]
    [TestCategory("unit")]
    public void AnyReply_OfAnyOpcode_IsReadWithinItsLength() =>
        Prop.ForAll(ArbMap.Default.ArbFor<byte[]>(), Gen.Choose(0, 60).ToArbitrary(), (noise, opcode) =>
        {
            byte[] reply = [.. new byte[sizeof(fuse_out_header)], .. noise, .. noise, .. noise, .. noise];
            byte[] guarded = [.. reply, .. Enumerable.Repeat((byte)0xa5, 256)];
            fixed (byte* bytes = guarded)
            {
                var request = new fuse_in_header { opcode = (uint)opcode, nodeid = 2 };
                GrantedReply.Remember(&request, bytes, reply.Length, new KnownIds());
                GrantedReply.Bound((uint)opcode, bytes, reply.Length, 0);
            }

            return guarded.Skip(reply.Length).All(value => value == 0xa5);
        }).QuickCheckThrowOnFailure();

    [TestMethod]
    [TestCategory("unit")]
    public void KnownIds_LastOfAnIndex_AndNoneOutOfRange()
    {
        var nodes = new KnownIds();
        nodes.Add((1UL << 32) | 5);
        nodes.Add((2UL << 32) | 5);
        nodes.Add((1UL << 32) | 70_000);
        nodes.Add(0xffff_ffff);
        CollectionAssert.AreEqual(new[] { (2UL << 32) | 5, (1UL << 32) | 70_000 }, nodes.All().ToArray());
    }
}
