namespace Dpu.Relay.Terminals;

/// <summary>What an end of a relayed terminal has. The line discipline of one end alone processes what is typed and what is printed.</summary>
public enum TerminalSide
{
    /// <summary>The master, whose slave programs here have: the discipline works here, and signals are made here.</summary>
    Cooked,

    /// <summary>A slave, whose master programs here have, or another terminal: bytes pass as they are, and the modes of the other end are shown.</summary>
    Raw,
}
