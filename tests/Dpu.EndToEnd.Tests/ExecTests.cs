using System.Text.Json.Nodes;

namespace Dpu.EndToEnd.Tests;

/// <summary>Programs of the host that a DPU's programs run as if they were local: by dpu-stub, with real daemons.</summary>
[TestClass]
public sealed class ExecTests
{
    [TestMethod]
    [TestCategory("root")]
    [DataRow(LinkKind.Unix)]
    [DataRow(LinkKind.Tls)]
    public void Program_HasWhatItsStubHad_AndItsOutputAndStatusComeBack(LinkKind kind)
    {
        using var pair = new ExecPair(kind);
        Assert.AreEqual(new(0, "hello\n", ""), pair.Rexec("/bin/echo hello"));
        Assert.AreEqual(new(7, "out\n", "err\n"), pair.Rexec("/bin/sh -c 'echo out; echo err >&2; exit 7'"));
        Assert.AreEqual("HELLO", pair.Check("echo hello | $REXEC /usr/bin/tr a-z A-Z"));
        Assert.AreEqual("7", pair.Check("cd /usr; umask 027; A=7 $REXEC /bin/sh -c 'test $PWD = /usr && test $(umask) = 0027 && echo $A'"));
        Assert.AreEqual("3000000", pair.Check("head -c 3000000 /dev/zero | $REXEC /bin/cat | wc -c"));
        Assert.AreEqual("1:2:1", pair.Check("$REXEC /bin/sh -c 'echo 1; echo 2 >&2; echo 1' 2>&1 | paste -sd:"));
        Assert.AreEqual("done", pair.Check("$REXEC /usr/bin/yes | head -n 100000 | tail -n 1 > /dev/null; echo done"));
    }
}
