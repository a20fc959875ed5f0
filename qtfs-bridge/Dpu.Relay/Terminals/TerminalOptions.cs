namespace Dpu.Relay.Terminals;

/// <summary>How an end of a relayed terminal behaves.</summary>
/// <param name="IsTwin">Whether this process has made the terminal, so that the other end's settings are its own, and nobody wants it back as it was.</param>
/// <param name="Reads">Whether what the terminal gives goes to the other end.</param>
/// <param name="Writes">Whether what comes from there is written.</param>
/// <param name="Ended">Called once at its end, on the loop's thread.</param>
internal sealed record TerminalOptions(bool IsTwin, bool Reads = true, bool Writes = true, Action? Ended = null);
