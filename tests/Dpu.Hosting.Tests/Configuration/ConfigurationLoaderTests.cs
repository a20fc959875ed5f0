using System.Text;
using Dpu.Hosting.Configuration;
using FsCheck;
using FsCheck.Fluent;
using Microsoft.Extensions.Logging;

namespace Dpu.Hosting.Tests.Configuration;

[TestClass]
public sealed class ConfigurationLoaderTests
{
    private const string Agent =
        """
        {
          // where DPUs connect
          "listen": ["tcp://0.0.0.0:7443", "unix:///run/dpu/link.sock"],
          "tls": { "certificate": "/p/host.crt", "key": "/p/host.key", "authority": "/p/ca.crt" },
          "peers": [{ "name": "dpu1", "uid": 0, "limits": { "openNodes": 500, "lockOwners": 9, "lockRanges": 8, "lockWaits": 7 } }, { "name": "dpu2" }],
          "exports": [
            { "name": "home", "path": "/home", "peers": ["dpu1"], "access": "read-write", "squash": "all",
              "fifos": [{ "match": "*-in", "direction": "toHost" }, { "match": "fifo/**" }],
              "mounts": [{ "match": "ctr/**", "types": ["overlay", "bind"], "sources": ["/dev/vd*"], "allowSuid": true }, { "match": "t", "types": ["tmpfs"], "options": ["size=*"], "allowDev": true }],
              "userMap": [{ "dpu": 1000, "host": 2000 }, { "dpu": 5000, "host": 6000, "count": 10 }] },
            { "name": "proc", "path": "/proc", "peers": ["dpu1"], "kind": "proc" }
          ],
          "sockets": [{ "peers": ["dpu1"], "connect": ["/run/*.sock", "@x"], "listen": ["@y/**"], "squash": "none" }],
          "limits": { "connections": 7 },
          "metrics": { "listen": "[::1]:9465" },
          "log": { "level": "Debug", "format": "json" }
        }
        """;

    private const string Runtime =
        """
        {
          "tls": { "certificate": "/p/dpu.crt", "key": "/p/dpu.key", "authority": "/p/ca.crt", "revocations": "/p/ca.crl" },
          "hosts": [{ "name": "host1", "endpoint": "tcp://[2001:db8::1]:7443" }, { "name": "local", "endpoint": "unix:///l", "uid": 3 }],
          "mounts": [{ "host": "host1", "export": "/srv/data", "target": "/mnt/x", "cacheTimeout": "500ms", "lanes": 3, "giveUpAfter": "2m", "locks": "local", "transport": "io_uring" },
            { "host": "host1", "export": "proc", "target": "/mnt/proc", "kind": "proc", "processes": "/run/view/proc", "staleAfter": "3s" }],
          "forwards": [{ "host": "host1", "dpuAddress": "/run/a", "hostAddress": "@b", "reverse": true, "type": "seqpacket", "mode": "0660", "uid": 1, "gid": 2 },
            { "host": "local", "dpuAddress": "/run/c", "hostAddress": "/run/d" }],
          "reconcile": { "history": "/h.db", "keep": "3d", "passes": 7, "pairs": [{ "name": "nic", "desired": "runtime", "actual": "tc:eth0:skip_sw", "interval": "30s", "onEvents": false,
            "apply": true, "expectOffload": true, "owner": "0x10/0xf0", "ports": ["1=eth0", "2=eth1"], "timeout": "9s", "maxDeletes": 5, "changesPerSecond": 6, "confirmAfter": "4s", "counterDelay": "7s" },
            { "name": "look", "desired": "/dump", "actual": "runtime" }] },
          "slowRequest": "250ms", "busyPoll": "30us",
          "control": { "socket": "/run/x.sock", "listen": ["tcp://127.0.0.1:7444"], "operators": ["alice"] }
        }
        """;

