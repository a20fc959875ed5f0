using System.Globalization;
using Dpu.Link;

namespace Dpu.EndToEnd.Tests;

/// <summary>Processes of the host go on, and lose and double nothing, whatever dies between them and their stubs.</summary>
[TestClass]
public sealed class ExecSurvivalTests
{
    // Numbered lines, at a pace that lets faults fall between and into them; its input comes back behind.
    private const string Writer =
        """
        import sys, time
        for i in range(40000):
            print(i)
            if i % 2000 == 0:
                sys.stdout.flush()
                time.sleep(0.2)
        print('input', sum(int(line) for line in sys.stdin), flush=True)
        sys.exit(9)
        """;

    [TestMethod]
    [TestCategory("root")]
    [DataRow("link")]
    [DataRow("agent")]
    [DataRow("runtime")]
    [DataRow("both")]
    public void Killed_OutputInputAndStatusAreWhole(string what)
    {
        using var pair = new ExecPair(cuts: what == "link");
        string written = Path.Combine(pair.Pair.Folder, "written");
        string program = Path.Combine(pair.Pair.ExportRoot, "writer.py");
        File.WriteAllText(program, Writer);
        using RunningProgram shell = pair.Start($"bash -c 'seq 200000 | $REXEC /usr/bin/python3 {program} | cat > {written}; exit ${{PIPESTATUS[1]}}'");
        for (int i = 0; i < 4; i++)
        {
            long seen = LengthOf(written);
            Eventually.True(() => LengthOf(written) > seen || shell.HasExited, Pair.Limit, "more output");
            switch (what)
            {
                case "link":
                    pair.Proxy!.Cut();
                    break;
                case "agent":
                    pair.Pair.Agent.Kill();
                    pair.Pair.RestartAgent(quick: true);
                    break;
                case "runtime":
                    pair.Pair.Runtime.Kill();
                    pair.Pair.RestartRuntime(quick: true);
                    break;
                default:
                    pair.Pair.Runtime.Kill();
                    pair.Pair.Agent.Kill();
                    pair.Pair.RestartAgent(quick: true);
                    pair.Pair.RestartRuntime(quick: true);
                    break;
            }
        }

        Assert.IsTrue(shell.WaitForExit(Pair.Limit), "it hung; " + pair.Pair.Runtime.Log[^Math.Min(4000, pair.Pair.Runtime.Log.Length)..]);
        string[] lines = File.ReadAllLines(written);
        for (int i = 0; i < Math.Min(lines.Length, 40000); i++)
        {
            Assert.AreEqual(i.ToString(CultureInfo.InvariantCulture), lines[i], $"line {i} of {lines.Length}");
        }

        Assert.AreEqual("input 20000100000", lines[^1]);
        Assert.HasCount(40001, lines);
        Assert.AreEqual(9, shell.ExitCode, shell.Error);
    }

    private static long LengthOf(string file) => File.Exists(file) ? new FileInfo(file).Length : 0;

    [TestMethod]
    [TestCategory("root")]
    [DataRow("agent")]
    [DataRow("runtime")]
    [DataRow("link")]
    public void EndedWhileNobodyListened_TheStatusIsTold(string what)
    {
        using var pair = new ExecPair(cuts: what == "link");
        using RunningProgram stub = pair.Start("$REXEC /bin/sh -c 'echo begun; sleep 1; echo late; kill -USR2 $$'");
        _ = stub.WaitForLine(line => line == "begun", Pair.Limit);
        switch (what)
        {
            case "agent":
                pair.Pair.Agent.Kill();
                break;
            case "runtime":
                pair.Pair.Runtime.Kill();
                break;
            default:
                pair.Proxy!.Closed = true;
                pair.Proxy.Cut();
                break;
        }

        Assert.IsFalse(stub.WaitForExit(TimeSpan.FromSeconds(2)));
        switch (what)
        {
            case "agent":
                pair.Pair.RestartAgent();
                break;
            case "runtime":
                pair.Pair.RestartRuntime();
                break;
            default:
                pair.Proxy!.Closed = false;
                break;
        }

        Assert.IsTrue(stub.WaitForExit(Pair.Limit), "it hung");
        Assert.AreEqual("begun\nlate", stub.Output.TrimEnd('\n'));
        Assert.AreEqual(128 + 12, stub.ExitCode, ".NET says 128 and the signal");
    }

