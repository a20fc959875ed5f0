namespace Dpu.HostAgent.Processes.Groups;

/// <summary>A group whose processes are in a group of the v1 hierarchy of cpuset as well, which binds them.</summary>
/// <param name="group">What they are in.</param>
/// <param name="cpuset">What binds them.</param>
internal sealed class BoundGroup(IProcessGroup group, ProcessCgroup cpuset) : IProcessGroup
{
    /// <inheritdoc/>
    public string Name => group.Name;

    /// <inheritdoc/>
    public string Folder => group.Folder;

    /// <inheritdoc/>
    public string Unit => group.Unit;

    /// <inheritdoc/>
    public IReadOnlyList<int> Processes() => group.Processes();

    /// <inheritdoc/>
    public string? Kill() => group.Kill();

    /// <inheritdoc/>
    public bool TryRemove() => group.TryRemove() & cpuset.TryRemove();
}
