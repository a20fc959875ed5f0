using System.Text;
using Dpu.Fuse.Wire;
using Dpu.Linux;
using Dpu.Qtfs.Mount.Coherence;

namespace Dpu.Qtfs.Tests.Mount.Coherence;

[TestClass]
public sealed unsafe class FreshFilesTests
{
    private const ulong Node = (3ul << 32) | 9;

    [TestMethod]
    [TestCategory("unit")]
    [DataRow(fcntl.O_EXCL, 10ul, true)]
    [DataRow(fcntl.O_TRUNC, 10ul, true)]
    [DataRow(fcntl.O_EXCL, 0ul, false)]
    [DataRow(0, 10ul, false)]
    public void HasNoCapability_OfAFileThatWasMade_OnceWhereItsAttributesAreGranted(int flags, ulong granted, bool expected)
    {
        FreshFiles files = new();
        Make(files, flags, granted, error: 0);
        Assert.AreEqual(expected, Asks(files, Node, "security.capability"));
        Assert.IsFalse(Asks(files, Node, "security.capability"), "once");
    }

    [TestMethod]
    [TestCategory("unit")]
    public void HasNoCapability_OfAnyOtherQuestion_False()
    {
        FreshFiles files = new();
        Make(files, fcntl.O_EXCL, 10, error: 0);
        Assert.IsFalse(Asks(files, Node, "security.capabilities"));
        Assert.IsFalse(Asks(files, Node, "user.x"));
        Assert.IsFalse(Asks(files, Node + (1ul << 32), "security.capability"), "another life of the index");
        Assert.IsFalse(Asks(files, Node, "security.capability", cut: 1), "no NUL");
        Assert.IsTrue(Asks(files, Node, "security.capability"));
    }

    [TestMethod]
    [TestCategory("unit")]
    [DataRow("notification")]
    [DataRow("own change")]
    [DataRow("failed")]
    public void HasNoCapability_OfAFileThatMayHaveOne_False(string how)
    {
        FreshFiles files = new();
        Make(files, fcntl.O_EXCL, 10, error: how == "failed" ? -errno.EEXIST : 0);
        if (how == "notification")
        {
            files.Changed(Node);
        }
        else if (how == "own change")
        {
            var request = new fuse_in_header { opcode = (uint)fuse_opcode.FUSE_SETXATTR, nodeid = Node, len = (uint)sizeof(fuse_in_header) };
            files.Sending((byte*)&request);
        }

        Assert.IsFalse(Asks(files, Node, "security.capability"));
    }

    private static void Make(FreshFiles files, int flags, ulong granted, int error)
    {
        byte* request = stackalloc byte[sizeof(fuse_in_header) + sizeof(fuse_create_in)];
        *(fuse_in_header*)request = new fuse_in_header { opcode = (uint)fuse_opcode.FUSE_CREATE, nodeid = 1 };
        *(fuse_create_in*)(request + sizeof(fuse_in_header)) = new fuse_create_in { flags = (uint)(fcntl.O_CREAT | flags) };
        byte* reply = stackalloc byte[sizeof(fuse_out_header) + sizeof(fuse_entry_out) + sizeof(fuse_open_out)];
        *(fuse_out_header*)reply = new fuse_out_header { error = error };
        *(fuse_entry_out*)(reply + sizeof(fuse_out_header)) = new fuse_entry_out { nodeid = Node, attr_valid = granted };
        files.Answered(
            request,
            sizeof(fuse_in_header) + sizeof(fuse_create_in),
            reply,
            error == 0 ? sizeof(fuse_out_header) + sizeof(fuse_entry_out) + sizeof(fuse_open_out) : sizeof(fuse_out_header));
    }

    private static bool Asks(FreshFiles files, ulong node, string name, int cut = 0)
    {
        byte[] message = new byte[sizeof(fuse_in_header) + sizeof(fuse_getxattr_in) + name.Length + 1 - cut];
        fixed (byte* request = message)
        {
            *(fuse_in_header*)request = new fuse_in_header { opcode = (uint)fuse_opcode.FUSE_GETXATTR, nodeid = node };
            Encoding.ASCII.GetBytes(name).CopyTo(message, sizeof(fuse_in_header) + sizeof(fuse_getxattr_in));
            return files.HasNoCapability(request, message.Length);
        }
    }
}