    [TestMethod]
    [TestCategory("unit")]
    public void AgentFile_AllKeys_AreRead()
    {
        HostAgentConfiguration agent = Good<HostAgentConfiguration>(Agent);
        Assert.HasCount(2, agent.Listen);
        Assert.AreEqual("/p/host.key", agent.Tls!.Key);
        Assert.AreEqual(500, agent.Peers[0].Limits.OpenNodes);
        Assert.AreEqual((9, 8, 7), (agent.Peers[0].Limits.LockOwners, agent.Peers[0].Limits.LockRanges, agent.Peers[0].Limits.LockWaits));
        Assert.AreEqual(7, agent.Peers[0].Limits.Connections, "a peer's limits start from the common ones");
        Assert.AreEqual(0u, agent.Peers[0].Uid);
        Assert.IsNull(agent.Peers[1].Uid);
        Assert.IsFalse(agent.Exports[0].ReadOnly);
        Assert.AreEqual(SquashMode.All, agent.Exports[0].Squash);
        Assert.AreEqual(new IdMapping(5000, 6000, 10), agent.Exports[0].UserMap[1]);
        Assert.AreEqual(1u, agent.Exports[0].UserMap[0].Count);
        Assert.AreEqual((false, true), (agent.Exports[0].Processes, agent.Exports[1].Processes));
        CollectionAssert.AreEqual(new[] { new FifoConfiguration("*-in", FifoWay.ToHost), new FifoConfiguration("fifo/**", FifoWay.None) }, agent.Exports[0].Fifos.ToArray());
        CollectionAssert.AreEqual(
            new MountRuleConfiguration[] { new("ctr/**", ["overlay", "bind"], null, ["/dev/vd*"], true, false), new("t", ["tmpfs"], ["size=*"], [], false, true) }, agent.Exports[0].Mounts.ToArray());
        SocketRuleConfiguration rule = agent.Sockets.Single();
        Assert.AreEqual("dpu1 /run/*.sock @x @y/** None", string.Join(' ', [.. rule.Peers, .. rule.Connect, .. rule.Listen, rule.Squash.ToString()]));
        Assert.AreEqual(9465, agent.Metrics!.Listen.Port);
        Assert.AreEqual(new LogConfiguration(LogLevel.Debug, LogFormat.Json), agent.Log);
        Assert.AreEqual("/run/dpu/agent.sock", agent.Control.Socket);
    }

    [TestMethod]
    [TestCategory("unit")]
    public void RuntimeFile_AllKeys_AreRead()
    {
        RuntimeConfiguration runtime = Good<RuntimeConfiguration>(Runtime);
        Assert.AreEqual("tcp://[2001:db8::1]:7443", runtime.Hosts[0].Endpoint!.ToString());
        Assert.AreEqual(3u, runtime.Hosts[1].Uid);
        Assert.AreEqual(new ForwardConfiguration("host1", "/run/a", "@b", true, "seqpacket", 0x1b0, 1, 2), runtime.Forwards[0]);
        Assert.AreEqual(new ForwardConfiguration("local", "/run/c", "/run/d", false, "stream", ForwardConfiguration.DefaultMode, 0, 0), runtime.Forwards[1]);
        Assert.AreEqual(TimeSpan.FromMilliseconds(500), runtime.Mounts[0].CacheTimeout);
        Assert.AreEqual(TimeSpan.FromMinutes(2), runtime.Mounts[0].GiveUpAfter);
        Assert.AreEqual((TimeSpan.FromSeconds(1), TimeSpan.FromSeconds(3)), (runtime.Mounts[0].StaleAfter, runtime.Mounts[1].StaleAfter));
        Assert.AreEqual(3, runtime.Mounts[0].Lanes);
        Assert.AreEqual(LockKeeper.Local, runtime.Mounts[0].Locks);
        Assert.AreEqual((false, null), (runtime.Mounts[0].OwnProcesses, runtime.Mounts[0].ProcessFolder));
        Assert.AreEqual((true, "/run/view/proc"), (runtime.Mounts[1].OwnProcesses, runtime.Mounts[1].ProcessFolder));
        Assert.IsTrue(runtime.Mounts[0].IoUring);
        Assert.AreEqual("alice", runtime.Control.Operators.Single());
        Assert.AreEqual((TimeSpan.FromMilliseconds(250), TimeSpan.FromMicroseconds(30)), (runtime.SlowRequest, runtime.BusyPoll));
        Assert.AreEqual(("/h.db", TimeSpan.FromDays(3), 7), (runtime.Reconcile.History, runtime.Reconcile.Keep, runtime.Reconcile.Passes));
        Assert.AreEqual(
            new ReconcilePairConfiguration("nic", "runtime", "tc:eth0:skip_sw", TimeSpan.FromSeconds(30), false, true, true, "0x10/0xf0", ["1=eth0", "2=eth1"], TimeSpan.FromSeconds(9), 5, 6, TimeSpan.FromSeconds(4), TimeSpan.FromSeconds(7)),
            runtime.Reconcile.Pairs[0]);
        Assert.AreEqual((0x10UL, 0xf0UL), runtime.Reconcile.Pairs[0].OwnerBits);
        Assert.AreEqual((false, true, default), (runtime.Reconcile.Pairs[1].Apply, runtime.Reconcile.Pairs[1].OnEvents, runtime.Reconcile.Pairs[1].OwnerBits), "nothing is changed that nobody asked for");
        Assert.IsNull(runtime.Metrics, "no port is open that nobody asked for");
    }

