using System.Buffers.Binary;
using System.Text.Json.Nodes;
using Dpu.Fuse.Wire;

namespace Dpu.EndToEnd.Tests;

/// <summary>
/// A hostile host against the real runtime: its answers break their own request, with EIO, and at most their own
/// connection; another host's mount on the same runtime keeps even its open file.
/// </summary>
[TestClass]
[DoNotParallelize]
public sealed class HostileHostTests
{
    private static Pair s_hostile = null!;
    private static Pair s_honest = null!;
    private static HostileHost s_host = null!;
    private static Daemon s_runtime = null!;
    private static string s_mount = null!;
    private static FileStream s_open = null!;

    [ClassInitialize]
    public static void Start(TestContext _)
    {
        s_hostile = new Pair();
        s_honest = new Pair();
        s_honest.StartAgent();
        File.WriteAllText(Path.Combine(s_hostile.ExportRoot, "victim"), "x");
        File.WriteAllText(Path.Combine(s_hostile.ExportRoot, "good"), "x");
        File.WriteAllText(Path.Combine(s_honest.ExportRoot, "f"), "content");
        s_host = new HostileHost(s_hostile.WriteAgentConfiguration(), s_hostile.ExportRoot);
        JsonObject configuration = s_hostile.RuntimeConfiguration();
        configuration["hosts"]!.AsArray().Add(new JsonObject { ["name"] = "host2", ["endpoint"] = s_honest.Endpoint, ["uid"] = 0 });
        JsonObject bad = s_hostile.Mount("data", "bad"), good = s_hostile.Mount("data", "good");
        bad["giveUpAfter"] = "1s";

        // One lane: every file system of the hostile host is one connection's.
        bad["lanes"] = 1;
        good["host"] = "host2";
        configuration["mounts"] = new JsonArray(bad, good);
        s_runtime = s_hostile.StartRuntime(configuration);
        s_mount = bad["target"]!.GetValue<string>();
        Pair.WaitMounted(s_mount);
        Pair.WaitMounted(good["target"]!.GetValue<string>());
        s_open = File.OpenRead(Path.Combine(good["target"]!.GetValue<string>(), "f"));
    }

    [ClassCleanup]
    public static void Stop()
    {
        s_open.Dispose();
        s_hostile.Dispose();
        s_honest.Dispose();
        s_host.Dispose();
    }

    [TestMethod]
    [TestCategory("root")]
    [DataRow("wrong unique")]
    [DataRow("error above zero")]
    [DataRow("error out of range")]
    [DataRow("error with a body")]
    [DataRow("length below a header")]
    [DataRow("length beyond the longest")]
    [DataRow("truncated")]
    [DataRow("short body")]
    [DataRow("long body")]
    public void Answer_ThatIsNone_IsEioAndLogged(string how)
    {
        byte[] Twisted(byte[] answer) => how switch
        {
            "wrong unique" => Put(answer, 8, 0x77),
            "error above zero" => Put(answer[..16], 4, 5, length: 16),
            "error out of range" => Put(answer[..16], 4, -1000, length: 16),
            "error with a body" => Put(answer, 4, -2),
            "length below a header" => Put(answer, 0, 15),
            "length beyond the longest" => Put(answer, 0, (1 << 20) + 4097),
            "short body" => Put(answer[..40], 0, 40),
            "long body" => Put([.. answer, .. new byte[64]], 0, answer.Length + 64),
            _ => throw new ArgumentException(how, nameof(how)),
        };
        int before = Violations();
        s_host.Twist = (request, answer) =>
        {
            if (!HostileHost.Asks(request, fuse_opcode.FUSE_LOOKUP, "victim"))
            {
                return answer;
            }

            return how == "truncated" ? answer[..20] : Twisted(answer);
        };
        if (how == "truncated")
        {
            AssertTruncated();
        }
        else
        {
            AssertEio("stat victim");
            Eventually.True(() => Violations() > before, Pair.Limit, "the violation in the runtime's log");
        }

        AssertRest();
    }

    [TestMethod]
    [TestCategory("root")]
    public void Entry_OfTheRootNode_OrOfNoNode_OrOfNoType_IsNotTaken()
    {
        s_host.Twist = (request, answer) => HostileHost.Asks(request, fuse_opcode.FUSE_LOOKUP, "victim") ? Put(Put(answer, 16, 1), 20, 0) : answer;
        AssertEio("stat victim");

        // For a look-up no node means "there is no such file": a lie, but a well-formed one. For a creation it is none.
        s_host.Twist = (request, answer) => HostileHost.Asks(request, fuse_opcode.FUSE_LOOKUP, "victim") || HostileHost.Asks(request, fuse_opcode.FUSE_MKDIR, "made") ? Put(Put(answer, 16, 0), 20, 0) : answer;
        Assert.Contains("No such file", Shell.Run("stat victim", s_mount).Error);
        AssertEio("mkdir made");
        Directory.Delete(Path.Combine(s_hostile.ExportRoot, "made"));

        // fuse_attr.mode lies 60 bytes into fuse_attr, which begins 40 bytes into fuse_entry_out.
        s_host.Twist = (request, answer) => HostileHost.Asks(request, fuse_opcode.FUSE_LOOKUP, "victim") ? Put(answer, 16 + 40 + 60, 0x1ff) : answer;
        AssertEio("stat victim");
        AssertRest();
    }

