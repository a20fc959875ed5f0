using System.Diagnostics.CodeAnalysis;

namespace Dpu.Hosting.Configuration;

/// <summary>What loading gave: a configuration, or every error at once. Immutable.</summary>
/// <param name="Configuration">The configuration; null where there are errors.</param>
/// <param name="Errors">Every error found.</param>
/// <param name="Warnings">What works but is doubtful.</param>
public sealed record ConfigurationResult<T>(
    T? Configuration, IReadOnlyList<ConfigurationError> Errors, IReadOnlyList<ConfigurationError> Warnings)
    where T : class
{
    /// <summary>Whether there is a configuration.</summary>
    [MemberNotNullWhen(true, nameof(Configuration))]
    public bool Succeeded => Configuration is not null;
}