    [TestMethod]
    [TestCategory("unit")]
    [DataRow("{}", 1.0)]
    [DataRow("{\"slowRequest\":\"0s\"}", 0.0)]
    [DataRow("{\"slowRequest\":\"2m\"}", 120.0)]
    public void SlowRequest_SaidOrNot_IsRead(string json, double seconds) =>
        Assert.AreEqual(TimeSpan.FromSeconds(seconds), Good<RuntimeConfiguration>(json).SlowRequest);

    [TestMethod]
    [TestCategory("unit")]
    public void BusyPoll_SaidOrNot_IsRead()
    {
        Assert.AreEqual(TimeSpan.FromMicroseconds(200), Good<RuntimeConfiguration>("{}").BusyPoll, "a DPU's processors are there for it");
        Assert.AreEqual(TimeSpan.Zero, Good<HostAgentConfiguration>("{\"listen\":[\"unix:///l\"]}").BusyPoll, "a host's are not");
        Assert.AreEqual(TimeSpan.FromMilliseconds(1), Good<HostAgentConfiguration>("{\"listen\":[\"unix:///l\"],\"busyPoll\":\"1ms\"}").BusyPoll);
        Assert.AreEqual("busyPoll", Load<RuntimeConfiguration>("{\"busyPoll\":\"2ms\"}").Errors.Single().Key);
    }

    [TestMethod]
    [TestCategory("unit")]
    [DataRow("\"name\": \"a\", \"desired\": \"x\", \"actual\": \"runtime\"", "reconcile.pairs[0].desired")]
    [DataRow("\"name\": \"a\", \"desired\": \"runtime\", \"actual\": \"runtime\"", "reconcile.pairs[0].actual")]
    [DataRow("\"name\": \"a\", \"desired\": \"/x\", \"actual\": \"tc:\"", "reconcile.pairs[0].actual")]
    [DataRow("\"name\": \"a\", \"desired\": \"/x\", \"actual\": \"runtime\", \"owner\": \"16\"", "reconcile.pairs[0].owner")]
    [DataRow("\"name\": \"a\", \"desired\": \"/x\", \"actual\": \"runtime\", \"ports\": [\"eth0\"]", "reconcile.pairs[0].ports[0]")]
    [DataRow("\"name\": \"a\", \"desired\": \"/x\", \"actual\": \"runtime\", \"interval\": \"1ms\"", "reconcile.pairs[0].interval")]
    public void PairWithAMistake_IsNamed(string members, string key) =>
        Assert.AreEqual(key, Load<RuntimeConfiguration>("{\"reconcile\":{\"pairs\":[{ " + members + " }]}}").Errors.Single().Key);

    [TestMethod]
    [TestCategory("unit")]
    public void Export_NothingSaid_IsReadOnlyAndSquashesRoot()
    {
        ExportConfiguration export = Good<HostAgentConfiguration>(
            """{"listen":["unix:///a"],"peers":[{"name":"d"}],"exports":[{"name":"e","path":"/e","peers":["d"]}]}""").Exports[0];
        Assert.IsTrue(export.ReadOnly);
        Assert.AreEqual(SquashMode.Root, export.Squash);
        Assert.IsFalse(export.AllowDeviceNodes);
        Assert.AreEqual(65534u, export.AnonymousUid);
    }

