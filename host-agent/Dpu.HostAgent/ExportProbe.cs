using Dpu.Qtfs.Export;
using Dpu.Systemd;

namespace Dpu.HostAgent;

/// <summary>Tells the watchdog whether the exports still answer.</summary>
/// <param name="exports">The service.</param>
public sealed class ExportProbe(ExportService exports) : IHealthProbe
{
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(2);

    /// <inheritdoc/>
    public string Name => "exports";

    /// <inheritdoc/>
    public string? Problem() => exports.IsResponsive(Limit) ? null : $"the sessions' tables have been locked for over {Limit.TotalSeconds} s";
}
