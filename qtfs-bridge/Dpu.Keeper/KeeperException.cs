namespace Dpu.Keeper;

/// <summary>The keeper refused a request, or could not be asked.</summary>
/// <param name="message">What, and what to do.</param>
/// <param name="error">The errno; 0 where it is no system's error.</param>
public sealed class KeeperException(string message, int error = 0) : IOException(message)
{
    /// <summary>The errno that the keeper or the system gave; 0 where there is none.</summary>
    public int Error { get; } = error;
}
