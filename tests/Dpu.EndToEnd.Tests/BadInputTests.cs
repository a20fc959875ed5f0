using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;
using System.Text.Json.Nodes;
using Dpu.Fuse.Wire;
using Dpu.Link;
using Dpu.Linux;

namespace Dpu.EndToEnd.Tests;

/// <summary>
/// A hostile DPU against the real agent: after each attack another DPU's mount goes on with the file it has open, and
/// after a hundred the agent holds what it held before.
/// </summary>
[TestClass]
[DoNotParallelize]
public sealed class BadInputTests
{
    private const ulong Root = FuseConstants.FUSE_ROOT_ID;
    private static Pair s_pair = null!;
    private static string s_unix = null!;
    private static string s_mount = null!;
    private static FileStream s_open = null!;

    [ClassInitialize]
    public static void Start(TestContext _)
    {
        // The attacker, dpu1, comes by a unix socket; the honest dpu2 by TLS.
        s_pair = new Pair(LinkKind.Tls);
        s_unix = $"unix://{s_pair.Folder}/raw.sock";
        s_pair.Authority.Issue(LinkRole.Dpu, "dpu2", TimeSpan.FromHours(1));
        s_pair.AgentConfiguration["listen"]!.AsArray().Add(s_unix);
        s_pair.AgentConfiguration["peers"] = new JsonArray(new JsonObject { ["name"] = "dpu1", ["uid"] = 0 }, s_pair.Peer("dpu2"));
        string read = Directory.CreateDirectory(Path.Combine(s_pair.Folder, "read")).FullName;
        s_pair.AgentConfiguration["exports"] = new JsonArray(
            Pair.Export("data", s_pair.ExportRoot, peers: ["dpu1", "dpu2"]),
            Pair.Export("fixed", read, access: "read-only"));
        s_pair.AgentConfiguration["log"]!["level"] = "Warning";
        File.WriteAllText(Path.Combine(s_pair.ExportRoot, "f"), "content");
        File.WriteAllText(Path.Combine(read, "f"), "content");
        File.WriteAllText(Path.Combine(s_pair.Folder, "outside"), "not exported");
        s_pair.StartAgent();
        JsonObject configuration = s_pair.RuntimeConfiguration("dpu2");
        JsonObject mount = s_pair.Mount("data", "data");
        configuration["mounts"]!.AsArray().Add(mount);
        s_pair.StartRuntime(configuration, "dpu2");
        s_mount = mount["target"]!.GetValue<string>();
        Pair.WaitMounted(s_mount);
        s_open = File.OpenRead(Path.Combine(s_mount, "f"));
    }

    [ClassCleanup]
    public static void Stop()
    {
        s_open.Dispose();
        s_pair.Dispose();
    }

    [TestMethod]
    [TestCategory("root")]
    [DataRow("noise", "3a1b0000ffffffff00000000deadbeef")]
    [DataRow("http", "474554202f20485454502f312e310d0a0d0a")]
    [DataRow("oversized", "4450554cffffffff")]
    [DataRow("one byte too long", "4450554c00001001")]
    [DataRow("no protocol buffer", "4450554c00000004ffffffff")]
    [DataRow("empty", "4450554c00000000")]
    [DataRow("no session id", "4450554c000000040a020801")]
    public void MalformedHello_IsRefusedWithAnAnswerAndCut(string name, string bytes)
    {
        byte[] sent = Convert.FromHexString(bytes);
        Attack(() =>
        {
            using Socket socket = Connect(s_unix);
            socket.Send(sent);
            socket.Shutdown(SocketShutdown.Send);
            byte[] answer = ReadToEnd(socket);
            Assert.AreEqual("DPUL", System.Text.Encoding.ASCII.GetString(answer.AsSpan(0, 4)), $"the answer to {name}");
            Assert.AreEqual(answer.Length - 8, BinaryPrimitives.ReadInt32BigEndian(answer.AsSpan(4)));
            var reply = Dpu.Proto.V1.HelloReply.Parser.ParseFrom(answer, 8, answer.Length - 8);
            Assert.AreEqual(Dpu.Proto.V1.HelloStatus.Malformed, reply.Status);
            Assert.Contains("hello is malformed", reply.Message);
        });
    }

