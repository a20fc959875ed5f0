using System.Runtime.InteropServices;
using Dpu.Fuse.Wire;
using Dpu.Linux;
using Dpu.Qtfs.Mount;

namespace Dpu.Qtfs.Tests.Mount;

[TestClass]
public sealed class FlushRulesTests
{
    private const ulong Node = (7ul << 32) | 3;
    private const ulong Handle = (9ul << 32) | 5;

    [TestMethod]
    [TestCategory("unit")]
    public void Flush_OfAFileOpenedForReading_IsNeedless()
    {
        var rules = new FlushRules();
        Assert.IsFalse(IsNeedless(rules, Node, Handle), "of a handle that is not known");
        Opened(rules, fcntl.O_RDONLY);
        Assert.IsTrue(IsNeedless(rules, Node, Handle));
        Assert.IsFalse(IsNeedless(rules, Node, Handle + (1ul << 32)), "of another handle with that index");
    }

    [TestMethod]
    [TestCategory("unit")]
    [DataRow(fcntl.O_WRONLY)]
    [DataRow(fcntl.O_RDWR)]
    [DataRow(fcntl.O_RDONLY | fcntl.O_TRUNC)]
    public void Flush_OfAFileThatMayBeWritten_IsNot(int flags)
    {
        var rules = new FlushRules();
        Opened(rules, flags);
        Assert.IsFalse(IsNeedless(rules, Node, Handle));
    }

    [TestMethod]
    [TestCategory("unit")]
    public void Flush_OfAFileThatTheHostMarks_IsNeedless_AndTheKernelDoesNotSeeTheMark()
    {
        var rules = new FlushRules();
        Assert.AreEqual(FuseConstants.FOPEN_KEEP_CACHE, Opened(rules, fcntl.O_RDWR, FuseConstants.FOPEN_KEEP_CACHE | FuseConstants.FOPEN_NOFLUSH));
        Assert.IsTrue(IsNeedless(rules, Node, Handle));
        Sending(rules, fuse_opcode.FUSE_SETLK, Node, default(fuse_lk_in));
        Assert.IsFalse(IsNeedless(rules, Node, Handle), "its process may have locks");
    }

    [TestMethod]
    [TestCategory("unit")]
    [DataRow(fuse_opcode.FUSE_SETLK, 0u, false)]
    [DataRow(fuse_opcode.FUSE_SETLKW, 0u, false)]
    [DataRow(fuse_opcode.FUSE_SETLK, FuseConstants.FUSE_LK_FLOCK, true)]
    public void Flush_OfANodeThatWasLocked_IsNot(fuse_opcode opcode, uint flags, bool needless)
    {
        var rules = new FlushRules();
        Opened(rules, fcntl.O_RDONLY);
        Sending(rules, opcode, Node, new fuse_lk_in { lk_flags = flags });
        Assert.AreEqual(needless, IsNeedless(rules, Node, Handle));
        Assert.IsTrue(IsNeedless(rules, Node + 1, Handle), "of another node");
    }

    [TestMethod]
    [TestCategory("unit")]
    public void Flush_OfANodeThatCannotBeRemembered_IsNot()
    {
        var rules = new FlushRules();
        Opened(rules, fcntl.O_RDONLY);
        Assert.IsFalse(IsNeedless(rules, uint.MaxValue, Handle));
    }

    [TestMethod]
    [TestCategory("unit")]
    public void Released_HandleIsForgotten()
    {
        var rules = new FlushRules();
        Opened(rules, fcntl.O_RDONLY);
        Sending(rules, fuse_opcode.FUSE_RELEASE, Node, new fuse_release_in { fh = Handle });
        Assert.IsFalse(IsNeedless(rules, Node, Handle));
    }

    private static unsafe uint Opened(FlushRules rules, int flags, uint openFlags = 0)
    {
        byte[] request = Message(fuse_opcode.FUSE_OPEN, Node, new fuse_open_in { flags = (uint)flags });
        byte[] reply = new byte[sizeof(fuse_out_header) + sizeof(fuse_open_out)];
        MemoryMarshal.Write(reply.AsSpan(sizeof(fuse_out_header)), new fuse_open_out { fh = Handle, open_flags = openFlags });
        fixed (byte* asked = request, answered = reply)
        {
            rules.Sending(asked, request.Length);
            rules.Answered(asked, request.Length, answered, reply.Length);
        }

        return MemoryMarshal.Read<fuse_open_out>(reply.AsSpan(sizeof(fuse_out_header))).open_flags;
    }

    private static unsafe void Sending<T>(FlushRules rules, fuse_opcode opcode, ulong node, T body)
        where T : unmanaged
    {
        byte[] request = Message(opcode, node, body);
        fixed (byte* asked = request)
        {
            rules.Sending(asked, request.Length);
        }
    }

    private static unsafe bool IsNeedless(FlushRules rules, ulong node, ulong handle)
    {
        byte[] request = Message(fuse_opcode.FUSE_FLUSH, node, new fuse_flush_in { fh = handle });
        fixed (byte* asked = request)
        {
            return rules.IsNeedless(asked, request.Length);
        }
    }

    private static unsafe byte[] Message<T>(fuse_opcode opcode, ulong node, T body)
        where T : unmanaged
    {
        byte[] message = new byte[sizeof(fuse_in_header) + sizeof(T)];
        MemoryMarshal.Write(message, new fuse_in_header { len = (uint)message.Length, opcode = (uint)opcode, nodeid = node });
        MemoryMarshal.Write(message.AsSpan(sizeof(fuse_in_header)), body);
        return message;
    }
}
