namespace Dpu.Hosting.Machine;

/// <summary>Where a program may run, and have its memory, on this machine as it is now. Immutable.</summary>
/// <param name="Processors">Processors that are online; at least one.</param>
/// <param name="Nodes">NUMA nodes that have memory; empty for any.</param>
public sealed record Placement(IReadOnlyList<int> Processors, IReadOnlyList<int> Nodes)
{
    /// <summary>For people: <c>processors 0-3, memory of NUMA node 0</c>.</summary>
    public override string ToString() =>
        $"{(Processors.Count == 1 ? "processor" : "processors")} {NumberList.Format(Processors)}{(Nodes.Count == 0 ? "" : $", memory of NUMA {(Nodes.Count == 1 ? "node" : "nodes")} {NumberList.Format(Nodes)}")}";

    /// <summary>What a rule comes to here.</summary>
    /// <param name="cpus">Its list of processors; null for all, or for those of the nodes.</param>
    /// <param name="nodes">Its list of nodes; null for any.</param>
    /// <param name="machine">What there is.</param>
    /// <param name="problem">Why nothing may run by it, for people, naming the key; null where it may.</param>
    /// <returns>Null where the rule says nothing of either, and where there is a problem.</returns>
    public static Placement? Of(string? cpus, string? nodes, MachineTopology machine, out string? problem)
    {
        ArgumentNullException.ThrowIfNull(machine);
        problem = null;
        if (cpus is null && nodes is null)
        {
            return null;
        }

        IReadOnlyList<int> wantedNodes = nodes is null ? [] : NumberList.TryParse(nodes, NumberList.MaxNodes) ?? [];
        int[] memory = [.. wantedNodes.Intersect(machine.NodesWithMemory)];
        if (nodes is not null && memory.Length == 0)
        {
            problem = machine.Nodes.Count == 0 ? $"\"nodes\" is {nodes}, but this machine's kernel knows no NUMA nodes"
                : $"\"nodes\" is {nodes}, but of this machine's NUMA nodes ({NumberList.Format(machine.Nodes)}) those with memory are {NumberList.Format(machine.NodesWithMemory)}";
            return null;
        }

        IReadOnlyList<int> wanted = cpus is not null ? NumberList.TryParse(cpus, NumberList.MaxProcessors) ?? [] : [.. wantedNodes.SelectMany(machine.ProcessorsOf).Order()];
        IReadOnlyList<int> online = machine.Processors;
        int[] processors = [.. wanted.Intersect(online)];
        if (processors.Length == 0)
        {
            problem = cpus is not null ? $"\"cpus\" is {cpus}, but this machine has processors {NumberList.Format(online)} online"
                : $"\"nodes\" is {nodes}, which have no processors that are online: say which in \"cpus\"";
            return null;
        }

        return new Placement(processors, memory);
    }

    /// <summary>What of a rule is not there though the rest is; null where all is. For who checks a configuration.</summary>
    public static string? Missing(string? cpus, string? nodes, MachineTopology machine)
    {
        ArgumentNullException.ThrowIfNull(machine);
        if (Of(cpus, nodes, machine, out string? problem) is not { } placement)
        {
            return problem;
        }

        int[] processors = cpus is null ? [] : [.. (NumberList.TryParse(cpus, NumberList.MaxProcessors) ?? []).Except(placement.Processors)];
        int[] memory = nodes is null ? [] : [.. (NumberList.TryParse(nodes, NumberList.MaxNodes) ?? []).Except(placement.Nodes)];
        return processors.Length > 0 ? $"\"cpus\" is {cpus}, of which {NumberList.Format(processors)} are not online here"
            : memory.Length > 0 ? $"\"nodes\" is {nodes}, of which {NumberList.Format(memory)} are not here, or have no memory" : null;
    }
}