    [TestMethod]
    [TestCategory("root")]
    [DataRow("nothing", "")]
    [DataRow("half a header", "4450")]
    [DataRow("half a message", "4450554c000000400a020801")]
    public void TruncatedHello_IsCutWithoutAnAnswer(string name, string bytes)
    {
        byte[] sent = Convert.FromHexString(bytes);
        Attack(() =>
        {
            using Socket socket = Connect(s_unix);
            socket.Send(sent);
            socket.Shutdown(SocketShutdown.Send);
            Assert.IsEmpty(ReadToEnd(socket), name);
        });
    }

    [TestMethod]
    [TestCategory("root")]
    [DataRow("plain hello", "4450554c000000040a020801")]
    [DataRow("half a ClientHello", "160301020001000100")]
    [DataRow("noise", "3a1b0000ffffffff00000000deadbeef")]
    public void NoTls_OnATlsEndpoint_IsCut(string name, string bytes)
    {
        byte[] sent = Convert.FromHexString(bytes);
        Attack(() =>
        {
            using Socket socket = Connect(s_pair.Endpoint);
            socket.Send(sent);
            socket.Shutdown(SocketShutdown.Send);

            // At most a TLS alert comes back: never a word of the link's protocol.
            Assert.IsLessThan(16, ReadToEnd(socket).Length, name);
        });
    }

    [TestMethod]
    [TestCategory("root")]
    public void PeersThatStallInTheHello_AreCutAndHoldNobodyUp()
    {
        Socket[] stalled = [.. Enumerable.Range(0, 16).Select(_ => Connect(s_unix))];
        foreach (Socket socket in stalled)
        {
            socket.Send("DPUL"u8);
        }

        AssertOthersWork();
        using (RawLane lane = RawLane.OpenInitialized(s_unix, 1))
        {
            Assert.AreEqual(0, lane.Call(FuseMessage.Request(fuse_opcode.FUSE_STATFS)).Error, "others say hello meanwhile");
        }

        foreach (Socket socket in stalled)
        {
            // 5 s after its connection, whatever the others do.
            Assert.IsEmpty(ReadToEnd(socket));
            socket.Dispose();
        }

        AssertOthersWork();
    }

    [TestMethod]
    [TestCategory("root")]
    [DataRow(0u)]
    [DataRow(39u)]
    [DataRow((1u << 20) + 4097)]
    [DataRow(0x8000_0000u)]
    [DataRow(0xffff_ffffu)]
    public void FrameLength_OutOfBounds_IsCut(uint length) => Attack(() =>
    {
        using RawLane lane = RawLane.OpenInitialized(s_unix, 1);
        byte[] request = FuseMessage.Request(fuse_opcode.FUSE_STATFS);
        BinaryPrimitives.WriteUInt32LittleEndian(request, length);
        lane.TrySend(request);
        lane.AssertCut();
    });

    [TestMethod]
    [TestCategory("root")]
    [DataRow(1)]
    [DataRow(39)]
    [DataRow(45)]
    public void TruncatedMessage_ThenClose_EndsThatConnectionOnly(int sent) => Attack(() =>
    {
        using RawLane lane = RawLane.OpenInitialized(s_unix, 1);
        Assert.IsTrue(lane.TrySend(FuseMessage.Request(fuse_opcode.FUSE_LOOKUP, Root, FuseMessage.Name("some-name")).AsSpan(0, sent)));
    });

