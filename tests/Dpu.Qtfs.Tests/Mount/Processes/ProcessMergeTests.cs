using System.Globalization;
using System.Text;
using Dpu.Fuse.Wire;
using Dpu.Linux;
using Dpu.Qtfs.Mount.Processes;

namespace Dpu.Qtfs.Tests.Mount.Processes;

/// <summary>What a merged mount answers in its host's place, and what it believes of a host.</summary>
[TestClass]
public sealed unsafe class ProcessMergeTests
{
    private const int Room = 1 << 16;

    [TestMethod]
    [TestCategory("unit")]
    [DataRow("1", 1)]
    [DataRow("4194303", 4194303)]
    [DataRow("2147483647", int.MaxValue)]
    [DataRow("2147483648", 0)]
    [DataRow("99999999999", 0)]
    [DataRow("0", 0)]
    [DataRow("01", 0)]
    [DataRow("1x", 0)]
    [DataRow("-1", 0)]
    [DataRow("", 0)]
    public void TryNumber_OfAName_TakesWhatProcfsWrites(string name, int expected)
    {
        Assert.AreEqual(expected > 0, OwnNodes.TryNumber(Encoding.ASCII.GetBytes(name), out int number));
        if (expected > 0)
        {
            Assert.AreEqual(expected, number);
            Assert.IsTrue(OwnNodes.TryProcess(OwnNodes.OfProcess(number), out int again));
            Assert.AreEqual(number, again);
        }
    }

    [TestMethod]
    [TestCategory("unit")]
    public void TryProcess_OfAnyOtherNode_IsNone()
    {
        foreach (ulong node in new ulong[] { 1, OwnNodes.Folder, OwnNodes.Self, OwnNodes.Net, OwnNodes.OfProcess(1) & ~OwnNodes.Mark, OwnNodes.OfProcess(0), OwnNodes.OfProcess(5) | (1UL << 40), ulong.MaxValue })
        {
            Assert.IsFalse(OwnNodes.TryProcess(node, out _), node.ToString("x", CultureInfo.InvariantCulture));
        }
    }

    [TestMethod]
    [TestCategory("unit")]
    public void Lookup_OfOwnAndOthersNumbers_GoesToWhomTheyBelong()
    {
        using var lab = new Lab();
        string own = Environment.ProcessId.ToString(CultureInfo.InvariantCulture);
        Assert.IsGreaterThan(0, lab.Lookup(own, pid: (uint)Environment.ProcessId));
        Assert.AreEqual(OwnNodes.OfProcess(Environment.ProcessId), lab.Entry->nodeid);
        Assert.AreEqual(0ul, lab.Entry->entry_valid);
        Assert.AreEqual(".local/" + own, lab.ReadLink(lab.Entry->nodeid, 0));
        Assert.AreEqual(own, lab.ReadLink(OwnNodes.Self, (uint)Environment.ProcessId));
        Assert.AreEqual("", lab.ReadLink(OwnNodes.Self, 0));

        // Whoever is in no namespace below has nothing here, and a number of nobody is the host's.
        Assert.AreEqual(ProcessMerge.Forward, lab.Lookup(own, pid: 0));
        Assert.AreEqual(ProcessMerge.Forward, lab.Lookup("2147483647", pid: (uint)Environment.ProcessId));
        Assert.AreEqual(ProcessMerge.Forward, lab.Lookup("meminfo", pid: (uint)Environment.ProcessId));
    }

    [TestMethod]
    [TestCategory("unit")]
    public void EveryOpcode_OfAnOwnNode_IsAnsweredHere_AndNeverWithEnosys()
    {
        using var lab = new Lab();
        foreach (fuse_opcode opcode in Enum.GetValues<fuse_opcode>())
        {
            foreach (ulong node in new[] { OwnNodes.Folder, OwnNodes.Self, OwnNodes.OfProcess(4), OwnNodes.Mark | 77 })
            {
                int answered = lab.Ask(opcode, node, pid: 1, new byte[128]);
                if (opcode is fuse_opcode.FUSE_FORGET or fuse_opcode.FUSE_BATCH_FORGET)
                {
                    Assert.AreEqual(ProcessMerge.Done, answered, opcode.ToString());
                    continue;
                }

                Assert.IsGreaterThanOrEqualTo(sizeof(fuse_out_header), answered, opcode.ToString());
                Assert.AreEqual((uint)answered, lab.Header->len);
                Assert.AreNotEqual(-errno.ENOSYS, lab.Header->error, opcode.ToString());
            }
        }
    }

