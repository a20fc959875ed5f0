namespace Dpu.Hosting.Machine;

/// <summary>Which processors and NUMA nodes this machine has now (sysfs: ABI/stable/sysfs-devices-node, sysfs-devices-system-cpu). Read each time: either may come and go. Thread-safe.</summary>
/// <param name="folder">Where it says so.</param>
public sealed class MachineTopology(string folder)
{
    /// <summary>This machine's.</summary>
    public static MachineTopology Here { get; } = new("/sys/devices/system");

    /// <summary>Processors that are online.</summary>
    public IReadOnlyList<int> Processors => Read("cpu/online", NumberList.MaxProcessors);

    /// <summary>Nodes that are online; none where the kernel knows nothing of NUMA.</summary>
    public IReadOnlyList<int> Nodes => Read("node/online", NumberList.MaxNodes);

    /// <summary>Those of them that have memory.</summary>
    public IReadOnlyList<int> NodesWithMemory => Read("node/has_memory", NumberList.MaxNodes);

    /// <summary>A node's processors that are online.</summary>
    public IReadOnlyList<int> ProcessorsOf(int node) => Read(string.Create(System.Globalization.CultureInfo.InvariantCulture, $"node/node{node}/cpulist"), NumberList.MaxProcessors);

    private IReadOnlyList<int> Read(string file, int end)
    {
        try
        {
            return NumberList.TryParse(File.ReadAllText(Path.Combine(folder, file)).Trim(), end) ?? [];
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // Expected of a kernel without NUMA.
            return [];
        }
    }
}