    [TestMethod]
    [TestCategory("unit")]
    public void ManyMistakes_OneLoad_NamesEachWithItsLine()
    {
        ConfigurationResult<HostAgentConfiguration> result = Load<HostAgentConfiguration>(
            """
            {
              "listen": ["http://example.org"],
              "peers": [{ "name": "dpu1" }, { "name": "dpu1" }, { "name": "UPPER" }],
              "exprots": [],
              "exports": [
                { "name": "a", "path": "relative", "peers": ["dqu1"], "acess": "x" },
                { "name": "a", "path": "/a/../b", "peers": [], "access": "read-wirte" }
              ],
              "limits": { "connections": 0, "openNodes": "many" },
              "metrics": { "listen": "0.0.0.0:9465" },
              "log": { "level": "Debgu" }
            }
            """);
        Assert.IsFalse(result.Succeeded);
        string all = string.Join('\n', result.Errors);
        foreach (string expected in (string[])
            [
                "f.json:2: listen[0]: \"http://example.org\" is no endpoint; allowed: tcp://HOST:PORT",
                "f.json:3: peers: has \"dpu1\" twice",
                "f.json:3: peers[2].name: \"UPPER\" is no name",
                "f.json:4: exprots: is not a key; did you mean \"exports\"?",
                "f.json:6: exports[0].path: \"relative\" is not absolute",
                "f.json:6: exports[0].peers[0]: \"dqu1\" is none of \"peers\"; did you mean \"dpu1\"?",
                "f.json:6: exports[0].acess: is not a key; did you mean \"access\"?",
                "f.json:7: exports[1].path: \"/a/../b\" is not a plain path",
                "f.json:7: exports[1].access: is \"read-wirte\"; did you mean \"read-write\"?",
                "f.json:9: limits.connections: is 0; allowed: a whole number of 1 to 65536",
                "f.json:9: limits.openNodes: is \"many\"",
                "f.json:10: metrics.listen: \"0.0.0.0:9465\" is not a loopback address",
                "f.json:11: log.level: is \"Debgu\"; did you mean \"Debug\"?",
            ])
        {
            Assert.Contains(expected, all);
        }
    }

    [TestMethod]
    [TestCategory("unit")]
    [DataRow("{\"listen\":[\"tcp://0.0.0.0:1\"]}", "tls: is missing")]
    [DataRow("{}", "listen: is missing")]
    [DataRow("{\"listen\":[\"unix:///a\"],\"listen\":[]}", "listen: is given twice")]
    [DataRow("{\"listen\":\"unix:///a\"}", "listen: is a string")]
    [DataRow("{\"listen\":null}", "listen: is null")]
    [DataRow("[]", "is a list; allowed: a JSON object")]
    [DataRow("", "not JSON")]
    [DataRow("{\"listen\":[1]}", "listen[0]: is a number")]
    [DataRow("{", "is not JSON")]
    [DataRow("{\"listen\":[\"\\ud800\"]}", "no Unicode character")]
    public void BadFile_Load_SaysWhatIsWrong(string json, string expected) =>
        Assert.Contains(expected, string.Join('\n', Load<HostAgentConfiguration>(json).Errors));

    [TestMethod]
    [TestCategory("unit")]
    public void IdMaps_Overlapping_AreRefused()
    {
        string all = string.Join('\n', Load<HostAgentConfiguration>(
            """
            {"listen":["unix:///a"],"peers":[{"name":"d"}],"exports":[{"name":"e","path":"/e","peers":["d"],
             "userMap":[{"dpu":10,"host":1,"count":5},{"dpu":14,"host":100,"count":1}],
             "groupMap":[{"dpu":4294967290,"host":0,"count":100}]}]}
            """).Errors);
        Assert.Contains("userMap: two ranges overlap at dpu id 14", all);
        Assert.Contains("groupMap[0].count: leads beyond the highest id", all);
    }

