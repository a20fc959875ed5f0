using System.Text.Json.Nodes;

namespace Dpu.EndToEnd.Tests;

/// <summary>Daemons of a host that were begun in a view.</summary>
[TestClass]
public sealed class ViewDaemonTests
{
    [TestMethod]
    [TestCategory("root")]
    public void Daemon_HasAStandInInTheView_WhichItsInitReaps_AndItOutlivesTheView()
    {
        using var lab = new ViewLab(programs: ["/usr/bin/setsid"]);
        lab.Describe("d1", new JsonObject { ["stubs"] = new JsonArray(new JsonObject { ["program"] = "/usr/bin/setsid" }) });
        (int host, int number, _) = Begin(lab);
        Assert.AreEqual("1", lab.Check("d1", $"cut -d' ' -f4 /proc/{number}/stat"), "it is the init's, as a daemon is");
        lab.Check("d1", $"kill -TERM {number}; for i in $(seq 500); do test -e /proc/{number} || exit 0; sleep 0.01; done; cat /proc/{number}/status; exit 1");
        Eventually.True(() => !Directory.Exists($"/proc/{host}") && lab.HostProcesses().Count == 0, Pair.Limit, "the daemon's end");

        // The view's end is not the daemon's, nor is what comes after it.
        (host, _, string id) = Begin(lab);
        lab.Ctl("delete", "--force", "d1").EnsureSuccess();
        (int other, number, _) = Begin(lab, besides: host);
        lab.Check("d1", $"kill -TERM {number}");
        Eventually.True(() => !Directory.Exists($"/proc/{other}"), Pair.Limit, "the other one's end");
        Assert.IsTrue(Directory.Exists($"/proc/{host}"), lab.Pair.Runtime.Log);
        lab.Pair.Runtime.Ctl("ps", "kill", "--signal", "KILL", id).EnsureSuccess();
        Eventually.True(() => !Directory.Exists($"/proc/{host}"), Pair.Limit, "its end");
    }

    private static (int Host, int Number, string Id) Begin(ViewLab lab, int besides = 0)
    {
        lab.Check("d1", "setsid --fork sleep 1000 </dev/null >/dev/null 2>&1");
        JsonNode daemon = lab.HostProcesses().Single(one => (string)one!["state"]! == "daemonised" && (int)one["hostPid"]! != besides)!;
        return ((int)daemon["hostPid"]!, (int)daemon["ownPid"]!, (string)daemon["id"]!);
    }
}