    [TestMethod]
    [TestCategory("root")]
    public void RequestBeforeInit_IsRefused_AndTheLaneGoesOn()
    {
        ulong mount = 100;
        Attack(() =>
        {
            using RawLane lane = RawLane.Open(s_unix, mount++);
            Assert.AreEqual(-errno.EIO, lane.Call(FuseMessage.Request(fuse_opcode.FUSE_LOOKUP, Root, FuseMessage.Name("f"))).Error);
            Assert.AreEqual(-errno.EIO, lane.Call(FuseMessage.Request(fuse_opcode.FUSE_GETATTR, Root, FuseMessage.Bytes(default(fuse_getattr_in)))).Error);
            Assert.AreEqual(0, lane.Call(FuseMessage.Init()).Error);
            Assert.AreEqual(0, lane.Call(FuseMessage.Request(fuse_opcode.FUSE_LOOKUP, Root, FuseMessage.Name("f"))).Error);

            // So that a hundred mounts do not meet the limit: each ends.
            Assert.AreEqual(0, lane.Call(FuseMessage.Request(fuse_opcode.FUSE_DESTROY, 0)).Error);
        });
    }

    [TestMethod]
    [TestCategory("root")]
    public void ForgedNodesAndHandles_AreRefused() => Attack(() =>
    {
        using RawLane lane = RawLane.OpenInitialized(s_unix, 1);
        (int error, byte[] body) = lane.Call(FuseMessage.Request(fuse_opcode.FUSE_LOOKUP, Root, FuseMessage.Name("f")));
        Assert.AreEqual(0, error);
        ulong real = BinaryPrimitives.ReadUInt64LittleEndian(body);
        foreach (ulong node in new ulong[] { 0, 2, 3, 4096, real + 1, real ^ (1UL << 32), real ^ (1UL << 40), 0x7fff_ffff_ffff_ffff, ulong.MaxValue, 0x7f00_0000_1000 })
        {
            foreach (byte[] request in new[]
            {
                FuseMessage.Request(fuse_opcode.FUSE_GETATTR, node, FuseMessage.Bytes(default(fuse_getattr_in))),
                FuseMessage.Request(fuse_opcode.FUSE_LOOKUP, node, FuseMessage.Name("f")),
                FuseMessage.Request(fuse_opcode.FUSE_OPEN, node, FuseMessage.Bytes(default(fuse_open_in))),
                FuseMessage.Request(fuse_opcode.FUSE_OPENDIR, node, FuseMessage.Bytes(default(fuse_open_in))),
                FuseMessage.Request(fuse_opcode.FUSE_MKDIR, node, FuseMessage.Bytes(default(fuse_mkdir_in)), FuseMessage.Name("made")),
                FuseMessage.Request(fuse_opcode.FUSE_UNLINK, node, FuseMessage.Name("f")),
                FuseMessage.Request(fuse_opcode.FUSE_RENAME, node, FuseMessage.Bytes(new fuse_rename_in { newdir = Root }), FuseMessage.Name("f"), FuseMessage.Name("g")),
                FuseMessage.Request(fuse_opcode.FUSE_RENAME, Root, FuseMessage.Bytes(new fuse_rename_in { newdir = node }), FuseMessage.Name("f"), FuseMessage.Name("g")),
                FuseMessage.Request(fuse_opcode.FUSE_LINK, Root, FuseMessage.Bytes(new fuse_link_in { oldnodeid = node }), FuseMessage.Name("made")),
            })
            {
                Assert.IsLessThan(0, lane.Call(request).Error, $"opcode {request[4]} on node {node:x}");
            }
        }

        foreach (ulong handle in new ulong[] { 0, 1, 4096, 1UL << 32, ulong.MaxValue })
        {
            Assert.IsLessThan(0, lane.Call(FuseMessage.Request(fuse_opcode.FUSE_READ, real, FuseMessage.Bytes(new fuse_read_in { fh = handle, size = 4096 }))).Error, $"read {handle:x}");
            Assert.IsLessThan(0, lane.Call(FuseMessage.Request(fuse_opcode.FUSE_READDIR, Root, FuseMessage.Bytes(new fuse_read_in { fh = handle, size = 4096 }))).Error, $"readdir {handle:x}");
            Assert.IsLessThan(0, lane.Call(FuseMessage.Request(fuse_opcode.FUSE_WRITE, real, FuseMessage.Bytes(new fuse_write_in { fh = handle, size = 1 }), [1])).Error, $"write {handle:x}");
        }

        AssertContent();
    });