    [TestMethod]
    [TestCategory("unit")]
    public void RuntimeMistakes_Load_AreRefused()
    {
        string all = string.Join('\n', Load<RuntimeConfiguration>(
            """
            {
              "hosts": [{ "name": "host1", "endpoint": "unix:///a" }, { "name": "t", "endpoint": "tcp://a:1", "uid": 0 }],
              "mounts": [{ "host": "hots1", "export": "../x", "target": "/", "giveUpAfter": "60" },
                         { "host": "host1", "export": "e", "target": "/m", "lanes": 65, "locks": "loacl" }, { "host": "host1", "export": "f", "target": "/m" }],
              "control": { "listen": ["tcp://127.0.0.1:1"] }
            }
            """).Errors);
        foreach (string expected in (string[])
            [
                "hosts[1].uid: is for unix endpoints", "tls: is missing", "mounts[0].host: \"hots1\" is none of \"hosts\"; did you mean \"host1\"?",
                "mounts[0].export: \"../x\" is no name", "\"/\" would hide the whole machine", "mounts[0].giveUpAfter: is \"60\"",
                "mounts[1].lanes: is 65; allowed: a whole number of 1 to 32", "mounts: has \"/m\" twice",
                "mounts[1].locks: is \"loacl\"; did you mean \"local\"?",
                "control.listen: needs \"tls\"", "control.operators: is empty",
            ])
        {
            Assert.Contains(expected, all);
        }
    }

    [TestMethod]
    [TestCategory("unit")]
    public void Overrides_FlagOverEnvironmentOverFile_Win()
    {
        ConfigurationResult<HostAgentConfiguration> result = ConfigurationLoader.Parse<HostAgentConfiguration>(
            Encoding.UTF8.GetBytes(Agent),
            "f.json",
            [
                new("DPU_AGENT__log__level", "Warning"), new("DPU_AGENT__limits__openHandles", "99"),
                new("DPU_AGENT__exports__0__path", "/srv"), new("DPU_AGENT__listen__2", "tcp://127.0.0.1:1"),
                new("DPU_RUNTIME__log__level", "Nonsense"), new("PATH", "x"),
            ],
            ["log.level=Error", "exports.0.allowDeviceNodes=true", "peers.2={\"name\":\"dpu3\"}"]);
        Assert.IsTrue(result.Succeeded, string.Join('\n', result.Errors));
        HostAgentConfiguration agent = result.Configuration;
        Assert.AreEqual(LogLevel.Error, agent.Log.Level);
        Assert.AreEqual(99, agent.Limits.OpenHandles);
        Assert.AreEqual("/srv", agent.Exports[0].Path);
        Assert.IsTrue(agent.Exports[0].AllowDeviceNodes);
        Assert.AreEqual("tcp://127.0.0.1:1", agent.Listen[2].ToString());
        Assert.AreEqual("dpu3", agent.Peers[2].Name);
    }

    [TestMethod]
    [TestCategory("unit")]
    [DataRow("nonsense", "--set nonsense: has no key and value")]
    [DataRow("log.lvel=x", "--set log.lvel=x: log.lvel: is not a key; did you mean \"level\"?")]
    [DataRow("listen.7=unix:///x", "'7' is no place in a list of 2")]
    [DataRow("log.level.deep=x", "the key above it is a string")]
    [DataRow("limits.sessions=many", "limits.sessions: is \"many\"")]
    [DataRow("peers=[", "--set peers=[: is not JSON")]
    public void Override_Bad_NamesItsSource(string flag, string expected)
    {
        ConfigurationResult<HostAgentConfiguration> result =
            ConfigurationLoader.Parse<HostAgentConfiguration>(Encoding.UTF8.GetBytes(Agent), "f.json", [], [flag]);
        Assert.Contains(expected, string.Join('\n', result.Errors));
    }

    [TestMethod]
    [TestCategory("unit")]
    public void Environment_UnknownKey_NamesTheVariable()
    {
        ConfigurationResult<HostAgentConfiguration> result = ConfigurationLoader.Parse<HostAgentConfiguration>(
            Encoding.UTF8.GetBytes(Agent), "f.json", [new("DPU_AGENT__limitz__mounts", "1")], []);
        Assert.Contains("environment DPU_AGENT__limitz__mounts: limitz: is not a key; did you mean \"limits\"?", string.Join('\n', result.Errors));
    }

