namespace Dpu.Benchmarks.Harness;

/// <summary>Ours or a peer: something that works can be run on.</summary>
internal interface IContender : IDisposable
{
    /// <summary>A short name, unique in its benchmark.</summary>
    string Name { get; }

    /// <summary>Makes it ready; throws, with a message that says what to do, where it cannot run here.</summary>
    void Start();

    /// <summary>Ends whatever is stuck in it, from another thread: calls on it then fail instead of waiting.</summary>
    void Abort();
}
