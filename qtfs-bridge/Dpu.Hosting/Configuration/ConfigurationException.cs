namespace Dpu.Hosting.Configuration;

/// <summary>A configuration could not be loaded; the previous one, if any, stays in force.</summary>
public sealed class ConfigurationException : Exception
{
    /// <summary>Makes one of the errors found.</summary>
    public ConfigurationException(IReadOnlyList<ConfigurationError> errors)
        : base(string.Join(Environment.NewLine, errors)) => Errors = errors;

    /// <summary>Makes an empty one.</summary>
    public ConfigurationException()
        : this([]) { }

    /// <summary>Makes one of a message.</summary>
    public ConfigurationException(string message)
        : base(message) => Errors = [];

    /// <summary>Makes one of a message and its cause.</summary>
    public ConfigurationException(string message, Exception innerException)
        : base(message, innerException) => Errors = [];

    /// <summary>What is wrong.</summary>
    public IReadOnlyList<ConfigurationError> Errors { get; }
}