    [TestMethod]
    [TestCategory("unit")]
    public void BatchForget_OfOwnAndHosts_LeavesTheHosts()
    {
        using var lab = new Lab();
        ulong[] nodes = [5, OwnNodes.Self, 6, OwnNodes.OfProcess(9), 7];
        byte[] body = new byte[sizeof(fuse_batch_forget_in) + (nodes.Length * sizeof(fuse_forget_one))];
        fixed (byte* list = body)
        {
            ((fuse_batch_forget_in*)list)->count = (uint)nodes.Length;
            for (int i = 0; i < nodes.Length; i++)
            {
                ((fuse_forget_one*)(list + sizeof(fuse_batch_forget_in)))[i] = new fuse_forget_one { nodeid = nodes[i], nlookup = 1 };
            }
        }

        Assert.AreEqual(ProcessMerge.Forward, lab.Ask(fuse_opcode.FUSE_BATCH_FORGET, 0, 0, body));
        var left = (fuse_batch_forget_in*)(lab.Request + sizeof(fuse_in_header));
        Assert.AreEqual(3u, left->count);
        Assert.AreEqual((uint)lab.Length, ((fuse_in_header*)lab.Request)->len);
        CollectionAssert.AreEqual(new ulong[] { 5, 6, 7 }, Enumerable.Range(0, 3).Select(i => ((fuse_forget_one*)(left + 1))[i].nodeid).ToArray());
    }

    [TestMethod]
    [TestCategory("unit")]
    public void Reply_ThatNamesAnOwnNode_IsForged()
    {
        byte[] reply = new byte[1024];
        fixed (byte* answer = reply)
        {
            var entry = (fuse_entry_out*)(answer + sizeof(fuse_out_header));
            entry->nodeid = OwnNodes.Self;
            Assert.IsTrue(ProcessMerge.IsForged((uint)fuse_opcode.FUSE_LOOKUP, answer, sizeof(fuse_out_header) + sizeof(fuse_entry_out)));
            entry->nodeid = 2;
            Assert.IsFalse(ProcessMerge.IsForged((uint)fuse_opcode.FUSE_LOOKUP, answer, sizeof(fuse_out_header) + sizeof(fuse_entry_out)));

            // The second of two listed.
            var line = (fuse_direntplus*)(answer + sizeof(fuse_out_header));
            *line = new fuse_direntplus { dirent = new fuse_dirent { namelen = 3 } };
            int step = (sizeof(fuse_direntplus) + 3 + 7) & ~7;
            ((fuse_direntplus*)((byte*)line + step))->entry_out.nodeid = OwnNodes.OfProcess(1);
            Assert.IsTrue(ProcessMerge.IsForged((uint)fuse_opcode.FUSE_READDIRPLUS, answer, sizeof(fuse_out_header) + (2 * step)));
            Assert.IsFalse(ProcessMerge.IsForged((uint)fuse_opcode.FUSE_READDIRPLUS, answer, sizeof(fuse_out_header) + step));
        }
    }

    [TestMethod]
    [TestCategory("unit")]
    [DataRow(false)]
    [DataRow(true)]
    public void Listing_OfHostAndOwn_HasEachOnce_AndGoesOnWhereItStopped(bool plus)
    {
        using var lab = new Lab();
        using var listing = new ProcessListing(lab.Merge);
        string own = Environment.ProcessId.ToString(CultureInfo.InvariantCulture);

        // The host lists a number that the reader has too, and what no host should.
        string[] host = [".", "..", "sys", own, "self", "2147483647", "meminfo", .. Enumerable.Range(0, 200).Select(i => $"file{i}")];
        List<string> names = [];
        ulong offset = 0;
        for (int round = 0; round < 1000; round++)
        {
            byte[] asked = new byte[sizeof(fuse_read_in)];
            fixed (byte* body = asked)
            {
                *(fuse_read_in*)body = new fuse_read_in { offset = offset, size = 1024 };
            }

            lab.Write(plus ? fuse_opcode.FUSE_READDIRPLUS : fuse_opcode.FUSE_READDIR, 1, (uint)Environment.ProcessId, asked);
            int length = listing.Begin(lab.Request);
            while (length == 0)
            {
                byte[] answer = Host(lab.Request, host);
                fixed (byte* body = answer)
                {
                    length = listing.Take(lab.Request, body, answer.Length);
                }
            }

            Assert.IsLessThanOrEqualTo(1024 + sizeof(fuse_out_header), length);
            if (length == sizeof(fuse_out_header))
            {
                break;
            }

            for (byte* at = listing.Reply + sizeof(fuse_out_header); at < listing.Reply + length;)
            {
                fuse_dirent* entry = plus ? &((fuse_direntplus*)at)->dirent : (fuse_dirent*)at;
                int head = plus ? sizeof(fuse_direntplus) : sizeof(fuse_dirent);
                Assert.IsTrue(!plus || ((fuse_direntplus*)at)->entry_out.nodeid == 0);
                names.Add(Encoding.ASCII.GetString(at + head, (int)entry->namelen));
                offset = entry->off;
                at += (head + (int)entry->namelen + 7) & ~7;
            }
        }

        CollectionAssert.AreEqual(host.Where(name => name != own && name != "self").ToArray(), names.Take(host.Length - 2).ToArray());
        Assert.AreEqual(1, names.Count(name => name == own));
        Assert.AreEqual(1, names.Count(name => name == "self"));
        Assert.AreEqual(1, names.Count(name => name == "thread-self"));
        CollectionAssert.AreEqual(names.Distinct().ToArray(), names);
    }

