using System.Diagnostics.Metrics;

namespace Dpu.Hosting.Metrics;

/// <summary>When the daemon's certificate ends, so that an alert can come long before.</summary>
public sealed class CertificateMetrics : IDisposable
{
    private readonly Meter _meter = new("Dpu.Hosting");

    /// <param name="notAfter">Gives the present certificate's end; null where there is none.</param>
    public CertificateMetrics(Func<DateTimeOffset?> notAfter)
    {
        ArgumentNullException.ThrowIfNull(notAfter);
        _ = _meter.CreateObservableGauge(
            "dpu.certificate.not_after",
            () => notAfter() is { } end
                ? [new Measurement<double>(end.ToUnixTimeMilliseconds() / 1000.0)]
                : Array.Empty<Measurement<double>>(),
            "s",
            "When the daemon's certificate expires, in seconds since 1970.");
    }

    /// <inheritdoc/>
    public void Dispose() => _meter.Dispose();
}
