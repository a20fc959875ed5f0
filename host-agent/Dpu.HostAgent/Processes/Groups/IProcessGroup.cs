namespace Dpu.HostAgent.Processes.Groups;

/// <summary>What a process and all that comes of it is in, so that it can be found and killed. Thread-safe.</summary>
internal interface IProcessGroup
{
    /// <summary>Its name for people: of a scope, or the directory of a cgroup.</summary>
    string Name { get; }

    /// <summary>The directory of its cgroup, as the note of the process has it.</summary>
    string Folder { get; }

    /// <summary>The scope, as the note of the process has it; empty where it is none.</summary>
    string Unit { get; }

    /// <summary>The numbers of those in it.</summary>
    IReadOnlyList<int> Processes();

    /// <summary>Kills all that is in it; may take seconds. Why something may be left; null where nothing is.</summary>
    string? Kill();

    /// <summary>Removes it; false where that must be tried again, as something is in it.</summary>
    bool TryRemove();
}
