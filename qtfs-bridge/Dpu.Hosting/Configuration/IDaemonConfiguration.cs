using System.Text.Json;
using Dpu.Link;

namespace Dpu.Hosting.Configuration;

/// <summary>What a daemon's configuration offers to the loader and to <see cref="Dpu.Hosting.Lifetime.DaemonHost{T}"/>.</summary>
public interface IDaemonConfiguration<TSelf>
    where TSelf : class, IDaemonConfiguration<TSelf>
{
    /// <summary>The program, such as <c>dpu-host-agent</c>.</summary>
    static abstract string Program { get; }

    /// <summary>Where the file is unless <c>--config</c> says otherwise.</summary>
    static abstract string DefaultFile { get; }

    /// <summary>What names of environment variables begin with, such as <c>DPU_AGENT__</c>.</summary>
    static abstract string EnvironmentPrefix { get; }

    /// <summary>The role that its certificate must have.</summary>
    static abstract LinkRole Role { get; }

    /// <summary>Certificates; null where every endpoint is a unix socket.</summary>
    TlsConfiguration? Tls { get; }

    /// <summary>The control interface.</summary>
    ControlConfiguration Control { get; }

    /// <summary>What holds what must outlive the daemon.</summary>
    KeeperConfiguration Keeper { get; }

    /// <summary>The metrics endpoint; null where there is none.</summary>
    MetricsConfiguration? Metrics { get; }

    /// <summary>The log.</summary>
    LogConfiguration Log { get; }

    /// <summary>Takes a configuration from an object; what is wrong goes to the reader.</summary>
    internal static abstract TSelf Read(ObjectReader reader);

    /// <summary>Writes all keys with their effective values, as a file that loads again to the same.</summary>
    void WriteTo(Utf8JsonWriter writer);
}
