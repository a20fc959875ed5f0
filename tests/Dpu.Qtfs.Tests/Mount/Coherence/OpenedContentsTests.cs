using System.Text;
using Dpu.Fuse.Wire;
using Dpu.Linux;
using Dpu.Qtfs.Mount.Coherence;

namespace Dpu.Qtfs.Tests.Mount.Coherence;

[TestClass]
public sealed unsafe class OpenedContentsTests
{
    private const ulong Node = (3ul << 32) | 9;
    private const ulong Other = (1ul << 32) | (9 + 64);

    [TestMethod]
    [TestCategory("unit")]
    public void Content_IsToldOnce()
    {
        using OpenedContents contents = new();
        contents.Add(Node, contents.ChangesOf(Node), "content"u8);
        Assert.IsFalse(MayRead(contents, Node, offset: 4096));
        Assert.IsFalse(MayRead(contents, Other, offset: 0));
        Assert.IsTrue(MayRead(contents, Node, offset: 0));
        Assert.AreEqual("content", Take(contents, Node));
        Assert.AreEqual("", Take(contents, Node), "once");
        Assert.AreEqual(1, contents.Told);
    }

    [TestMethod]
    [TestCategory("unit")]
    public void Content_OfWhichLessIsAskedFor_IsNotTold()
    {
        using OpenedContents contents = new();
        contents.Add(Node, contents.ChangesOf(Node), "content"u8);
        Assert.AreEqual("", Take(contents, Node, 6));
        Assert.AreEqual("content", Take(contents, Node, 7));
    }

    [TestMethod]
    [TestCategory("unit")]
    public void Content_WhosePlaceAnotherNeeds_GivesWay()
    {
        using OpenedContents contents = new();
        contents.Add(Node, contents.ChangesOf(Node), "content"u8);
        contents.Add(Other, contents.ChangesOf(Other), new byte[ReplyTail.MostContent]);
        Assert.AreEqual("", Take(contents, Node));
        Assert.AreEqual(ReplyTail.MostContent, Take(contents, Other).Length);
    }

    // A change is counted when it is sent and when it is answered: wherever the content was read in between, it is not kept.
    [TestMethod]
    [TestCategory("unit")]
    [DataRow("sent, opened, answered, kept")]
    [DataRow("opened, sent, kept, answered")]
    [DataRow("opened, sent, answered, kept")]
    [DataRow("sent, opened, kept, answered")]
    [DataRow("opened, kept, sent, answered")]
    public void Content_OfAFileThatIsChangedMeanwhile_IsNotKept(string order)
    {
        using OpenedContents contents = new();
        int changes = 0;
        foreach (string step in order.Split(", "))
        {
            switch (step)
            {
                case "opened":
                    changes = contents.ChangesOf(Node);
                    break;
                case "kept":
                    contents.Add(Node, changes, "content"u8);
                    break;
                default:
                    Pass(contents, fuse_opcode.FUSE_WRITE, Node, sizeof(fuse_write_in));
                    break;
            }
        }

        Assert.AreEqual("", Take(contents, Node));
    }

