using System.Text;
using Dpu.Hosting.Configuration;
using FsCheck;
using FsCheck.Fluent;

namespace Dpu.Hosting.Tests.Configuration;

[TestClass]
public sealed class ViewConfigurationTests
{
    private const string Whole =
        """
        {
          "hostname": "compute-7", "machine": "x86_64", "network": "own",
          "pids": { "first": 20000, "below": 32768 },
          "intercept": ["limits"],
          "mounts": [
            { "target": "/run", "memory": 65536, "mode": "0711" },
            { "target": "/run/x", "folder": "/srv/x", "readOnly": true },
            { "target": "/run/x/s", "file": "/srv/s", "allowDev": true },
            { "target": "/data", "mount": "/mnt/data", "path": "a/b", "allowSuid": true },
            { "target": "/proc", "processes": { "host": "host1", "export": "proc" } }
          ],
          "stubs": [{ "program": "/usr/bin/qemu", "host": "host1" }, { "program": "/bin/true" }]
        }
        """;

    [TestMethod]
    [TestCategory("unit")]
    public void File_AllKeys_AreRead()
    {
        ViewConfiguration view = Good(Whole);
        Assert.AreEqual(("d1", "compute-7", "x86_64", true, 20000, 32768), (view.Name, view.Hostname, view.Machine, view.OwnNetwork, view.FirstPid, view.BelowPid));
        Assert.AreEqual(ViewCalls.Limits | ViewCalls.Name, view.Calls);
        Assert.AreEqual(new ViewMountConfiguration("/run", ViewMountKind.Memory, "", "", 65536, 0x1c9, false, false, false, 6), view.Mounts[0]);
        Assert.AreEqual((ViewMountKind.Folder, "/srv/x", true), (view.Mounts[1].Kind, view.Mounts[1].Source, view.Mounts[1].ReadOnly));
        Assert.AreEqual((ViewMountKind.File, "/srv/s", true), (view.Mounts[2].Kind, view.Mounts[2].Source, view.Mounts[2].AllowDev));
        Assert.AreEqual((ViewMountKind.Mount, "/mnt/data", "a/b", true), (view.Mounts[3].Kind, view.Mounts[3].Source, view.Mounts[3].Path, view.Mounts[3].AllowSuid));
        Assert.AreEqual((ViewMountKind.Processes, "host1", "proc"), (view.Mounts[4].Kind, view.Mounts[4].Source, view.Mounts[4].Path));
        CollectionAssert.AreEqual(new ViewStubConfiguration[] { new("/usr/bin/qemu", "host1", 12), new("/bin/true", null, 12) }, view.Stubs.ToArray());
        Assert.AreEqual(ViewCalls.Scheduling | ViewCalls.Limits | ViewCalls.Priority | ViewCalls.Mounts, Good("{}").Calls);
        Assert.AreEqual(ViewCalls.Mounts, Good("""{ "intercept": ["mounts"] }""").Calls);
        Assert.AreEqual(ViewCalls.None, Good("""{ "intercept": [] }""").Calls);
    }

    [TestMethod]
    [TestCategory("unit")]
    [DataRow("""{ "mounts": [{ "target": "/a", "folder": "/etc/dpu" }] }""", "mounts[0].folder: \"/etc/dpu\" is in /etc/dpu")]
    [DataRow("""{ "mounts": [{ "target": "/a", "folder": "/etc/dpu/pki" }] }""", "is in /etc/dpu")]
    [DataRow("""{ "mounts": [{ "target": "/a", "folder": "/etc" }] }""", "holds /etc/dpu")]
    [DataRow("""{ "mounts": [{ "target": "/a", "folder": "/" }] }""", "holds /etc/dpu")]
    [DataRow("""{ "mounts": [{ "target": "/a", "folder": "/run" }] }""", "holds /run/dpu")]
    [DataRow("""{ "mounts": [{ "target": "/a", "file": "/run/dpu/runtime.sock" }] }""", "is in /run/dpu")]
    [DataRow("""{ "mounts": [{ "target": "/a", "folder": "/var/lib" }] }""", "holds /var/lib/dpu")]
    [DataRow("""{ "mounts": [{ "target": "/etc/dpu/x", "memory": 8192 }] }""", "which a view has for itself")]
    [DataRow("""{ "stubs": [{ "program": "/run/dpu/x" }] }""", "which a view has for itself")]
    public void SecretsOfTheDpu_AreInNoView(string json, string said) => Refused(json, said);

