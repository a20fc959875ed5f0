using System.Net.Sockets;
using System.Text;

namespace Dpu.Keeper.Tests;

/// <summary>A keeper's start, death and end, and who may connect.</summary>
[TestClass]
public sealed class LifeTests
{
    [TestMethod]
    [TestCategory("root")]
    public void Keeper_KilledAndStartedAgain_ItsClientsAreToldOfBoth()
    {
        using KeeperProcess keeper = new();
        List<string> told = [];
        void Tell(string what)
        {
            lock (told)
            {
                told.Add(what);
            }
        }

        int Count()
        {
            lock (told)
            {
                return told.Count;
            }
        }

        using KeeperWatch watch = new(keeper.Socket, there => Tell($"there {there.Instance}"), gone => Tell(gone));
        using KeeperClient client = new KeeperClient(keeper.Socket);
        client.Put("a", null, "note"u8);
        Eventually.True(() => Count() == 1, KeeperProcess.Limit, "the first word");
        keeper.Kill();
        Eventually.True(() => Count() == 2, KeeperProcess.Limit, "the word of its death");
        Assert.Contains("has ended", Assert.ThrowsExactly<KeeperException>(() => client.Get("a")).Message);
        Assert.Contains("connect anew", Assert.ThrowsExactly<KeeperException>(() => client.Get("a")).Message);
        Assert.Contains("dpu-keeper.service", Assert.ThrowsExactly<KeeperException>(() => new KeeperClient(keeper.Socket)).Message);

        keeper.Start();
        Eventually.True(() => Count() == 3, KeeperProcess.Limit, "the word of its return");
        using KeeperClient again = new KeeperClient(keeper.Socket);
        Assert.AreEqual(0, again.Status().Entries);
        CollectionAssert.AreEqual(new[] { $"there {client.Greeting.Instance}", $"the keeper at '{keeper.Socket}' has ended: what it held is gone", $"there {again.Greeting.Instance}" }, told);
        Assert.AreNotEqual(client.Greeting.Instance, again.Greeting.Instance);
    }

    [TestMethod]
    [TestCategory("root")]
    public void SecondKeeper_OfTheSameSocket_IsRefused()
    {
        using KeeperProcess keeper = new();
        using KeeperClient client = new KeeperClient(keeper.Socket);
        ProgramResult second = ExternalProgram.Run(KeeperProcess.Program, ["--socket", keeper.Socket], KeeperProcess.Limit);
        Assert.AreEqual(3, second.ExitCode);
        Assert.Contains("another keeper", second.Error);
        Assert.AreEqual(1, client.Status().Clients, "the first one serves on");
    }

    [TestMethod]
    [TestCategory("root")]
    public void OtherUser_IsRefused()
    {
        using KeeperProcess keeper = new();
        using TemporaryDirectory folder = new();

        // Even where somebody has opened up the socket and its folder.
        File.SetUnixFileMode(keeper.Socket, (UnixFileMode)0x1ff);
        File.SetUnixFileMode(Path.GetDirectoryName(keeper.Socket)!, (UnixFileMode)0x1ed);
        ProgramResult result = ExternalProgram.Run(
            "setpriv",
            ["--reuid=65534", "--clear-groups", Requires.Exists("/usr/bin/python3", "install python3"), "-c", $"import socket; s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET); s.settimeout(10); s.connect('{keeper.Socket}'); print(s.recv(10))"],
            KeeperProcess.Limit);
        Assert.IsTrue(result.Output.Contains("b''", StringComparison.Ordinal) || result.Error.Contains("ConnectionReset", StringComparison.Ordinal), result.Output + result.Error);
        Eventually.True(() => keeper.Running.Error.Contains("user 65534", StringComparison.Ordinal), KeeperProcess.Limit, "the log");
    }

