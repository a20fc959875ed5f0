namespace Dpu.Relay.Terminals;

/// <summary>The first byte of each message that the ends of a relayed terminal send to each other.</summary>
internal enum TerminalMessage : byte
{
    /// <summary>Bytes follow that were typed, or printed.</summary>
    Data = 1,

    /// <summary><see cref="TerminalModes"/> follow, by which the cooked end processes.</summary>
    Modes = 2,

    /// <summary>A <see cref="TerminalSize"/> follows.</summary>
    Size = 3,

    /// <summary>Last: programs have closed it. Without it the link has broken.</summary>
    HungUp = 4,
}