    [TestMethod]
    [TestCategory("root")]
    [DataRow("..")]
    [DataRow(".")]
    [DataRow("")]
    [DataRow("../outside")]
    [DataRow("/etc/passwd")]
    [DataRow("a/b")]
    [DataRow("f/")]
    [DataRow("f\0../outside")]
    [DataRow("LONG")]
    public void Names_ThatAreNoComponents_ReachNothing(string name)
    {
        byte[] bad = FuseMessage.Name(name == "LONG" ? new string('n', 256) : name), good = FuseMessage.Name("good");
        bool hasNul = name.Contains('\0', StringComparison.Ordinal);
        Attack(() =>
        {
            using RawLane lane = RawLane.OpenInitialized(s_unix, 1);
            string before = Shell.Check("find . -printf '%p %y %s\\n' | sort", s_pair.ExportRoot);
            foreach (byte[] request in new[]
            {
                FuseMessage.Request(fuse_opcode.FUSE_LOOKUP, Root, bad),
                FuseMessage.Request(fuse_opcode.FUSE_CREATE, Root, FuseMessage.Bytes(new fuse_create_in { flags = 0x41, mode = 0x81b6 }), bad),
                FuseMessage.Request(fuse_opcode.FUSE_MKNOD, Root, FuseMessage.Bytes(new fuse_mknod_in { mode = 0x81b6 }), bad),
                FuseMessage.Request(fuse_opcode.FUSE_MKDIR, Root, FuseMessage.Bytes(new fuse_mkdir_in { mode = 0x1ff }), bad),
                FuseMessage.Request(fuse_opcode.FUSE_SYMLINK, Root, bad, FuseMessage.Name("target")),
                FuseMessage.Request(fuse_opcode.FUSE_RMDIR, Root, bad),
                FuseMessage.Request(fuse_opcode.FUSE_RENAME2, Root, FuseMessage.Bytes(new fuse_rename2_in { newdir = Root }), bad, good),
                FuseMessage.Request(fuse_opcode.FUSE_RENAME2, Root, FuseMessage.Bytes(new fuse_rename2_in { newdir = Root }), good, bad),
            })
            {
                (int error, _) = lane.Call(request);

                // A name ends at its NUL: what stands behind it must have no effect, whatever the answer.
                Assert.IsTrue(error is -errno.EINVAL or -errno.ENAMETOOLONG || hasNul, $"opcode {request[4]} with '{name}': {error}");
            }

            Assert.AreEqual(before, Shell.Check("find . -printf '%p %y %s\\n' | sort", s_pair.ExportRoot));
        }, repeats: false);
        Assert.AreEqual("not exported", File.ReadAllText(Path.Combine(s_pair.Folder, "outside")));
    }