    [TestMethod]
    [TestCategory("unit")]
    public void Content_AfterAnyRequestThatMayChangeIt_IsGone()
    {
        HashSet<fuse_opcode> harmless =
        [
            fuse_opcode.FUSE_LOOKUP, fuse_opcode.FUSE_FORGET, fuse_opcode.FUSE_BATCH_FORGET, fuse_opcode.FUSE_GETATTR, fuse_opcode.FUSE_STATX, fuse_opcode.FUSE_READLINK,
            fuse_opcode.FUSE_OPEN, fuse_opcode.FUSE_READ, fuse_opcode.FUSE_OPENDIR, fuse_opcode.FUSE_READDIR, fuse_opcode.FUSE_READDIRPLUS, fuse_opcode.FUSE_RELEASEDIR,
            fuse_opcode.FUSE_RELEASE, fuse_opcode.FUSE_FLUSH, fuse_opcode.FUSE_FSYNC, fuse_opcode.FUSE_GETXATTR, fuse_opcode.FUSE_LISTXATTR,
            fuse_opcode.FUSE_GETLK, fuse_opcode.FUSE_SETLK, fuse_opcode.FUSE_SETLKW, fuse_opcode.FUSE_LSEEK, fuse_opcode.FUSE_STATFS,

            // Names the node that it changes in its arguments; the test below.
            fuse_opcode.FUSE_COPY_FILE_RANGE,
        ];
        foreach (fuse_opcode opcode in Enum.GetValues<fuse_opcode>())
        {
            using OpenedContents contents = new();
            contents.Add(Node, contents.ChangesOf(Node), "content"u8);
            Pass(contents, opcode, Node, 64);
            Assert.AreEqual(harmless.Contains(opcode) ? "content" : "", Take(contents, Node), opcode.ToString());
        }
    }

    [TestMethod]
    [TestCategory("unit")]
    public void Content_OfWhatIsCopiedInto_IsGone()
    {
        using OpenedContents contents = new();
        contents.Add(Node, contents.ChangesOf(Node), "content"u8);
        byte* request = stackalloc byte[sizeof(fuse_in_header) + sizeof(fuse_copy_file_range_in)];
        *(fuse_in_header*)request = new fuse_in_header { opcode = (uint)fuse_opcode.FUSE_COPY_FILE_RANGE, nodeid = Other };
        *(fuse_copy_file_range_in*)(request + sizeof(fuse_in_header)) = new fuse_copy_file_range_in { nodeid_out = Node };
        contents.Passes(request, sizeof(fuse_in_header) + sizeof(fuse_copy_file_range_in));
        Assert.AreEqual("", Take(contents, Node));
    }

    [TestMethod]
    [TestCategory("unit")]
    public void Content_OfWhatACreationEmptied_IsGone()
    {
        using OpenedContents contents = new();
        contents.Add(Node, contents.ChangesOf(Node), "content"u8);
        byte* request = stackalloc byte[sizeof(fuse_in_header) + sizeof(fuse_create_in)];
        *(fuse_in_header*)request = new fuse_in_header { opcode = (uint)fuse_opcode.FUSE_CREATE, nodeid = 1 };
        byte* reply = stackalloc byte[sizeof(fuse_out_header) + sizeof(fuse_entry_out)];
        *(fuse_out_header*)reply = default;
        *(fuse_entry_out*)(reply + sizeof(fuse_out_header)) = new fuse_entry_out { nodeid = Node };
        contents.Answered(request, sizeof(fuse_in_header) + sizeof(fuse_create_in), reply, sizeof(fuse_out_header) + sizeof(fuse_entry_out));
        Assert.AreEqual("", Take(contents, Node));
    }

    [TestMethod]
    [TestCategory("unit")]
    public void Opening_AsksForAContent_ThatTheKernelHasNotHad()
    {
        using OpenedContents contents = new();
        Assert.IsTrue(Asks(contents, fcntl.O_RDONLY));
        Assert.IsFalse(Asks(contents, fcntl.O_RDWR));
        Assert.IsFalse(Asks(contents, fcntl.O_WRONLY));
        Assert.IsFalse(Asks(contents, fcntl.O_RDONLY | fcntl.O_TRUNC));
        Assert.IsFalse(Asks(contents, fcntl.O_RDONLY | fcntl.O_DIRECT));
        Pass(contents, fuse_opcode.FUSE_READ, Node, sizeof(fuse_read_in));
        Assert.IsFalse(Asks(contents, fcntl.O_RDONLY), "it has been read");
        contents.Changed(Node);
        Assert.IsTrue(Asks(contents, fcntl.O_RDONLY), "it has changed on the host");
        contents.Add(Node, contents.ChangesOf(Node), "content"u8);
        Assert.IsFalse(Asks(contents, fcntl.O_RDONLY), "it is here");
    }

