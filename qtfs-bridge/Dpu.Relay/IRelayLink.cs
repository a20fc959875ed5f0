namespace Dpu.Relay;

/// <summary>The way to the other end: a descriptor whose bytes get there. Disposing it sends what was written, and ends it.</summary>
internal interface IRelayLink : IDisposable
{
    /// <summary>A stream socket.</summary>
    int Descriptor { get; }
}
