using Dpu.Linux;
using Dpu.Systemd.Scopes;

namespace Dpu.HostAgent.Processes.Groups;

/// <summary>
/// A scope of systemd's, which removes it when nothing is in it. Where systemd did not say in time whether it makes it there may be a cgroup of the
/// agent's own as well, and the process is in one of both.
/// </summary>
/// <param name="scopes">systemd.</param>
/// <param name="unit">The scope's name.</param>
/// <param name="folder">Its cgroup; empty where that is not known.</param>
/// <param name="beside">The agent's own cgroup; null for none.</param>
internal sealed class ScopeGroup(TransientScopes scopes, string unit, string folder, ProcessCgroup? beside) : IProcessGroup
{
    /// <inheritdoc/>
    public string Name => beside?.Name ?? unit;

    /// <inheritdoc/>
    public string Folder => beside?.Folder ?? folder;

    /// <inheritdoc/>
    public string Unit => unit;

    /// <inheritdoc/>
    public IReadOnlyList<int> Processes() => (beside ?? ProcessCgroup.Find(folder))?.Processes() ?? [];

    /// <inheritdoc/>
    public string? Kill()
    {
        string? problem = scopes.Kill(unit, signal.SIGKILL);
        if (problem is not null)
        {
            // Without systemd, as where there is none.
            _ = ProcessCgroup.Find(folder)?.Kill();
        }

        _ = beside?.Kill();
        return problem;
    }

    /// <inheritdoc/>
    public bool TryRemove() => beside?.TryRemove() ?? true;
}
