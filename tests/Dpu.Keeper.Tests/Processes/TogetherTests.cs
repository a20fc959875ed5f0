using Dpu.Linux;
using Microsoft.Win32.SafeHandles;

namespace Dpu.Keeper.Tests.Processes;

/// <summary>What a stub tells, told to dpu-launch as it is: a program that is run that way says the same as one that is run here.</summary>
[TestClass]
public sealed class TogetherTests
{
    [TestMethod]
    [TestCategory("root")]
    [DataRow("id; pwd; umask; nice; cat /proc/self/oom_score_adj; env | sort; exit 3")]
    [DataRow("ulimit -a; ulimit -Ha")]
    [DataRow("grep -E '^(Sig(Blk|Ign)|Cap|Groups|Uid|Gid|NoNewPrivs)' /proc/self/status")]
    [DataRow("ls /proc/self/fd | cat; readlink /proc/self/fd/0 /proc/self/fd/7 | sed 's/:.*//'; read line <&7; echo \"$line\"")]
    [DataRow("echo to 2 >&2; cat; echo $0 \"$@\"; kill -TERM $$")]
    public void Program_RunByAStub_SaysWhatItSaysHere(string script)
    {
        using StubProgram runtime = new();
        using KeeperProcess keeper = new("--launcher", Path.Combine(AppContext.BaseDirectory, "dpu-launch"));
        using KeeperClient client = new(keeper.Socket);
        string file = runtime.Folder.WriteFile("input", "first line\nsecond line\n");

        // A parent with much of its own; then each the same.
        string parent = $"cd /usr/share; umask 027; ulimit -c 5; ulimit -S -n 300; trap '' USR2; exec 7<{file}; read line <&7; printf 'from before' | nice -n 3 setpriv --reuid=4321 --regid=1234 --groups=5,6 --bounding-set=-sys_admin,-net_raw --inh-caps=+sys_nice --ambient-caps=+sys_nice ";
        string program = "/bin/bash -c \"$1\" name 'two words' ''; echo \"status ${PIPESTATUS[*]}\"";
        string copy = runtime.Folder["rexec"];
        File.Copy(StubProgram.Program, copy);
        ProgramResult here = ExternalProgram.Run("/bin/bash", ["-c", parent + program, "bash", script], StubProgram.Limit);
        using RunningProgram there = RunningProgram.Start("/bin/bash", ["-c", $"{parent} /usr/bin/env DPU_STUB_SOCKET={runtime.Address} '{copy}' -- {program}", "bash", script]);
        using (FrameSocket stub = runtime.Accept())
        {
            Frame start = StubProgram.TakeStart(stub, out int[] numbers);
            (FrameSocket agent, SafeFileHandle theirs) = FrameSocket.Pair();
            using (agent)
            {
                client.Run("p", default, 0, theirs).Dispose();
                theirs.Dispose();
                agent.Send(process.PROCESS_DESCRIPTORS, FrameSocket.Bytes(numbers), [.. start.Descriptors.Select(handle => (int)handle.DangerousGetHandle())]);
                agent.Send(process.PROCESS_START, start.Content);
                foreach (SafeFileHandle handle in start.Descriptors)
                {
                    handle.Dispose();
                }

                Frame? failure = agent.Receive();
                Assert.IsNull(failure, failure?.Text(8));
            }

            StubProgram.Started(stub);
            KeptProcess State()
            {
                using Kept kept = client.Get("p")!;
                return kept.Entry.Process!;
            }

            Eventually.True(() => State().Ended, StubProgram.Limit, "its end");
            stub.Send(process.PROCESS_ENDED, FrameSocket.Bytes(State().Status));
            Assert.IsTrue(there.WaitForExit(StubProgram.Limit));
        }

        // A shell tells of its own child's death by its number.
        static string Said(string text) => string.Join('\n', text.Split('\n').Where(line => !line.Contains("Terminated", StringComparison.Ordinal) && !line.StartsWith("_=", StringComparison.Ordinal)));
        Assert.AreEqual(Said(here.Output), Said(there.Output));
        Assert.AreEqual(Said(here.Error), Said(there.Error));
        Assert.Contains("status ", here.Output);
    }
}
