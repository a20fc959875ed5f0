namespace Dpu.Relay.Processes;

/// <summary>How a stream of a process stands at one end, where no connection moves it. Immutable.</summary>
/// <param name="Number">The descriptor's in the process.</param>
/// <param name="State">How it stands.</param>
/// <param name="Position">Of what this end sends: the first byte that the other end has not; else behind the last one that has come.</param>
public readonly record struct HeldStream(int Number, HeldStreamState State, ulong Position);

/// <summary>How a <see cref="HeldStream"/> stands; the bits are the wire's.</summary>
[Flags]
public enum HeldStreamState : byte
{
    /// <summary>Bytes come to this end, and more may.</summary>
    None = 0,

    /// <summary>Bytes go from here to the other end.</summary>
    Sends = 1,

    /// <summary>Its local end is a terminal.</summary>
    Terminal = 2,

    /// <summary>No more comes.</summary>
    AtEnd = 4,

    /// <summary>All is done, and the local end is closed.</summary>
    Over = 8,
}