    [TestMethod]
    [TestCategory("unit")]
    [DataRow("[]", "d1.json:1: is a list; allowed: a JSON object")]
    [DataRow("{ \"hostname\": \"a b\" }", "hostname: \"a b\" is no hostname")]
    [DataRow("{ \"machine\": \"x\\n\" }", "machine:")]
    [DataRow("{ \"network\": \"none\" }", "network: is \"none\"")]
    [DataRow("{ \"pids\": { \"first\": 30000, \"below\": 30100 } }", "leaves 100 numbers")]
    [DataRow("{ \"pids\": { \"first\": 1 } }", "pids.first: is 1")]
    [DataRow("{ \"intercept\": [\"limit\"] }", "did you mean \"limits\"?")]
    [DataRow("{ \"mount\": [] }", "is not a key; did you mean \"mounts\"?")]
    [DataRow("{ \"mounts\": [{ \"target\": \"/a\" }] }", "mounts[0]: says not what is mounted")]
    [DataRow("{ \"mounts\": [{ \"target\": \"/a\", \"memory\": 8192, \"folder\": \"/srv\" }] }", "cannot be beside")]
    [DataRow("{ \"mounts\": [{ \"target\": \"/\", \"memory\": 8192 }] }", "would hide the whole view")]
    [DataRow("{ \"mounts\": [{ \"target\": \"/a/../etc\", \"memory\": 8192 }] }", "is not a plain path")]
    [DataRow("{ \"mounts\": [{ \"target\": \"/a\\u0000b\", \"memory\": 8192 }] }", "NUL")]
    [DataRow("{ \"mounts\": [{ \"target\": \"/a\", \"memory\": -1 }] }", "mounts[0].memory: is -1")]
    [DataRow("{ \"mounts\": [{ \"target\": \"/a\", \"memory\": 8192, \"mode\": \"999\" }] }", "mounts[0].mode: is \"999\"")]
    [DataRow("{ \"mounts\": [{ \"target\": \"/a\", \"mount\": \"/m\", \"path\": \"../x\" }] }", "is no plain relative path")]
    [DataRow("{ \"mounts\": [{ \"target\": \"/a\", \"folder\": \"/m\", \"path\": \"x\" }] }", "is a path in a \"mount\", which is not there")]
    [DataRow("{ \"mounts\": [\n{ \"target\": \"/a/b\", \"memory\": 8192 },\n{ \"target\": \"/a\", \"memory\": 8192 }] }", "[1] (line 3), on \"/a\", hides [0] (line 2)")]
    [DataRow("{ \"mounts\": [{ \"target\": \"/a\", \"memory\": 8192 }, { \"target\": \"/a\", \"memory\": 8192 }] }", "each target once")]
    [DataRow("{ \"mounts\": [{ \"target\": \"/proc/sys\", \"memory\": 8192 }] }", "in /proc, where nothing can be")]
    [DataRow("{ \"stubs\": [{ \"program\": \"/b/x\" }, { \"program\": \"/b/x\" }] }", "each program once")]
    [DataRow("{ \"stubs\": [{ \"program\": \"/b\" }], \"mounts\": [{ \"target\": \"/b/x\", \"memory\": 8192 }] }", "programs that are files")]
    [DataRow("{ \"stubs\": [{ \"program\": \"x\" }] }", "is not absolute")]
    public void WrongFile_SaysWhereAndWhatIsAllowed(string json, string said) => Refused(json, said);

    [TestMethod]
    [TestCategory("unit")]
    public void FileName_IsTheViewsName()
    {
        Assert.Contains("its name is the view's", string.Join('\n', ViewConfiguration.Parse("{}"u8, "/etc/dpu/views.d/No Name.json").Errors));
        Assert.Contains("cannot be read", ViewConfiguration.Load("/no/such/file.json").Errors.Single().ToString());
        Assert.IsNotNull(ViewConfiguration.NameProblem("../x"));
    }

    [TestMethod]
    [TestCategory("unit")]
    public void AnyText_IsReadOrRefused() => Prop.ForAll(
        ArbMap.Default.ArbFor<byte[]>(),
        bytes =>
        {
            ConfigurationResult<ViewConfiguration> of = ViewConfiguration.Parse(bytes, "d1.json");
            byte[] changed = Encoding.UTF8.GetBytes(Whole);
            for (int i = 0; i < bytes.Length; i++)
            {
                changed[bytes[i] * 31 % changed.Length] = bytes[^(i + 1)];
            }

            ConfigurationResult<ViewConfiguration> mutated = ViewConfiguration.Parse(changed, "d1.json");
            return of.Succeeded == (of.Errors.Count == 0) && mutated.Succeeded == (mutated.Errors.Count == 0);
        }).QuickCheckThrowOnFailure();

    private static ViewConfiguration Good(string json)
    {
        ConfigurationResult<ViewConfiguration> result = ViewConfiguration.Parse(Encoding.UTF8.GetBytes(json), "/etc/dpu/views.d/d1.json");
        Assert.IsTrue(result.Succeeded, string.Join('\n', result.Errors));
        return result.Configuration;
    }

    private static void Refused(string json, string said)
    {
        ConfigurationResult<ViewConfiguration> result = ViewConfiguration.Parse(Encoding.UTF8.GetBytes(json), "/etc/dpu/views.d/d1.json");
        Assert.IsFalse(result.Succeeded);
        Assert.Contains(said, string.Join('\n', result.Errors));
        Assert.IsTrue(result.Errors.All(error => error.Line > 0), "each names its line");
    }
}