    [TestMethod]
    [TestCategory("root")]
    public void ConnectionMadeBeforehand_ThatBroke_HindersNoStart()
    {
        using var pair = new ExecPair(LinkKind.Tls, cuts: true);
        for (int i = 0; i < 3; i++)
        {
            // The first has none, and leaves some behind; then all of them are cut, and then their host is another one.
            Assert.AreEqual(new(0, "one\n", ""), pair.Rexec("/bin/echo one"));
            Assert.AreEqual(new(0, "two\n", ""), pair.Rexec("/bin/echo two"));
            pair.Proxy!.Cut();
            Assert.AreEqual(new(0, "three\n", ""), pair.Rexec("/bin/echo three"));
        }

        pair.Pair.Agent.Kill();
        pair.Pair.RestartAgent(quick: true);
        Assert.AreEqual(new(0, "four\n", ""), pair.Rexec("/bin/echo four"));
    }

    [TestMethod]
    [TestCategory("root")]
    [DataRow(LinkKind.Unix)]
    [DataRow(LinkKind.Tls)]
    public void Starts_OneAfterTheOther_HaveTheConnectionsOfThoseBefore(LinkKind kind)
    {
        using var pair = new ExecPair(kind, cuts: true);
        string one = $"for i in 1 2 3 4; do echo $i | $REXEC /bin/sh -c \"cat; echo of $i; exit $i\"; echo $?; done";
        const string All = "1\nof 1\n1\n2\nof 2\n2\n3\nof 3\n3\n4\nof 4\n4";
        Assert.AreEqual(All, pair.Check(one));
        int before = pair.Proxy!.Accepted;
        for (int i = 0; i < 5; i++)
        {
            Assert.AreEqual(All, pair.Check(one));
        }

        // One that is not back yet may be missed; without that it would be twenty.
        Assert.IsLessThan(8, pair.Proxy.Accepted - before);

        if (kind == LinkKind.Tls)
        {
            // What was proved with other certificates than those of now begins nothing more.
            pair.Pair.Authority.Issue(LinkRole.Dpu, "dpu1", TimeSpan.FromMinutes(30), rotate: true);
            Eventually.True(() => pair.Pair.Runtime.Log.Contains("CredentialsReloaded", StringComparison.Ordinal), Pair.Limit, "the new certificate to be read");
            before = pair.Proxy.Accepted;
            Assert.AreEqual(All, pair.Check(one));
            Assert.IsGreaterThan(before, pair.Proxy.Accepted, "a connection with the new certificate");
            before = pair.Proxy.Accepted;
            Assert.AreEqual(All, pair.Check(one));
            Assert.IsLessThan(4, pair.Proxy.Accepted - before, "those are used again as well");
        }

        // What is refused, and what is killed, ends no other one's.
        Assert.AreEqual(127, pair.Rexec("/bin/sh -c 'exit 127'").Code);
        Assert.AreEqual(126, pair.Rexec("/bin/false").Code);
        using RunningProgram stub = pair.Start("$REXEC /bin/sleep 1000");
        _ = pair.ProcessOf(stub);
        _ = pair.Check($"kill -KILL {stub.Id}");
        Assert.AreEqual(All, pair.Check(one));
    }

    [TestMethod]
    [TestCategory("root")]
    public void LinkStaysDown_WhatItsPolicyTerminatesIsTerminated_AndTheOtherGoesOn()
    {
        using var pair = new ExecPair(programs: ["/bin/sh", "/bin/sleep"], cuts: true, change: rule =>
        {
            if ((string?)rule["path"] == "/bin/sleep")
            {
                (rule["onLinkDown"], rule["linkDownFor"], rule["grace"]) = ("terminate", "500ms", "200ms");
            }
        });
        using RunningProgram terminated = pair.Start("$REXEC /bin/sleep 1000");
        using RunningProgram kept = pair.Start("$REXEC /bin/sh -c 'exec sleep 1000'");
        (int one, int other) = (pair.ProcessOf(terminated), pair.ProcessOf(kept));
        pair.Proxy!.Closed = true;
        pair.Proxy.Cut();
        Eventually.True(() => !Directory.Exists($"/proc/{one}"), Pair.Limit, "the end by policy");
        Assert.IsTrue(Directory.Exists($"/proc/{other}"));
        pair.Proxy.Closed = false;
        Assert.IsTrue(terminated.WaitForExit(Pair.Limit));
        Assert.AreEqual(128 + 15, terminated.ExitCode);
        Assert.IsFalse(kept.HasExited);
        _ = pair.Check($"kill -KILL {kept.Id}");
        Eventually.True(() => !Directory.Exists($"/proc/{other}"), Pair.Limit, "its end");
    }
}
