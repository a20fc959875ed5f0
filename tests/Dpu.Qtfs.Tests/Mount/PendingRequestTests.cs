using System.Runtime.InteropServices;
using Dpu.Fuse.Wire;
using Dpu.Linux;
using Dpu.Qtfs.Mount;
using Microsoft.Win32.SafeHandles;

namespace Dpu.Qtfs.Tests.Mount;

[TestClass]
public sealed class PendingRequestTests
{
    private static readonly int s_header = Marshal.SizeOf<fuse_in_header>();

    [TestMethod]
    [TestCategory("unit")]
    public void TryNext_AskedThenInterrupted_SaysEachOnce()
    {
        PendingRequest request = Make();
        Assert.AreEqual(fuse_opcode.FUSE_SETLKW, Next(request));
        Assert.IsNull(Next(request));
        request.Interrupted = true;
        Assert.AreEqual(fuse_opcode.FUSE_INTERRUPT, Next(request));
        Assert.IsNull(Next(request));

        // By another connection all of it is said again, in this order.
        request.AskAgain();
        Assert.AreEqual(fuse_opcode.FUSE_SETLKW, Next(request));
        Assert.AreEqual(fuse_opcode.FUSE_INTERRUPT, Next(request));
        Assert.IsNull(Next(request));
    }

    [TestMethod]
    [TestCategory("unit")]
    public void TryNext_CallerAnsweredMeanwhile_UnlocksInItsPlace()
    {
        PendingRequest request = Make();
        Assert.AreEqual(fuse_opcode.FUSE_SETLKW, Next(request));
        request.Interrupted = true;
        request.Orphan = true;
        Assert.IsNull(Next(request), "the host's answer decides");
        request.AskAgain();
        Assert.IsFalse(request.Undone);
        byte[] message = new byte[256];
        Assert.IsTrue(request.TryNext(message, out int length));
        Assert.IsTrue(request.Undone);
        Assert.AreEqual(s_header + Marshal.SizeOf<fuse_lk_in>(), length);
        fuse_in_header header = MemoryMarshal.Read<fuse_in_header>(message);
        fuse_lk_in range = MemoryMarshal.Read<fuse_lk_in>(message.AsSpan(s_header));
        Assert.AreEqual(((uint)fuse_opcode.FUSE_SETLK, 8UL, 3UL), (header.opcode, header.unique, header.nodeid));
        Assert.AreEqual(((uint)fcntl.F_UNLCK, 5UL, 9UL, 7UL, 6UL), (range.lk.type, range.lk.start, range.lk.end, range.fh, range.owner));
    }

    private static PendingRequest Make()
    {
        byte[] message = new byte[s_header + Marshal.SizeOf<fuse_lk_in>()];
        MemoryMarshal.Write(message, new fuse_in_header { len = (uint)message.Length, opcode = (uint)fuse_opcode.FUSE_SETLKW, unique = 8, nodeid = 3 });
        MemoryMarshal.Write(message.AsSpan(s_header), new fuse_lk_in { fh = 7, owner = 6, lk = new fuse_file_lock { start = 5, end = 9, type = fcntl.F_WRLCK } });
        return new PendingRequest(message, new SafeFileHandle());
    }

    private static fuse_opcode? Next(PendingRequest request)
    {
        byte[] message = new byte[256];
        return request.TryNext(message, out _) ? (fuse_opcode)MemoryMarshal.Read<fuse_in_header>(message).opcode : null;
    }
}
