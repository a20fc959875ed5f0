using System.Buffers.Binary;
using System.Text.Json.Nodes;
using Dpu.Fuse.Wire;
using Dpu.Link;
using Dpu.Linux;
using Dpu.Proto.V1;

namespace Dpu.EndToEnd.Tests;

/// <summary>What one DPU may use of a host, against the real agent: beyond it, it is refused by name, and others are served.</summary>
[TestClass]
[DoNotParallelize]
public sealed class PeerLimitTests
{
    private const ulong Root = FuseConstants.FUSE_ROOT_ID;

    [TestMethod]
    [TestCategory("root")]
    public void Connections_BeyondTheLimit_AreRefusedAndOthersServed()
    {
        using var pair = new Pair(LinkKind.Tls);
        string other = Start(pair, new JsonObject { ["connections"] = 2 });
        using RawLane one = RawLane.OpenInitialized(Raw(pair), 1), two = RawLane.Open(Raw(pair), 1);
        LinkException refused = Assert.ThrowsExactly<LinkException>(() => RawLane.Open(Raw(pair), 1).Dispose());
        Assert.AreEqual(HelloStatus.Limit, refused.Status, refused.Message);
        Assert.AreEqual(0, one.Call(FuseMessage.Request(fuse_opcode.FUSE_STATFS)).Error);
        AssertServed(other);
        two.Dispose();
        Eventually.True(() => CanOpen(pair, 1), Pair.Limit, "a connection in the place of one that ended");
    }

    [TestMethod]
    [TestCategory("root")]
    public void SessionsAndMounts_BeyondTheLimit_AreRefusedAndOthersServed()
    {
        using var pair = new Pair(LinkKind.Tls);
        string other = Start(pair, new JsonObject { ["sessions"] = 2, ["mounts"] = 3 });
        using RawLane first = RawLane.OpenInitialized(Raw(pair), 1, session: 1), second = RawLane.OpenInitialized(Raw(pair), 1, session: 2);
        LinkException sessions = Assert.ThrowsExactly<LinkException>(() => RawLane.Open(Raw(pair), 1, session: 3).Dispose());
        Assert.AreEqual(HelloStatus.Limit, sessions.Status);
        Assert.Contains("limits.sessions", sessions.Message);
        using RawLane third = RawLane.OpenInitialized(Raw(pair), 2, session: 1);
        LinkException mounts = Assert.ThrowsExactly<LinkException>(() => RawLane.Open(Raw(pair), 3, session: 2).Dispose());
        Assert.AreEqual(HelloStatus.Limit, mounts.Status);
        Assert.Contains("limits.mounts", mounts.Message);
        AssertServed(other);

        // DESTROY ends a mount: its place is free.
        _ = third.Call(FuseMessage.Request(fuse_opcode.FUSE_DESTROY, 0));
        Eventually.True(() => CanOpen(pair, 3, session: 2), Pair.Limit, "a mount in the place of one that ended");
    }

    [TestMethod]
    [TestCategory("root")]
    public void NodesAndHandles_BeyondTheLimit_AreEnfileOverAllMountsAndOthersServed()
    {
        using var pair = new Pair(LinkKind.Tls);
        for (int i = 0; i < 40; i++)
        {
            File.WriteAllText(Path.Combine(pair.ExportRoot, $"n{i}"), "x");
        }

        string other = Start(pair, new JsonObject { ["openNodes"] = 32, ["openHandles"] = 16 });
        using RawLane a = RawLane.OpenInitialized(Raw(pair), 1), b = RawLane.OpenInitialized(Raw(pair), 2);
        List<ulong> nodes = [];
        int error = 0;
        for (int i = 0; i < 40 && error == 0; i++)
        {
            (error, byte[] entry) = (i % 2 == 0 ? a : b).Call(FuseMessage.Request(fuse_opcode.FUSE_LOOKUP, Root, FuseMessage.Name($"n{i}")));
            if (error == 0)
            {
                nodes.Add(BinaryPrimitives.ReadUInt64LittleEndian(entry));
            }
        }

        Assert.AreEqual(-errno.ENFILE, error);
        Assert.IsInRange(28, 32, nodes.Count, "nodes of both mounts together, their roots included");
        error = 0;
        int handles = 0;
        while (error == 0 && handles < 20)
        {
            (error, _) = a.Call(FuseMessage.Request(fuse_opcode.FUSE_OPEN, nodes[0], FuseMessage.Bytes(default(fuse_open_in))));
            handles += error == 0 ? 1 : 0;
        }

        Assert.AreEqual(-errno.ENFILE, error);
        Assert.AreEqual(16, handles);
        AssertServed(other);

        // What is forgotten can be had again.
        Assert.IsTrue(a.TrySend(FuseMessage.Request(fuse_opcode.FUSE_FORGET, nodes[2], FuseMessage.Bytes(new fuse_forget_in { nlookup = 1 }))));
        Assert.AreEqual(0, a.Call(FuseMessage.Request(fuse_opcode.FUSE_LOOKUP, Root, FuseMessage.Name("n2"))).Error);
        JsonNode session = JsonNode.Parse(pair.Agent.Ctl("status", "--json").EnsureSuccess().Output)!["sessions"]!.AsArray().Single(s => s!["peer"]!.GetValue<string>() == "dpu1")!;
        Assert.IsGreaterThanOrEqualTo(2, session["refused"]!.GetValue<int>(), "refusals in 'dpuctl status'");
    }

