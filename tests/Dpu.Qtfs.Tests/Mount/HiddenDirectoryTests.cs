using System.Runtime.CompilerServices;
using Dpu.Fuse.Wire;
using Dpu.Qtfs.Mount.Sockets;

namespace Dpu.Qtfs.Tests.Mount;

[TestClass]
public sealed unsafe class HiddenDirectoryTests
{
    [TestMethod]
    [TestCategory("unit")]
    public void Find_GivesTheNodeToWhoLooksForItsName_AndReferencesAreTakenBackOnce()
    {
        var directory = new HiddenDirectory();
        directory.Find("c1", new fuse_entry_out { nodeid = 7, generation = 3 });
        Assert.AreEqual(-Dpu.Linux.errno.ENOENT, LookUp(directory, "c2", out _));
        Assert.AreEqual(0, LookUp(directory, "c1", out fuse_entry_out entry));
        Assert.AreEqual((7ul, 3ul), (entry.nodeid, entry.generation));
        Assert.AreEqual(0, LookUp(directory, "c1", out _));
        directory.EndFinding();
        Assert.AreEqual(-Dpu.Linux.errno.ENOENT, LookUp(directory, "c1", out _));

        Assert.AreEqual(0ul, directory.TakeReferences(8, 5), "another node");
        Assert.AreEqual(1ul, directory.TakeReferences(7, 1));
        Assert.AreEqual(1ul, directory.TakeReferences(7, 4), "the rest is the host's");
        Assert.AreEqual(0ul, directory.TakeReferences(7, 4));
    }

    [TestMethod]
    [TestCategory("unit")]
    public void TakeFromForgets_LeavesWhatTheHostKnowsOf()
    {
        var directory = new HiddenDirectory();
        directory.Find("c1", new fuse_entry_out { nodeid = 7 });
        Assert.AreEqual(0, LookUp(directory, "c1", out _));
        byte* request = stackalloc byte[256];
        var list = (fuse_batch_forget_in*)(request + sizeof(fuse_in_header));
        *list = new fuse_batch_forget_in { count = 3 };
        var ones = (fuse_forget_one*)(list + 1);
        ones[0] = new fuse_forget_one { nodeid = HiddenDirectory.Node, nlookup = 1 };
        ones[1] = new fuse_forget_one { nodeid = 7, nlookup = 3 };
        ones[2] = new fuse_forget_one { nodeid = 9, nlookup = 4 };
        int length = sizeof(fuse_in_header) + sizeof(fuse_batch_forget_in) + (3 * sizeof(fuse_forget_one));
        Assert.IsTrue(directory.TakeFromForgets(request, ref length));
        Assert.AreEqual((2u, 7ul, 2ul, 9ul, 4ul), (list->count, ones[0].nodeid, ones[0].nlookup, ones[1].nodeid, ones[1].nlookup));
        Assert.AreEqual(sizeof(fuse_in_header) + sizeof(fuse_batch_forget_in) + (2 * sizeof(fuse_forget_one)), length);
    }

    private static int LookUp(HiddenDirectory directory, string name, out fuse_entry_out entry)
    {
        byte* request = stackalloc byte[256];
        Unsafe.InitBlock(request, 0, 256);
        var header = (fuse_in_header*)request;
        int length = sizeof(fuse_in_header) + name.Length + 1;
        *header = new fuse_in_header { len = (uint)length, opcode = (uint)fuse_opcode.FUSE_LOOKUP, nodeid = HiddenDirectory.Node, unique = 2 };
        System.Text.Encoding.ASCII.GetBytes(name, new Span<byte>(request + sizeof(fuse_in_header), name.Length));
        byte* reply = stackalloc byte[HiddenDirectory.MaxAnswer];
        int answered = directory.TryAnswer(request, length, reply);
        Assert.IsGreaterThan(0, answered);
        entry = answered == HiddenDirectory.MaxAnswer ? *(fuse_entry_out*)(reply + sizeof(fuse_out_header)) : default;
        return ((fuse_out_header*)reply)->error;
    }
}
