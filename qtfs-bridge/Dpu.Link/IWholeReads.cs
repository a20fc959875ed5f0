namespace Dpu.Link;

/// <summary>A stream that can wait in one system call until all of what is awaited is there, instead of being woken for each part.</summary>
public interface IWholeReads
{
    /// <summary>Fills the buffer.</summary>
    /// <returns>The bytes; fewer than wanted only where the peer has closed.</returns>
    /// <exception cref="IOException">The connection broke.</exception>
    int ReadWhole(Span<byte> buffer);
}
