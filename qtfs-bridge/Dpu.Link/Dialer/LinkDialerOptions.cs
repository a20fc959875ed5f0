namespace Dpu.Link;

/// <summary>How a dialler dials.</summary>
public sealed record LinkDialerOptions
{
    /// <summary>What we say of ourselves.</summary>
    public required LinkLocal Local { get; init; }

    /// <summary>The uid that the process listening on a unix socket must have.</summary>
    public uint ListenerUid { get; init; }

    /// <summary>For looking up the name and connecting, all addresses together.</summary>
    public TimeSpan ConnectLimit { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>From the connection to the listener's reply, everything together.</summary>
    public TimeSpan HandshakeLimit { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>A TCP peer that is silent for so long is dead.</summary>
    public TimeSpan DeadPeerAfter { get; init; } = TimeSpan.FromSeconds(15);

    /// <summary>The clock.</summary>
    public TimeProvider Time { get; init; } = TimeProvider.System;
}