    [TestMethod]
    [TestCategory("root")]
    public void Request_ThatBreaksItsConnectionEachTime_IsAskedSixTimesAtMost_AndAChangeOnce()
    {
        // A name that the kernel has not seen: for one that it knows it asks again after an error.
        File.WriteAllText(Path.Combine(s_hostile.ExportRoot, "unseen"), "x");
        int asked = 0, made = 0;
        s_host.Twist = (request, answer) =>
        {
            bool isLookup = HostileHost.Asks(request, fuse_opcode.FUSE_LOOKUP, "unseen");
            bool isChange = HostileHost.Asks(request, fuse_opcode.FUSE_MKDIR, "once");
            asked += isLookup ? 1 : 0;
            made += isChange ? 1 : 0;
            return isLookup || isChange ? [] : answer;
        };
        AssertEio("stat unseen");
        Assert.AreEqual(6, asked, "the question and five repetitions");
        AssertEio("mkdir once");
        Assert.AreEqual(1, made, "what may have happened is not asked for again");
        Directory.Delete(Path.Combine(s_hostile.ExportRoot, "once"));
        AssertRest();
    }

    [TestMethod]
    [TestCategory("root")]
    public void HundredViolations_LeaveNothingBehindInTheRuntime()
    {
        s_host.Twist = (request, answer) => HostileHost.Asks(request, fuse_opcode.FUSE_LOOKUP, "victim") ? Put(answer, 8, 0x77) : answer;
        string victim = Path.Combine(s_mount, "victim");
        Resources.AssertNothingKept(s_runtime, () => Assert.ThrowsExactly<IOException>(() => File.GetUnixFileMode(victim)));
        AssertRest();
    }

    [TestMethod]
    [TestCategory("root")]
    [DataRow("too short")]
    [DataRow("an error")]
    [DataRow("another major version")]
    public void Init_ThatIsNone_IsNoMount(string how)
    {
        s_host.Twist = (request, answer) =>
        {
            if (BinaryPrimitives.ReadUInt32LittleEndian(request.AsSpan(4)) != (uint)fuse_opcode.FUSE_INIT)
            {
                return answer;
            }

            return how switch
            {
                "too short" => Put(answer[..24], 0, 24),
                "an error" => Put(answer[..16], 4, -5, length: 16),
                _ => Put(answer, 16, 6),
            };
        };
        string target = Directory.CreateDirectory(Path.Combine(s_hostile.MountRoot, "new")).FullName;

        ProgramResult refused = s_runtime.Ctl("mount", "host1:data", target);

        Assert.AreNotEqual(0, refused.ExitCode);
        Assert.IsFalse(refused.TimedOut);
        Assert.Contains("FUSE", refused.Error, s_runtime.Log);
        Assert.DoesNotContain(target, MountTable.Targets());
        AssertRest();
    }

    [TestMethod]
    [TestCategory("root")]
    public void Hello_ThatAcceptsALaneWithoutTerms_IsEioUntilTheHostIsHonest()
    {
        s_host.TwistHello = honest => new Dpu.Proto.V1.HelloReply { Status = honest.Status };
        try
        {
            s_host.CutAll();
            Assert.Contains("Input/output error", Shell.Run($"stat {s_mount}/victim", "/").Error);
            string target = Directory.CreateDirectory(Path.Combine(s_hostile.MountRoot, "termless")).FullName;
            ProgramResult refused = s_runtime.Ctl("mount", "host1:data", target);
            Assert.AreNotEqual(0, refused.ExitCode);
            Assert.Contains("without saying how it serves it", refused.Error);
        }
        finally
        {
            s_host.TwistHello = null;
        }

        AssertRest();
    }

    [TestMethod]
    [TestCategory("root")]
    public void RepeatedInit_ThatIsNeverAnswered_HoldsNobodyWhoIsKilled_AndNoUnmount()
    {
        string target = Directory.CreateDirectory(Path.Combine(s_hostile.MountRoot, "silent")).FullName;
        s_runtime.Ctl("mount", "host1:data", target).EnsureSuccess();
        using var release = new ManualResetEventSlim();
        s_host.Twist = (request, answer) =>
        {
            if (BinaryPrimitives.ReadUInt32LittleEndian(request.AsSpan(4)) == (uint)fuse_opcode.FUSE_INIT)
            {
                release.Wait(Pair.Limit);
            }

            return answer;
        };
        s_host.CutAll();
        using (RunningProgram caller = RunningProgram.Start("stat", [Path.Combine(target, "victim")]))
        {
            Assert.IsFalse(caller.WaitForExit(TimeSpan.FromMilliseconds(300)), "nothing has been answered");
            ExternalProgram.Check("kill", ["-KILL", caller.Id.ToString(System.Globalization.CultureInfo.InvariantCulture)], Pair.Limit);
            Assert.IsTrue(caller.WaitForExit(Pair.Limit), "a killed caller still waits");
        }

        s_runtime.Ctl("umount", target).EnsureSuccess();
        Assert.DoesNotContain(target, MountTable.Targets());
        release.Set();
        AssertRest();
    }