    [TestMethod]
    [TestCategory("root")]
    [DataRow("requestsPerSecond", 20)]
    [DataRow("bytesPerSecond", 2000)]
    public void Rate_OfOnePeer_DoesNotSlowAnother(string limit, int allowed)
    {
        using var pair = new Pair(LinkKind.Tls);
        string other = Start(pair, new JsonObject { [limit] = allowed });
        using RawLane lane = RawLane.OpenInitialized(Raw(pair), 1);
        int done = 0;
        using var stopping = new CancellationTokenSource();
        var greedy = new Thread(() =>
        {
            while (!stopping.IsCancellationRequested)
            {
                Assert.AreEqual(0, lane.Call(FuseMessage.Request(fuse_opcode.FUSE_STATFS)).Error);
                Interlocked.Increment(ref done);
            }
        });
        greedy.Start();
        try
        {
            // The burst of a second is spent first. Then whatever the greedy one gets, it is bounded by time that passes.
            Eventually.True(() => Volatile.Read(ref done) >= 12, Pair.Limit, "the burst");
            int before = Volatile.Read(ref done);
            long started = TimeProvider.System.GetTimestamp();
            for (int i = 0; i < 500; i++)
            {
                _ = File.GetUnixFileMode(Path.Combine(other, "f"));
            }

            double seconds = TimeProvider.System.GetElapsedTime(started).TotalSeconds;
            int got = Volatile.Read(ref done) - before;

            // A STATFS and its reply are 136 bytes: 20 or 14.7 a second, and what is left of the burst.
            Assert.IsLessThanOrEqualTo((20 * seconds) + 21, got, $"in {seconds} s");
            Assert.IsLessThan(500, got, "the other made more requests than the limited one");
        }
        finally
        {
            stopping.Cancel();
            Assert.IsTrue(greedy.Join(Pair.Limit), "the limited peer is served on, slowly");
        }
    }

    /// <summary>Starts the agent with limits on dpu1, and a runtime of dpu2's; returns its mount.</summary>
    private static string Start(Pair pair, JsonObject limits)
    {
        // The limited dpu1 comes by a unix socket, dpu2 by TLS.
        pair.Authority.Issue(LinkRole.Dpu, "dpu2", TimeSpan.FromHours(1));
        pair.AgentConfiguration["listen"]!.AsArray().Add(Raw(pair));
        var limited = new JsonObject { ["name"] = "dpu1", ["uid"] = 0, ["limits"] = limits };
        pair.AgentConfiguration["peers"] = new JsonArray(limited, pair.Peer("dpu2"));
        pair.AgentConfiguration["exports"] = new JsonArray(Pair.Export("data", pair.ExportRoot, peers: ["dpu1", "dpu2"]));
        pair.AgentConfiguration["log"]!["level"] = "Warning";
        File.WriteAllText(Path.Combine(pair.ExportRoot, "f"), "x");
        pair.StartAgent();
        JsonObject configuration = pair.RuntimeConfiguration("dpu2"), mount = pair.Mount("data", "data");
        configuration["mounts"]!.AsArray().Add(mount);
        pair.StartRuntime(configuration, "dpu2");
        string target = mount["target"]!.GetValue<string>();
        Pair.WaitMounted(target);
        return target;
    }

    private static string Raw(Pair pair) => $"unix://{pair.Folder}/raw.sock";

    private static void AssertServed(string mount) => Assert.AreEqual("x", File.ReadAllText(Path.Combine(mount, "f")));

    private static bool CanOpen(Pair pair, ulong mount, byte session = 0)
    {
        try
        {
            RawLane.Open(Raw(pair), mount, session: session).Dispose();
            return true;
        }
        catch (LinkException e) when (e.Status == HelloStatus.Limit)
        {
            // Expected until the agent has seen the end of the other.
            return false;
        }
    }
}
