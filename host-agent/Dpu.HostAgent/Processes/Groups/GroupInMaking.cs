using Dpu.Hosting.Machine;
using Microsoft.Win32.SafeHandles;

namespace Dpu.HostAgent.Processes.Groups;

/// <summary>The group of a process that is being begun. Used by one thread.</summary>
/// <param name="token">The process's name.</param>
/// <param name="place">What it is to be bound to; null for nothing.</param>
internal sealed class GroupInMaking(Guid token, Placement? place) : IDisposable
{
    /// <summary>The process's name.</summary>
    public Guid Token => token;

    /// <summary>What it is to be bound to; null for nothing.</summary>
    public Placement? Place => place;

    /// <summary>A mask of its processors; null for all.</summary>
    public byte[]? Processors { get; } = place is null ? null : NumberList.ToMask(place.Processors);

    /// <summary>A mask of the nodes of its memory; null for any.</summary>
    public byte[]? Nodes { get; } = place is { Nodes.Count: > 0 } ? NumberList.ToMask(place.Nodes) : null;

    /// <summary>The cgroup of the agent's own; null where there is none.</summary>
    public ProcessCgroup? Own { get; private set; }

    /// <summary>The directory of that, where a process can begin in it; null where it must enter it.</summary>
    public SafeFileHandle? Birthplace { get; private set; }

    /// <summary>Whether the process cannot leave its place.</summary>
    public bool Holds { get; private set; }

    /// <summary>Why there is no cgroup, or why it does not hold.</summary>
    public string Problem { get; private set; } = "";

    /// <summary>Makes the cgroup of the agent's own.</summary>
    public void MakeOwn()
    {
        Own = ProcessCgroup.TryMake(token, out string reason);
        Problem = Own is null ? reason : "";
        if (Own is not null && place is not null)
        {
            Holds = Cpuset.TryBind(Own.Folder, place, out reason);
            Problem = reason;
        }

        Birthplace = Own?.TryOpenFolder();
    }

    /// <summary>It is in a scope.</summary>
    public void IsInScope(string folder)
    {
        Holds = place is not null && Cpuset.Holds(folder);
        Problem = Holds ? "" : $"{Path.GetFileName(folder)} has no cpuset";
    }

    /// <summary>Makes a group beside it that binds; null where there is none.</summary>
    /// <param name="doors">Gets what the process must write into.</param>
    public ProcessCgroup? TryBeside(List<SafeFileHandle> doors)
    {
        ProcessCgroup? cpuset = Cpuset.TryMake(token, place!, out string reason);
        if (cpuset?.TryOpen() is not { } door)
        {
            Problem = Problem.Length > 0 ? $"{Problem}; {reason}" : reason;
            return null;
        }

        doors.Add(door);
        Holds = true;
        return cpuset;
    }

    /// <inheritdoc/>
    public void Dispose() => Birthplace?.Dispose();
}