    [TestMethod]
    [TestCategory("root")]
    public void SlowHostOfOneLane_LeavesNoRequestUnserved()
    {
        // Each answer comes while the guard reads in the lane's place: it gets many of the next requests, and the lane sleeps.
        using var never = new ManualResetEventSlim();
        s_host.Twist = (request, answer) =>
        {
            return never.Wait(TimeSpan.FromMilliseconds(60)) ? [] : answer;
        };
        ProgramResult stats = Shell.Run("for i in $(seq 12); do stat -t good victim || exit 1; done", s_mount);
        Assert.AreEqual(0, stats.ExitCode, stats.Error);
        Assert.AreEqual(24, stats.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries).Length);
        AssertRest();
    }

    [TestMethod]
    [TestCategory("root")]
    [DataRow("noise", "deadbeefdeadbeefdeadbeefdeadbeef")]
    [DataRow("a reply", "10000000000000000700000000000000")]
    [DataRow("another notification", "10000000040000000000000000000000")]
    [DataRow("a name with a slash", "240000000300000000000000000000000100000000000000030000000000000061002f00")]
    [DataRow("beyond the longest", "00100000020000000000000000000000")]
    public void Notification_ThatIsNone_EndsItsConnectionOnly(string name, string bytes)
    {
        string target = Directory.CreateDirectory(Path.Combine(s_hostile.MountRoot, "notified")).FullName;
        int before = Violations();
        s_host.Notifications = Convert.FromHexString(bytes);
        try
        {
            s_runtime.Ctl("mount", "host1:data", target, "--cache", "coherent", "--lanes", "1").EnsureSuccess();
            Eventually.True(() => Violations() > before, Pair.Limit, $"'{name}' in the runtime's log");
            Assert.AreEqual("x", Shell.Check($"cat {target}/good", "/"));
        }
        finally
        {
            s_host.Notifications = null;
            s_runtime.Ctl("umount", target).EnsureSuccess();
        }

        AssertRest();
    }

    // A host that answers half and then nothing: the caller can be killed, and what follows goes on.
    private static void AssertTruncated()
    {
        using (RunningProgram caller = RunningProgram.Start("stat", [Path.Combine(s_mount, "victim")]))
        {
            Assert.IsFalse(caller.WaitForExit(TimeSpan.FromMilliseconds(300)), "half an answer is none");
            ExternalProgram.Check("kill", ["-KILL", caller.Id.ToString(System.Globalization.CultureInfo.InvariantCulture)], Pair.Limit);
            Assert.IsTrue(caller.WaitForExit(Pair.Limit), "a killed caller still waits");
        }

        // Only the host can end the connection that it holds; cutting it breaks off inside the message.
        s_host.Twist = null;
        s_host.CutAll();
    }

    private static void AssertEio(string program)
    {
        ProgramResult result = Shell.Run(program, s_mount);
        Assert.AreNotEqual(0, result.ExitCode, result.Output);
        Assert.Contains("Input/output error", result.Error);
    }

    // The mount itself, other mounts of the runtime, and the runtime.
    private static void AssertRest()
    {
        s_host.Twist = null;
        Eventually.True(() => Shell.Run($"cat {s_mount}/good {s_mount}/victim", "/").ExitCode == 0, Pair.Limit, "the hostile host's mount, once it is honest");
        s_open.Position = 0;
        Assert.AreEqual('c', (char)s_open.ReadByte());
        Assert.IsFalse(s_runtime.HasExited, s_runtime.Log);
        string[] links = [.. JsonNode.Parse(s_runtime.Ctl("host", "list", "--json").EnsureSuccess().Output)!["hosts"]!.AsArray().Select(host => host!["state"]!.GetValue<string>())];
        CollectionAssert.AreEqual(new[] { "up", "up" }, links);
    }

    private static int Violations() => s_runtime.Log.Split("broke the protocol").Length - 1;

    private static byte[] Put(byte[] answer, int offset, int value, int? length = null)
    {
        byte[] changed = [.. answer];
        if (length is { } whole)
        {
            BinaryPrimitives.WriteInt32LittleEndian(changed, whole);
        }

        BinaryPrimitives.WriteInt32LittleEndian(changed.AsSpan(offset), value);
        return changed;
    }
}