    [TestMethod]
    [TestCategory("root")]
    public void Service_SaysThatItIsReadyAliveAndStops()
    {
        using TemporaryDirectory folder = new();
        using Socket manager = new(AddressFamily.Unix, SocketType.Dgram, ProtocolType.Unspecified) { ReceiveTimeout = 10_000 };
        manager.Bind(new UnixDomainSocketEndPoint(folder["notify"]));
        string Next()
        {
            byte[] text = new byte[100];
            return Encoding.UTF8.GetString(text, 0, manager.Receive(text));
        }

        using RunningProgram keeper = RunningProgram.Start(
            KeeperProcess.Program,
            ["--socket", folder["k"]],
            environment: new Dictionary<string, string?> { ["NOTIFY_SOCKET"] = folder["notify"], ["WATCHDOG_USEC"] = "200000", ["WATCHDOG_PID"] = null, ["JOURNAL_STREAM"] = "8:1" });
        Assert.AreEqual("READY=1", Next());
        Assert.AreEqual("WATCHDOG=1", Next());
        Assert.AreEqual("WATCHDOG=1", Next());
        ExternalProgram.Check("kill", ["-TERM", $"{keeper.Id}"], KeeperProcess.Limit);
        string last = Next();
        while (last == "WATCHDOG=1")
        {
            last = Next();
        }

        Assert.AreEqual("STOPPING=1", last);
        Assert.IsTrue(keeper.WaitForExit(KeeperProcess.Limit));
        Assert.AreEqual(0, keeper.ExitCode);
        Assert.IsFalse(File.Exists(folder["k"]));
        Assert.Contains("<6>dpu-keeper: holds", keeper.Error);
    }

    [TestMethod]
    [TestCategory("root")]
    [DataRow("--entries 0", 2, "--entries wants a number")]
    [DataRow("--memory 1k", 2, "--memory wants a number")]
    [DataRow("--what", 2, "usage: dpu-keeper")]
    [DataRow("surplus", 2, "one argument too many")]
    [DataRow("--socket /no/such/folder/s", 1, "No such file")]
    [DataRow("--socket /tmp/000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000", 2, "longer than 107 bytes")]
    public void Arguments_ThatAreWrong_AreSaidAndEndIt(string arguments, int code, string said)
    {
        ProgramResult result = ExternalProgram.Run(KeeperProcess.Program, arguments.Split(' '), KeeperProcess.Limit);
        Assert.AreEqual(code, result.ExitCode);
        Assert.Contains(said, result.Error);
    }

    [TestMethod]
    [TestCategory("root")]
    public void Help_AndVersion_AreThere_AndTheManualHasEachOption()
    {
        string help = ExternalProgram.Check(KeeperProcess.Program, ["--help"], KeeperProcess.Limit);
        string manual = File.ReadAllText(Repository.PathOf("docs/man/dpu-keeper.8")).Replace("\\-", "-", StringComparison.Ordinal);
        foreach (string option in (string[])["--socket", "--entries", "--memory", "--launcher", "--help", "--version"])
        {
            Assert.Contains(option, help);
            Assert.Contains(option, manual);
        }

        Assert.StartsWith("dpu-keeper 0.", ExternalProgram.Check(KeeperProcess.Program, ["--version"], KeeperProcess.Limit));
    }

    [TestMethod]
    [TestCategory("interop")]
    [DataRow("x64", (byte)62)]
    [DataRow("arm64", (byte)183)]
    public void Program_ForEachArchitecture_IsBuiltWithoutAWarning(string architecture, byte machine)
    {
        using TemporaryDirectory folder = new();
        KeeperProcess.Compile(architecture, folder.FullPath);

        // e_machine of the ELF header: EM_X86_64, EM_AARCH64.
        foreach (string program in (string[])["dpu-keeper", "dpu-stub", "dpu-launch", "dpu-view", "dpu-run"])
        {
            Assert.AreEqual(machine, File.ReadAllBytes(folder[program])[18], program);
        }

        foreach (string[] parts in (string[][])[["keeper.c", "keeper.h", "parts.h", "held.c", "runs.c", "requests.c"], ["stub.c", "stub.h", "gather.c", "standin.c", "terminal.c", "die.c"], ["launch.c", "jobs.c", "jobs.h"], ["view.c", "view.h"], ["run.c", "view.h"]])
        {
            Assert.IsLessThan(1000, parts.Sum(part => File.ReadLines(Repository.PathOf($"qtfs-bridge/native/{part}")).Count()), "one program that one can read");
        }
    }
}