    [TestMethod]
    [TestCategory("unit")]
    public void Print_Loaded_LoadsAgainToTheSame()
    {
        string agent = ConfigurationLoader.Print(Good<HostAgentConfiguration>(Agent));
        Assert.AreEqual(agent, ConfigurationLoader.Print(Good<HostAgentConfiguration>(agent)));
        string runtime = ConfigurationLoader.Print(Good<RuntimeConfiguration>(Runtime));
        Assert.AreEqual(runtime, ConfigurationLoader.Print(Good<RuntimeConfiguration>(runtime)));
        Assert.Contains("\"giveUpAfter\": \"2m\"", runtime);
    }

    [TestMethod]
    [TestCategory("unit")]
    public void MissingFile_Load_NamesIt()
    {
        ConfigurationResult<RuntimeConfiguration> result =
            ConfigurationLoader.Load<RuntimeConfiguration>("/nonexistent/runtime.json", [], []);
        Assert.Contains("/nonexistent/runtime.json: cannot be read", result.Errors.Single().ToString());
    }

    [TestMethod]
    [TestCategory("unit")]
    public void AnyBytes_Load_NeverThrowsAndNeverSucceedsSilently() =>
        Prop.ForAll((byte[] bytes) =>
        {
            ConfigurationResult<HostAgentConfiguration> result =
                ConfigurationLoader.Parse<HostAgentConfiguration>(bytes ?? [], "f", [], []);
            return result.Succeeded == (result.Errors.Count == 0);
        }).QuickCheckThrowOnFailure();

    [TestMethod]
    [TestCategory("unit")]
    public void DamagedFile_Load_NeverThrows() =>
        Prop.ForAll((int at, byte value, int cut) =>
        {
            byte[] json = Encoding.UTF8.GetBytes(Runtime);
            json[(int)((uint)at % json.Length)] = value;
            byte[] shortened = json[..(int)((uint)cut % (json.Length + 1))];
            bool Consistent(byte[] text)
            {
                ConfigurationResult<RuntimeConfiguration> result = ConfigurationLoader.Parse<RuntimeConfiguration>(text, "f", [], []);
                return result.Succeeded == (result.Errors.Count == 0);
            }

            return Consistent(json) && Consistent(shortened);
        }).QuickCheckThrowOnFailure();

    [TestMethod]
    [TestCategory("unit")]
    public void AnyOverride_Load_NeverThrows() =>
        Prop.ForAll((string text) =>
        {
            ConfigurationResult<HostAgentConfiguration> result = ConfigurationLoader.Parse<HostAgentConfiguration>(
                Encoding.UTF8.GetBytes(Agent), "f", [new("DPU_AGENT__" + text, text ?? string.Empty)], [text ?? string.Empty]);
            return result.Succeeded == (result.Errors.Count == 0);
        }).QuickCheckThrowOnFailure();

    [TestMethod]
    [TestCategory("unit")]
    public void FileTooLongOrTooDeep_Load_IsAnErrorNotAnException()
    {
        ConfigurationResult<HostAgentConfiguration> longer = Load<HostAgentConfiguration>(new string(' ', (16 * 1024 * 1024) + 1));
        Assert.Contains("is longer than 16777216 bytes", string.Join('\n', longer.Errors));
        string nested = string.Concat(Enumerable.Repeat("[", 33)) + string.Concat(Enumerable.Repeat("]", 33));
        ConfigurationResult<HostAgentConfiguration> deeper = Load<HostAgentConfiguration>($"{{ \"exports\": {nested} }}");
        Assert.IsFalse(deeper.Succeeded);
        Assert.Contains("f.json:1", string.Join('\n', deeper.Errors));
    }

    private static ConfigurationResult<T> Load<T>(string json)
        where T : class, IDaemonConfiguration<T> => ConfigurationLoader.Parse<T>(Encoding.UTF8.GetBytes(json), "f.json", [], []);

    private static T Good<T>(string json)
        where T : class, IDaemonConfiguration<T>
    {
        ConfigurationResult<T> result = Load<T>(json);
        Assert.IsTrue(result.Succeeded, string.Join('\n', result.Errors));
        return result.Configuration;
    }
}
