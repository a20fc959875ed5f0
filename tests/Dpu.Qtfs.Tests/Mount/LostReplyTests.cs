using Dpu.Fuse.Wire;
using Dpu.Qtfs.Mount;

namespace Dpu.Qtfs.Tests.Mount;

[TestClass]
public sealed unsafe class LostReplyTests
{
    private const ulong Node = 0x7_0000_0003;
    private const ulong Handle = 0x9_0000_0002;

    [TestMethod]
    [TestCategory("unit")]
    [DataRow(fuse_opcode.FUSE_SETLK, 0, true)]
    [DataRow(fuse_opcode.FUSE_SETLKW, 0, true)]
    [DataRow(fuse_opcode.FUSE_SETLK, -11, false)]
    [DataRow(fuse_opcode.FUSE_GETLK, 0, false)]
    public void TryUnlock_OfAGrantedLock_GivesItBackAndLeavesAllElse(fuse_opcode opcode, int error, bool expected)
    {
        int length = sizeof(fuse_in_header) + sizeof(fuse_lk_in);
        byte* request = stackalloc byte[length];
        *(fuse_in_header*)request = new fuse_in_header { len = (uint)length, opcode = (uint)opcode, unique = 8, nodeid = 3 };
        var range = (fuse_lk_in*)(request + sizeof(fuse_in_header));
        *range = new fuse_lk_in { fh = 7, owner = 6, lk = new fuse_file_lock { start = 5, end = 9, type = 1 } };
        Assert.AreEqual(expected, LostReply.TryUnlock(request, length, error));
        Assert.AreEqual(expected ? 2u : 1u, range->lk.type);
        Assert.AreEqual(expected ? LostReply.InternalUnique : 8, ((fuse_in_header*)request)->unique);
        Assert.AreEqual(expected ? fuse_opcode.FUSE_SETLK : opcode, (fuse_opcode)((fuse_in_header*)request)->opcode);
        Assert.AreEqual((7UL, 6UL, 5UL, 9UL), (range->fh, range->owner, range->lk.start, range->lk.end));
        Assert.IsFalse(LostReply.TryUnlock(request, length - 1, 0), "cut off");
    }

    [TestMethod]
    [TestCategory("unit")]
    [DataRow(fuse_opcode.FUSE_LOOKUP)]
    [DataRow(fuse_opcode.FUSE_MKNOD)]
    [DataRow(fuse_opcode.FUSE_MKDIR)]
    [DataRow(fuse_opcode.FUSE_SYMLINK)]
    [DataRow(fuse_opcode.FUSE_LINK)]
    public void Compensate_Entry_ForgetsOneReference(fuse_opcode opcode)
    {
        (fuse_in_header? release, ulong _, fuse_in_header? forget, ulong count) = Compensate(opcode, 0, sizeof(fuse_entry_out));
        Assert.IsNull(release);
        Assert.AreEqual(Node, forget!.Value.nodeid);
        Assert.AreEqual(1u, count);
    }

    [TestMethod]
    [TestCategory("unit")]
    [DataRow(fuse_opcode.FUSE_CREATE)]
    [DataRow(fuse_opcode.FUSE_TMPFILE)]
    public void Compensate_Create_ReleasesThenForgets(fuse_opcode opcode)
    {
        (fuse_in_header? release, ulong handle, fuse_in_header? forget, ulong _) =
            Compensate(opcode, 0, sizeof(fuse_entry_out) + sizeof(fuse_open_out));
        Assert.AreEqual((uint)fuse_opcode.FUSE_RELEASE, release!.Value.opcode);
        Assert.AreEqual(Node, release.Value.nodeid);
        Assert.AreEqual(Handle, handle);
        Assert.AreEqual(Node, forget!.Value.nodeid);
    }

    [TestMethod]
    [TestCategory("unit")]
    [DataRow(fuse_opcode.FUSE_OPEN, fuse_opcode.FUSE_RELEASE)]
    [DataRow(fuse_opcode.FUSE_OPENDIR, fuse_opcode.FUSE_RELEASEDIR)]
    public void Compensate_Open_Releases(fuse_opcode opcode, fuse_opcode expected)
    {
        (fuse_in_header? release, ulong handle, fuse_in_header? forget, ulong _) = Compensate(opcode, 0, sizeof(fuse_open_out));
        Assert.AreEqual((uint)expected, release!.Value.opcode);
        Assert.AreEqual(Handle, handle);
        Assert.IsNull(forget);
    }

    [TestMethod]
    [TestCategory("unit")]
    public void Compensate_ErrorShortReplyOrOtherOpcode_GivesNothingBack()
    {
        foreach (fuse_opcode opcode in Enum.GetValues<fuse_opcode>())
        {
            Assert.AreEqual((null, 0ul, null, 0ul), Compensate(opcode, -2, 0), opcode.ToString());
            Assert.AreEqual((null, 0ul, null, 0ul), Compensate(opcode, 0, 8), opcode.ToString());
        }

        Assert.AreEqual((null, 0ul, null, 0ul), Compensate(fuse_opcode.FUSE_GETATTR, 0, sizeof(fuse_attr_out)));
    }

    private static (fuse_in_header? Release, ulong Handle, fuse_in_header? Forget, ulong Count) Compensate(fuse_opcode opcode, int error, int bodyLength)
    {
        byte* reply = stackalloc byte[512];
        new Span<byte>(reply, 512).Clear();
        ((fuse_out_header*)reply)->error = error;
        byte* body = reply + sizeof(fuse_out_header);
        bool isOpen = opcode is fuse_opcode.FUSE_OPEN or fuse_opcode.FUSE_OPENDIR;
        if (isOpen)
        {
            ((fuse_open_out*)body)->fh = Handle;
        }
        else
        {
            ((fuse_entry_out*)body)->nodeid = Node;
            ((fuse_open_out*)(body + sizeof(fuse_entry_out)))->fh = Handle;
        }

        byte* messages = stackalloc byte[LostReply.MaxLength];
        LostReply.Compensate((uint)opcode, Node, reply, sizeof(fuse_out_header) + bodyLength, messages, out int release, out int forget);
        fuse_in_header? released = release > 0 ? *(fuse_in_header*)messages : null;
        ulong handle = release > 0 ? ((fuse_release_in*)(messages + sizeof(fuse_in_header)))->fh : 0;
        fuse_in_header? forgot = forget > 0 ? *(fuse_in_header*)(messages + release) : null;
        ulong count = forget > 0 ? ((fuse_forget_in*)(messages + release + sizeof(fuse_in_header)))->nlookup : 0;
        return (released, handle, forgot, count);
    }
}
