using Dpu.Proto.V1;

namespace Dpu.Runtime.Hosts;

/// <summary>A link as it was at one moment. Immutable.</summary>
/// <param name="State">Connecting, up or down.</param>
/// <param name="Since">Since when.</param>
/// <param name="Error">Why it is down and what to do; empty where it is up.</param>
/// <param name="Agent">The agent, as it last told; null before the first contact.</param>
/// <param name="RoundTrip">Of the last keep-alive; zero before the first.</param>
/// <param name="Reconnects">How often it came up again.</param>
public sealed record HostLinkState(
    LinkState State,
    DateTimeOffset Since,
    string Error,
    DaemonStatus? Agent,
    TimeSpan RoundTrip,
    ulong Reconnects);