    [TestMethod]
    [TestCategory("unit")]
    public void Listing_OfAHostThatLies_EndsTheConnectionOrIsCut()
    {
        using var lab = new Lab();
        using var listing = new ProcessListing(lab.Merge);
        var random = new Random(20261121);
        for (int round = 0; round < 20_000; round++)
        {
            lab.Write(random.Next(2) == 0 ? fuse_opcode.FUSE_READDIRPLUS : fuse_opcode.FUSE_READDIR, 1, 1, ReadIn(random.Next(8192)));
            Assert.AreEqual(0, listing.Begin(lab.Request));
            byte[] answer = new byte[sizeof(fuse_out_header) + random.Next(512)];
            random.NextBytes(answer);
            fixed (byte* body = answer)
            {
                ((fuse_out_header*)body)->error = 0;
                if (answer.Length >= sizeof(fuse_out_header) + sizeof(fuse_dirent) && random.Next(2) == 0)
                {
                    ((fuse_dirent*)(body + sizeof(fuse_out_header)))->namelen = (uint)random.Next(300);
                    ((fuse_dirent*)(body + sizeof(fuse_out_header)))->off = (ulong)random.Next();
                }

                try
                {
                    int length = listing.Take(lab.Request, body, answer.Length);
                    Assert.IsLessThanOrEqualTo(8192 + sizeof(fuse_out_header), length);
                }
                catch (FuseChannelException)
                {
                    // Expected of most of them: the connection ends.
                }
            }
        }
    }

    private static byte[] ReadIn(int size)
    {
        byte[] asked = new byte[sizeof(fuse_read_in)];
        fixed (byte* body = asked)
        {
            *(fuse_read_in*)body = new fuse_read_in { size = (uint)size };
        }

        return asked;
    }

    // A host whose positions are indices.
    private static byte[] Host(byte* request, string[] names)
    {
        Assert.AreEqual((uint)fuse_opcode.FUSE_READDIR, ((fuse_in_header*)request)->opcode);
        var asked = (fuse_read_in*)(request + sizeof(fuse_in_header));
        List<byte> reply = [.. new byte[sizeof(fuse_out_header)]];
        for (int i = (int)asked->offset; i < names.Length; i++)
        {
            byte[] line = new byte[(sizeof(fuse_dirent) + names[i].Length + 7) & ~7];
            if (reply.Count - sizeof(fuse_out_header) + line.Length > asked->size)
            {
                break;
            }

            fixed (byte* at = line)
            {
                *(fuse_dirent*)at = new fuse_dirent { ino = 1, off = (ulong)i + 1, namelen = (uint)names[i].Length };
            }

            Encoding.ASCII.GetBytes(names[i], line.AsSpan(sizeof(fuse_dirent)));
            reply.AddRange(line);
        }

        return [.. reply];
    }

    private sealed class Lab : IDisposable
    {
        private readonly OwnProcesses _processes = new(folder: null);
        private readonly byte* _request = (byte*)System.Runtime.InteropServices.NativeMemory.AllocZeroed(Room);
        private readonly byte* _reply = (byte*)System.Runtime.InteropServices.NativeMemory.AllocZeroed(Room);

        public Lab() => Merge = new ProcessMerge(_processes);

        public ProcessMerge Merge { get; }

        public byte* Request => _request;

        public int Length { get; private set; }

        public fuse_out_header* Header => (fuse_out_header*)_reply;

        public fuse_entry_out* Entry => (fuse_entry_out*)(_reply + sizeof(fuse_out_header));

        public void Write(fuse_opcode opcode, ulong node, uint pid, ReadOnlySpan<byte> body)
        {
            Length = sizeof(fuse_in_header) + body.Length;
            *(fuse_in_header*)_request = new fuse_in_header { len = (uint)Length, opcode = (uint)opcode, nodeid = node, pid = pid, unique = 6 };
            body.CopyTo(new Span<byte>(_request + sizeof(fuse_in_header), body.Length));
        }

        public int Ask(fuse_opcode opcode, ulong node, uint pid, ReadOnlySpan<byte> body)
        {
            Write(opcode, node, pid, body);
            int length = Length;
            int answered = Merge.TryAnswer(_request, ref length, _reply);
            Length = length;
            return answered;
        }

        public int Lookup(string name, uint pid) => Ask(fuse_opcode.FUSE_LOOKUP, FuseConstants.FUSE_ROOT_ID, pid, Encoding.ASCII.GetBytes(name + '\0'));

        public string ReadLink(ulong node, uint pid)
        {
            int length = Ask(fuse_opcode.FUSE_READLINK, node, pid, []);
            return Encoding.ASCII.GetString(_reply + sizeof(fuse_out_header), length - sizeof(fuse_out_header));
        }

        public void Dispose()
        {
            System.Runtime.InteropServices.NativeMemory.Free(_request);
            System.Runtime.InteropServices.NativeMemory.Free(_reply);
            _processes.Dispose();
        }
    }
}