    [TestMethod]
    [TestCategory("root")]
    public void LyingBodies_AreRefusedOrBounded() => Attack(() =>
    {
        using RawLane lane = RawLane.OpenInitialized(s_unix, 1);
        ulong node = BinaryPrimitives.ReadUInt64LittleEndian(lane.Call(FuseMessage.Request(fuse_opcode.FUSE_LOOKUP, Root, FuseMessage.Name("f"))).Body);
        ulong handle = BinaryPrimitives.ReadUInt64LittleEndian(lane.Call(FuseMessage.Request(fuse_opcode.FUSE_OPEN, node, FuseMessage.Bytes(new fuse_open_in { flags = 2 }))).Body);

        // More said than sent, no NUL, no body, an opcode that does not exist.
        Assert.AreEqual(-errno.EINVAL, lane.Call(FuseMessage.Request(fuse_opcode.FUSE_WRITE, node, FuseMessage.Bytes(new fuse_write_in { fh = handle, size = 1 << 20 }), [1, 2, 3])).Error);
        Assert.AreEqual(-errno.EINVAL, lane.Call(FuseMessage.Request(fuse_opcode.FUSE_LOOKUP, Root, [(byte)'f'])).Error);
        Assert.AreEqual(-errno.EINVAL, lane.Call(FuseMessage.Request(fuse_opcode.FUSE_SETATTR, node)).Error);
        Assert.AreEqual(-errno.ENOSYS, lane.Call(FuseMessage.Request((fuse_opcode)9999)).Error);

        // A read of 4 GiB gets what fits, an endless list of nodes to forget is read no further than it goes.
        (int error, byte[] content) = lane.Call(FuseMessage.Request(fuse_opcode.FUSE_READ, node, FuseMessage.Bytes(new fuse_read_in { fh = handle, size = uint.MaxValue })));
        Assert.IsTrue(error == -errno.EINVAL || content.Length == 7, $"{error}, {content.Length} bytes");
        lane.TrySend(FuseMessage.Request(fuse_opcode.FUSE_BATCH_FORGET, 0, FuseMessage.Bytes(new fuse_batch_forget_in { count = uint.MaxValue }), FuseMessage.Bytes(new fuse_forget_one { nodeid = 5, nlookup = ulong.MaxValue })));
        lane.TrySend(FuseMessage.Request(fuse_opcode.FUSE_FORGET, Root, FuseMessage.Bytes(new fuse_forget_in { nlookup = ulong.MaxValue })));
        lane.TrySend(FuseMessage.Request(fuse_opcode.FUSE_FORGET, node, FuseMessage.Bytes(new fuse_forget_in { nlookup = ulong.MaxValue })));
        Assert.AreEqual(0, lane.Call(FuseMessage.Request(fuse_opcode.FUSE_GETATTR, Root, FuseMessage.Bytes(default(fuse_getattr_in)))).Error, "the root cannot be forgotten");
        lane.Call(FuseMessage.Request(fuse_opcode.FUSE_RELEASE, node, FuseMessage.Bytes(new fuse_release_in { fh = handle })));
        AssertContent();
    });

    [TestMethod]
    [TestCategory("root")]
    public void ReadOnlyExport_RequestsThatNoKernelWouldSend_GetErofs() => Attack(() =>
    {
        // The kernel of an honest DPU refuses these itself; the agent must not rely on that.
        using RawLane lane = RawLane.OpenInitialized(s_unix, 2, export: "fixed");
        ulong node = BinaryPrimitives.ReadUInt64LittleEndian(lane.Call(FuseMessage.Request(fuse_opcode.FUSE_LOOKUP, Root, FuseMessage.Name("f"))).Body);
        foreach (byte[] request in new[]
        {
            FuseMessage.Request(fuse_opcode.FUSE_OPEN, node, FuseMessage.Bytes(new fuse_open_in { flags = 1 })),
            FuseMessage.Request(fuse_opcode.FUSE_OPEN, node, FuseMessage.Bytes(new fuse_open_in { flags = 2 })),
            FuseMessage.Request(fuse_opcode.FUSE_OPEN, node, FuseMessage.Bytes(new fuse_open_in { flags = 0x200 })),
            FuseMessage.Request(fuse_opcode.FUSE_CREATE, Root, FuseMessage.Bytes(new fuse_create_in { flags = 0x41, mode = 0x81b6 }), FuseMessage.Name("made")),
            FuseMessage.Request(fuse_opcode.FUSE_MKNOD, Root, FuseMessage.Bytes(new fuse_mknod_in { mode = 0x81b6 }), FuseMessage.Name("made")),
            FuseMessage.Request(fuse_opcode.FUSE_MKDIR, Root, FuseMessage.Bytes(new fuse_mkdir_in { mode = 0x1ff }), FuseMessage.Name("made")),
            FuseMessage.Request(fuse_opcode.FUSE_SYMLINK, Root, FuseMessage.Name("made"), FuseMessage.Name("target")),
            FuseMessage.Request(fuse_opcode.FUSE_LINK, Root, FuseMessage.Bytes(new fuse_link_in { oldnodeid = node }), FuseMessage.Name("made")),
            FuseMessage.Request(fuse_opcode.FUSE_UNLINK, Root, FuseMessage.Name("f")),
            FuseMessage.Request(fuse_opcode.FUSE_RMDIR, Root, FuseMessage.Name("f")),
            FuseMessage.Request(fuse_opcode.FUSE_RENAME2, Root, FuseMessage.Bytes(new fuse_rename2_in { newdir = Root }), FuseMessage.Name("f"), FuseMessage.Name("g")),
            FuseMessage.Request(fuse_opcode.FUSE_SETATTR, node, FuseMessage.Bytes(new fuse_setattr_in { valid = FuseConstants.FATTR_SIZE })),
            FuseMessage.Request(fuse_opcode.FUSE_SETATTR, node, FuseMessage.Bytes(new fuse_setattr_in { valid = FuseConstants.FATTR_MODE, mode = 0x1ff })),
            FuseMessage.Request(fuse_opcode.FUSE_TMPFILE, Root, FuseMessage.Bytes(new fuse_create_in { flags = 0x41_0002, mode = 0x81b6 }), FuseMessage.Name("/")),
        })
        {
            Assert.AreEqual(-errno.EROFS, lane.Call(request).Error, $"opcode {request[4]}");
        }

        AssertContent();
    });

