using Dpu.Ctl.Commands;
using Dpu.Ctl.Connection;

namespace Dpu.Ctl.Statistics;

/// <summary>Reads the figures of all mounts again and again, from whichever daemon listens; and remembers the last ones.</summary>
/// <param name="connection">The way to the daemon.</param>
internal sealed class StatsReader(ControlConnection connection)
{
    private Dictionary<string, MountSample> _last = [];
    private bool? _isAgent;

    /// <summary>Whether it is the host agent that answers; known after the first read.</summary>
    public bool IsAgent => _isAgent ?? false;

    /// <summary>What each mount did since the last read; at the first, since it was made.</summary>
    public async Task<IReadOnlyList<MountInterval>> ReadAsync(CancellationToken cancellation)
    {
        List<MountSample> samples = _isAgent switch
        {
            true => await AgentAsync(cancellation).ConfigureAwait(false),
            false => await RuntimeAsync(cancellation).ConfigureAwait(false),
            null => await ControlConnection.AskEitherAsync(() => RuntimeAsync(cancellation), () => AgentAsync(cancellation)).ConfigureAwait(false),
        };
        MountInterval[] intervals = [.. samples.Select(sample => MountInterval.Of(sample, _last.GetValueOrDefault(sample.Name)))];
        _last = samples.DistinctBy(sample => sample.Name).ToDictionary(sample => sample.Name, StringComparer.Ordinal);
        return intervals;
    }

    private async Task<List<MountSample>> RuntimeAsync(CancellationToken cancellation)
    {
        List<MountSample> samples = [.. (await Pages.MountStatsAsync(connection, cancellation).ConfigureAwait(false)).Select(MountSample.Of)];
        _isAgent = false;
        return samples;
    }

    private async Task<List<MountSample>> AgentAsync(CancellationToken cancellation)
    {
        List<MountSample> samples = [.. (await Pages.ExportStatsAsync(connection, cancellation).ConfigureAwait(false)).Select(MountSample.Of)];
        _isAgent = true;
        return samples;
    }
}