    [TestMethod]
    [TestCategory("unit")]
    [DataRow(0, 0, "")]
    [DataRow(5, 0, "12345")]
    [DataRow(5, -errno.EIO, "")]
    [DataRow(ReplyTail.MostContent + 1, 0, "")]
    public void Answer_ContentBehindIt_IsTakenOffWhereItWasWanted(int size, int error, string expected)
    {
        byte* request = stackalloc byte[sizeof(fuse_in_header) + sizeof(fuse_open_in)];
        byte* reply = stackalloc byte[sizeof(fuse_out_header) + sizeof(fuse_open_out) + ReplyTail.MostContent + 1];
        foreach (bool wanted in (bool[])[true, false])
        {
            *(fuse_in_header*)request = new fuse_in_header { opcode = (uint)fuse_opcode.FUSE_OPEN };
            *(fuse_open_in*)(request + sizeof(fuse_in_header)) = new fuse_open_in { open_flags = wanted ? ReplyTail.WantsContent : 0 };
            int whole = sizeof(fuse_out_header) + sizeof(fuse_open_out) + size, length = whole;
            *(fuse_out_header*)reply = new fuse_out_header { len = (uint)length, error = error };
            "12345"u8.CopyTo(new Span<byte>(reply + sizeof(fuse_out_header) + sizeof(fuse_open_out), 5));
            string content = Encoding.ASCII.GetString(ReplyTail.TakeContent(request, sizeof(fuse_in_header) + sizeof(fuse_open_in), reply, ref length));
            Assert.AreEqual(wanted ? expected : "", content);
            Assert.AreEqual(content.Length == 0 ? whole : whole - size, length);
            Assert.AreEqual((uint)length, ((fuse_out_header*)reply)->len);
            Assert.AreEqual("", Encoding.ASCII.GetString(ReplyTail.TakeContent(request, sizeof(fuse_in_header), reply, ref length)), "a request that is cut");
        }
    }

    private static bool Asks(OpenedContents contents, int flags)
    {
        byte* request = stackalloc byte[sizeof(fuse_in_header) + sizeof(fuse_open_in)];
        *(fuse_in_header*)request = new fuse_in_header { opcode = (uint)fuse_opcode.FUSE_OPEN, nodeid = Node };

        // Whatever a kernel may mean by it: it is ours on the link.
        *(fuse_open_in*)(request + sizeof(fuse_in_header)) = new fuse_open_in { flags = (uint)flags, open_flags = ReplyTail.WantsContent };
        contents.Ask(request, sizeof(fuse_in_header) + sizeof(fuse_open_in));
        return ReplyTail.IsContentWanted(request, sizeof(fuse_in_header) + sizeof(fuse_open_in));
    }

    private static void Pass(OpenedContents contents, fuse_opcode opcode, ulong node, int size)
    {
        byte* request = stackalloc byte[sizeof(fuse_in_header) + size];
        new Span<byte>(request, sizeof(fuse_in_header) + size).Clear();
        *(fuse_in_header*)request = new fuse_in_header { opcode = (uint)opcode, nodeid = node };
        contents.Passes(request, sizeof(fuse_in_header) + size);
    }

    private static bool MayRead(OpenedContents contents, ulong node, ulong offset)
    {
        byte* request = stackalloc byte[sizeof(fuse_in_header) + sizeof(fuse_read_in)];
        *(fuse_in_header*)request = new fuse_in_header { opcode = (uint)fuse_opcode.FUSE_READ, nodeid = node };
        *(fuse_read_in*)(request + sizeof(fuse_in_header)) = new fuse_read_in { offset = offset, size = 4096 };
        return contents.MayAnswer(request, sizeof(fuse_in_header) + sizeof(fuse_read_in));
    }

    private static string Take(OpenedContents contents, ulong node, uint size = ReplyTail.MostContent)
    {
        byte* destination = stackalloc byte[ReplyTail.MostContent];
        return Encoding.ASCII.GetString(destination, contents.Take(node, size, destination));
    }
}
