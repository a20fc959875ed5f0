using System.Text;
using Dpu.Linux;
using FsCheck;
using FsCheck.Fluent;

namespace Dpu.Keeper.Tests.Processes;

/// <summary>What dpu-launch does where it cannot become what it is told, or is told nonsense: it says so, and executes nothing.</summary>
[TestClass]
public sealed class LaunchFailureTests
{
    private static readonly byte[] True = Records.Of("/bin/true").ToArray();

    private static string Program => Path.Combine(AppContext.BaseDirectory, "dpu-launch");

    [TestMethod]
    [TestCategory("root")]
    public void Program_ThatCannotBeExecuted_IsSaidWithItsErrno()
    {
        using KeeperProcess keeper = new("--launcher", Program);
        using KeeperClient client = new(keeper.Socket);
        using TemporaryDirectory folder = new();
        string plain = folder.WriteFile("plain", "no program");
        string secret = folder["secret"];
        Directory.CreateDirectory(secret, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        File.SetUnixFileMode(folder.FullPath, (UnixFileMode)0x1ed);
        Fails(client, Records.Of("/no/such/program"), errno.ENOENT, process.PROCESS_PROGRAM, "cannot execute '/no/such/program'");
        Fails(client, Records.Of(plain), errno.EACCES, process.PROCESS_PROGRAM, "as user 0: Permission denied");
        Fails(client, Records.Of("/bin/true").Text(process.PROCESS_DIRECTORY, "/no/such"), errno.ENOENT, process.PROCESS_DIRECTORY, "cannot enter the directory '/no/such'");

        // As the user who it is to be, not as root.
        Fails(client, Records.Of("/bin/true").Text(process.PROCESS_DIRECTORY, secret).Numbers(process.PROCESS_IDENTITY, 65534, 65534), errno.EACCES, process.PROCESS_DIRECTORY, "as user 65534: Permission denied");
        Fails(client, Records.Of("/bin/true").Numbers(process.PROCESS_SCHEDULING, 77, 0, 0), errno.EINVAL, process.PROCESS_SCHEDULING, "policy 77");
        Fails(client, Records.Of("/bin/true").Wide(process.PROCESS_PROCESSORS, 0, 0, 1ul << 63), errno.EINVAL, process.PROCESS_PROCESSORS, "cannot run on the processors");
        Fails(client, Records.Of("/bin/true").Wide(process.PROCESS_NODES, 1ul << 63), errno.EINVAL, process.PROCESS_NODES, "cannot have memory of the NUMA nodes");
        Fails(client, Records.Of("/bin/true").Wide(process.PROCESS_LIMITS, 99, 1, 1), errno.EINVAL, process.PROCESS_LIMITS, "limit 99");
        Fails(client, Records.Of("/bin/true").Wide(process.PROCESS_LIMITS, 7, 9, 8), errno.EINVAL, process.PROCESS_LIMITS, "limit 7");
        Fails(client, Records.Of("/bin/true").Numbers(process.PROCESS_CGROUP, 2), errno.EBADF, process.PROCESS_CGROUP, "descriptor 2", File.OpenHandle("/dev/null"));
        Fails(client, Records.Of("/bin/true").Numbers(process.PROCESS_CGROUP, 44), errno.EBADF, process.PROCESS_CGROUP, "descriptor 44 is told of");
        Fails(client, Records.Of("/bin/true").Numbers(process.PROCESS_TERMINAL, 0, 1).Numbers(process.PROCESS_FLAGS, (int)process.PROCESS_NEW_SESSION), errno.ENOTTY, process.PROCESS_TERMINAL, "controlling terminal");
        Fails(client, Records.Of("/bin/true").Wide(process.PROCESS_CAPABILITIES, 1, 0, 0, 1, 0), errno.EPERM, process.PROCESS_CAPABILITIES, "cannot have capabilities");
        Fails(client, Records.Of("/bin/true").Wide(process.PROCESS_CAPABILITIES, 1, 1, 0, 1, 1), errno.EPERM, process.PROCESS_CAPABILITIES, "ambient capability 0");
    }

    [TestMethod]
    [TestCategory("root")]
    [DataRow("records cut", errno.EBADMSG)]
    [DataRow("head cut", errno.EBADMSG)]
    [DataRow("size beyond", errno.EBADMSG)]
    [DataRow("no program", errno.EBADMSG)]
    [DataRow("relative program", errno.EBADMSG)]
    [DataRow("NUL", errno.EBADMSG)]
    [DataRow("identity of 4 bytes", errno.EBADMSG)]
    [DataRow("groups of 5 bytes", errno.EBADMSG)]
    [DataRow("capabilities of 8 bytes", errno.EBADMSG)]
    [DataRow("kind", errno.EBADMSG)]
    [DataRow("huge", errno.EMSGSIZE)]
    [DataRow("numbers without descriptors", errno.EBADMSG)]
    [DataRow("descriptors without numbers", errno.EBADMSG)]
    [DataRow("number twice", errno.EBADMSG)]
    [DataRow("number below 0", errno.EBADMSG)]
    [DataRow("number beyond the limit", errno.EBADF)]
    public void Nonsense_IsSaid(string what, int error)
    {
        using KeeperProcess keeper = new("--launcher", Program);
        using KeeperClient client = new(keeper.Socket);
        (FrameSocket agent, Microsoft.Win32.SafeHandles.SafeFileHandle theirs) = FrameSocket.Pair();
        using (agent)
        using (theirs)
        {
            using Kept kept = client.Run("p", default, 0, theirs);
            theirs.Dispose();
            ushort kind = process.PROCESS_START;
            byte[] content = what switch
            {
                "records cut" => True[..^1],
                "head cut" => [.. True, 1, 0, 0],
                "size beyond" => [.. True, 1, 0, 0, 0, 255, 255, 255, 255],
                "no program" => new Records().Text(process.PROCESS_ARGUMENT, "a").ToArray(),
                "relative program" => Records.Of("bin/true").ToArray(),
                "NUL" => Records.Of("/bin/true", "a\0b").ToArray(),
                "identity of 4 bytes" => Records.Of("/bin/true").Numbers(process.PROCESS_IDENTITY, 0).ToArray(),
                "groups of 5 bytes" => Records.Of("/bin/true").Text(process.PROCESS_GROUPS, "12345").ToArray(),
                "capabilities of 8 bytes" => Records.Of("/bin/true").Wide(process.PROCESS_CAPABILITIES, 0).ToArray(),
                _ => [],
            };
            switch (what)
            {
                case "kind":
                    agent.Send(process.PROCESS_ATTACH, new byte[16]);
                    break;
                case "huge":
                    agent.SendRaw(BitConverter.GetBytes(((ulong)process.PROCESS_START << 32) | (process.PROCESS_FRAME_MAX + 1)));
                    break;
                case "numbers without descriptors":
                    agent.Send(process.PROCESS_DESCRIPTORS, FrameSocket.Bytes(3));
                    break;
                case "descriptors without numbers":
                    agent.Send(process.PROCESS_DESCRIPTORS, [], 0, 1);
                    break;
                case "number twice":
                    agent.Send(process.PROCESS_DESCRIPTORS, FrameSocket.Bytes(3, 3), 0, 1);
                    break;
                case "number below 0":
                    agent.Send(process.PROCESS_DESCRIPTORS, FrameSocket.Bytes(-1), 0);
                    break;
                case "number beyond the limit":
                    agent.Send(process.PROCESS_DESCRIPTORS, FrameSocket.Bytes(int.MaxValue), 0);
                    agent.Send(process.PROCESS_START, True);
                    break;
                default:
                    agent.Send(kind, content);
                    break;
            }

            Frame failed = agent.Receive()!;
            Assert.AreEqual(process.PROCESS_FAILED, failed.Kind);
            Assert.AreEqual(error, failed.Number(), failed.Text(8));
            Assert.IsNull(agent.Receive());
            Eventually.True(() => State(client).Ended, KeeperProcess.Limit, "its end");
            Assert.AreEqual(127, State(client).ExitCode);
        }
    }

    [TestMethod]
    [TestCategory("root")]
    public void Agent_ThatEndsBeforeItHasSaidAll_LeavesNothing()
    {
        using KeeperProcess keeper = new("--launcher", Program);
        using KeeperClient client = new(keeper.Socket);
        foreach (int said in (int[])[0, 4, 8, 20])
        {
            (FrameSocket agent, Microsoft.Win32.SafeHandles.SafeFileHandle theirs) = FrameSocket.Pair();
            client.Run("p", default, 0, theirs).Dispose();
            theirs.Dispose();
            agent.SendRaw(((ReadOnlySpan<byte>)[.. BitConverter.GetBytes(((ulong)process.PROCESS_START << 32) | (uint)True.Length), .. True])[..said]);
            agent.Dispose();
            Eventually.True(() => State(client).Ended, KeeperProcess.Limit, "its end");
            Assert.AreEqual(125, State(client).ExitCode);
            Assert.IsTrue(client.Drop("p"));
        }
    }

    // Whatever it is told, it says what is wrong, or executes, and is not ended by a signal.
    [TestMethod]
    [TestCategory("root")]
    public void AnyRecords_AreAnswered()
    {
        using KeeperProcess keeper = new("--launcher", Program);
        using KeeperClient client = new(keeper.Socket);

        // Not those that would let it wait, or take from this machine: a session, a policy.
        Gen<(int Kind, byte[] Bytes, int Size)> records =
            from kind in Gen.Elements(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 14, 15, 32, 33, 50, 64, 65535)
            from bytes in ArbMap.Default.ArbFor<byte[]>().Generator
            from size in Gen.Frequency((9, Gen.Constant(bytes.Length)), (1, Gen.Choose(0, 100)), (1, Gen.Constant(int.MaxValue)))
            select (kind, bytes, size);
        Prop.ForAll(records.ArrayOf().ToArbitrary(), all =>
        {
            Records told = Records.Of("/bin/true");
            byte[] content = told.ToArray();
            foreach ((int kind, byte[] bytes, int size) in all)
            {
                content = [.. content, .. BitConverter.GetBytes((ushort)kind), 0, 0, .. BitConverter.GetBytes(size), .. bytes, .. new byte[((bytes.Length + 7) & ~7) - bytes.Length]];
            }

            using LaunchedProgram program = new(client, Records.Of(content));
            KeptProcess state = program.Wait();
            int expected = program.Failure is null ? 0 : 127;

            // Limits of nothing may end /bin/true itself.
            return state.ExitCode == expected || (program.Failure is null && all.Any(one => one.Kind == process.PROCESS_LIMITS));
        }).QuickCheckThrowOnFailure();
    }

    private static KeptProcess State(KeeperClient client)
    {
        using Kept kept = client.Get("p")!;
        return kept.Entry.Process!;
    }

    private static void Fails(KeeperClient client, Records records, int error, int kind, string text, Microsoft.Win32.SafeHandles.SafeFileHandle? second = null)
    {
        using LaunchedProgram program = second is null ? new(client, records) : new(client, records, (2, second));
        Assert.IsNotNull(program.Failure, text);
        Assert.AreEqual(process.PROCESS_FAILED, program.Failure.Kind);
        Assert.AreEqual(kind, program.Failure.Number(4), program.Failure.Text(8));
        Assert.Contains(text, program.Failure.Text(8));
        Assert.AreEqual(error, program.Failure.Number(), program.Failure.Text(8));
        Assert.AreEqual(127, program.Wait().ExitCode);
        second?.Dispose();
    }
}