    [TestMethod]
    [TestCategory("root")]
    public void SessionAndMount_OfAnotherPeer_CannotBeTakenOver()
    {
        // A session's id is no secret to rely on: under another certificate it is of no use.
        using RawLane own = RawLane.OpenInitialized(s_unix, 7);
        using LinkCredentials credentials = LinkCredentials.Load(new LinkCredentialFiles
        {
            Certificate = $"{s_pair.Folder}/pki/dpu2.crt",
            Key = $"{s_pair.Folder}/pki/dpu2.key",
            Authority = s_pair.Authority.CertificatePath,
        });
        var thief = new LinkDialer(credentials, new LinkDialerOptions { Local = new LinkLocal { Name = "dpu2" } });
        byte[] session = [.. RawLane.Session[..15], 0];
        LinkException refused = Assert.ThrowsExactly<LinkException>(() => thief.Dial(
            LinkEndpoint.Parse(s_pair.Endpoint), "host1", "fs", session, hello => hello.Fs = new Dpu.Proto.V1.FsParameters { Export = "data", MountId = 7 }));
        Assert.AreEqual(Dpu.Proto.V1.HelloStatus.SessionInvalid, refused.Status);
        Assert.AreEqual(0, own.Call(FuseMessage.Request(fuse_opcode.FUSE_STATFS)).Error);
    }

    private static void Attack(Action attack, bool repeats = true)
    {
        Daemon agent = s_pair.Agent;
        if (repeats)
        {
            Resources.AssertNothingKept(agent, attack);
        }
        else
        {
            attack();
        }

        Assert.IsFalse(agent.HasExited, agent.Log);
        AssertOthersWork();
    }

    private static void AssertOthersWork()
    {
        s_open.Position = 0;
        byte[] read = new byte[7];
        s_open.ReadExactly(read);
        Assert.AreEqual("content", System.Text.Encoding.ASCII.GetString(read), "the file that another DPU has open");
        File.WriteAllText(Path.Combine(s_mount, "other"), "x");
        File.Delete(Path.Combine(s_mount, "other"));
    }

    private static void AssertContent() => Assert.AreEqual("content", File.ReadAllText(Path.Combine(s_pair.ExportRoot, "f")));

    private static Socket Connect(string address)
    {
        LinkEndpoint endpoint = LinkEndpoint.Parse(address);
        bool isUnix = endpoint.Transport == LinkTransport.Unix;
        Socket socket = isUnix
            ? new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified)
            : new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        socket.ReceiveTimeout = (int)Pair.Limit.TotalMilliseconds;
        socket.Connect(isUnix ? new UnixDomainSocketEndPoint(endpoint.Host) : new IPEndPoint(IPAddress.Parse(endpoint.Host), (int)endpoint.Port));
        return socket;
    }

    private static byte[] ReadToEnd(Socket socket)
    {
        using var all = new MemoryStream();
        byte[] buffer = new byte[4096];
        try
        {
            for (int size; (size = socket.Receive(buffer)) > 0;)
            {
                all.Write(buffer, 0, size);
            }
        }
        catch (SocketException e) when (e.SocketErrorCode == SocketError.ConnectionReset)
        {
            // Expected: bytes that the agent did not read turn its close into a reset.
            return all.ToArray();
        }

        return all.ToArray();
    }
}
