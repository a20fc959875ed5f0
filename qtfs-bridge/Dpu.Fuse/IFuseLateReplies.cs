namespace Dpu.Fuse;

/// <summary>
/// Takes the answers of requests that had to wait, after <see cref="FuseDispatcher.Dispatch"/> has returned without one.
/// Thread-safe.
/// </summary>
public interface IFuseLateReplies
{
    /// <summary>Answers a request. Called once a request, on any thread, possibly before Dispatch returns; does not throw.</summary>
    /// <param name="unique">The request's number.</param>
    /// <param name="error">0 or a negated errno.</param>
    void Complete(ulong unique, int error);
}
