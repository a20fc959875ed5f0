using System.Text;
using Dpu.Hosting.Configuration;
using Dpu.Hosting.Machine;
using Dpu.TestSupport;

namespace Dpu.Hosting.Tests.Machine;

/// <summary>What rules come to on machines that are files here, and on this one.</summary>
[TestClass]
public sealed class PlacementTests
{
    [TestMethod]
    [TestCategory("unit")]
    [DataRow("0-3", null, "processors 0-3", null)]
    [DataRow("2-6", null, "processors 2-3,5-6", "\"cpus\" is 2-6, of which 4 are not online here")]
    [DataRow(null, "1", "processors 5-7, memory of NUMA node 1", null)]
    [DataRow(null, "0-1", "processors 0-3,5-7, memory of NUMA nodes 0-1", null)]
    [DataRow("1", "1", "processor 1, memory of NUMA node 1", null)]
    [DataRow("1", "1-3", "processor 1, memory of NUMA nodes 1,3", "\"nodes\" is 1-3, of which 2 are not here, or have no memory")]
    public void Rule_OnAMachineOfTwoNodes_HasWhatIsThere(string? cpus, string? nodes, string expected, string? missing)
    {
        using var machine = new FakeMachine();
        Placement? place = Placement.Of(cpus, nodes, machine.Topology, out string? problem);
        Assert.IsNull(problem);
        Assert.AreEqual(expected, place!.ToString());
        Assert.AreEqual(missing, Placement.Missing(cpus, nodes, machine.Topology));
    }

    [TestMethod]
    [TestCategory("unit")]
    [DataRow("4", null, "\"cpus\" is 4, but this machine has processors 0-3,5-7 online")]
    [DataRow("64-70", "0", "\"cpus\" is 64-70, but this machine has processors 0-3,5-7 online")]
    [DataRow(null, "2", "\"nodes\" is 2, but of this machine's NUMA nodes (0-3) those with memory are 0-1,3")]
    [DataRow(null, "9", "\"nodes\" is 9, but of this machine's NUMA nodes (0-3) those with memory are 0-1,3")]
    [DataRow(null, "3", "\"nodes\" is 3, which have no processors that are online: say which in \"cpus\"")]
    public void Rule_OfWhatIsNotThere_SaysWhatIs(string? cpus, string? nodes, string expected)
    {
        using var machine = new FakeMachine();
        Assert.IsNull(Placement.Of(cpus, nodes, machine.Topology, out string? problem));
        Assert.AreEqual(expected, problem);
        Assert.AreEqual(expected, Placement.Missing(cpus, nodes, machine.Topology));
    }

    [TestMethod]
    [TestCategory("unit")]
    public void Machine_WithoutNuma_HasNoNodes_AndSaysSo()
    {
        using var machine = new FakeMachine();
        Directory.Delete(machine.Nodes, recursive: true);
        Assert.AreEqual("processors 1-2", Placement.Of("1-2", null, machine.Topology, out _)!.ToString());
        Assert.IsNull(Placement.Of("1-2", "0", machine.Topology, out string? problem));
        Assert.AreEqual("\"nodes\" is 0, but this machine's kernel knows no NUMA nodes", problem);
    }

    [TestMethod]
    [TestCategory("unit")]
    public void NothingSaid_IsNoPlacement()
    {
        Assert.IsNull(Placement.Of(null, null, MachineTopology.Here, out string? problem));
        Assert.IsNull(problem);
    }

    [TestMethod]
    [TestCategory("unit")]
    public void ThisMachine_HasProcessorsAndSaysWhich()
    {
        IReadOnlyList<int> online = MachineTopology.Here.Processors;
        Assert.IsGreaterThanOrEqualTo(Environment.ProcessorCount, online.Count);
        foreach (int node in MachineTopology.Here.Nodes)
        {
            CollectionAssert.IsSubsetOf(MachineTopology.Here.ProcessorsOf(node).ToArray(), online.ToArray());
        }
    }

    [TestMethod]
    [TestCategory("unit")]
    [DataRow("\"cpus\":\"\"", "programs[0].cpus: is empty")]
    [DataRow("\"cpus\":\"3-1\"", "programs[0].cpus: \"3-1\" is no list of processors; allowed: a list of processors below 4096, such as 0-3,8")]
    [DataRow("\"nodes\":\"\"", "programs[0].nodes: is empty")]
    [DataRow("\"nodes\":\"1024\"", "programs[0].nodes: \"1024\" is no list of NUMA nodes; allowed: a list of NUMA nodes below 1024")]
    [DataRow("\"nodes\":0", "programs[0].nodes: is a number")]
    public void Configuration_WithAMistake_IsRefused(string keys, string expected) => Assert.Contains(expected, string.Join('\n', Load(keys).Errors));

    [TestMethod]
    [TestCategory("unit")]
    public void Configuration_IsReadAndChecksNameWhatIsNotHere()
    {
        HostAgentConfiguration read = Load("\"cpus\":\"4094-4095\",\"nodes\":\"0\"").Configuration!;
        Assert.AreEqual(("4094-4095", "0"), (read.Programs[0].Cpus, read.Programs[0].Nodes));
        string warnings = string.Join('\n', MachineCheck.Of(read, "f.json"));
        Assert.Contains("programs: /bin/true: \"", warnings);
        Assert.Contains("4094-4095", warnings);
        Assert.IsFalse(MachineCheck.Of(Load("\"cpus\":\"0\"").Configuration!, "f.json").Any());
    }

    private static ConfigurationResult<HostAgentConfiguration> Load(string keys) => ConfigurationLoader.Parse<HostAgentConfiguration>(
        Encoding.UTF8.GetBytes("{\"listen\":[\"unix:///a\"],\"peers\":[{\"name\":\"d\"}],\"programs\":[{\"peers\":[\"d\"],\"path\":\"/bin/true\"," + keys + "}]}"), "f.json", [], []);

    // Processor 4 is offline; node 2 has nothing, node 3 memory alone.
    private sealed class FakeMachine : IDisposable
    {
        private readonly TemporaryDirectory _folder = new();

        public FakeMachine()
        {
            foreach ((string file, string text) in ((string, string)[])[("cpu/online", "0-3,5-7"), ("node/online", "0-3"), ("node/has_memory", "0-1,3"),
                ("node/node0/cpulist", "0-3"), ("node/node1/cpulist", "5-7"), ("node/node2/cpulist", ""), ("node/node3/cpulist", "")])
            {
                _folder.WriteFile(file, text + "\n");
            }
        }

        public MachineTopology Topology => new(_folder.FullPath);

        public string Nodes => _folder["node"];

        public void Dispose() => _folder.Dispose();
    }
}
