using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace Dpu.Link;

/// <summary>How a listener listens.</summary>
public sealed record LinkListenerOptions
{
    /// <summary>Where; at least one.</summary>
    public required IReadOnlyList<LinkEndpoint> Endpoints { get; init; }

    /// <summary>Our certificate; needed by tcp and vsock endpoints.</summary>
    public LinkCredentials? Credentials { get; init; }

    /// <summary>Whom to admit.</summary>
    public required ILinkPeerPolicy Policy { get; init; }

    /// <summary>What we say of ourselves.</summary>
    public required LinkLocal Local { get; init; }

    /// <summary>From accept to the sent reply, everything together. 5 s: a handshake over a slow path takes under 1 s.</summary>
    public TimeSpan HandshakeLimit { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>A TCP peer that is silent for so long is dead.</summary>
    public TimeSpan DeadPeerAfter { get; init; } = TimeSpan.FromSeconds(15);

    /// <summary>Connections being set up at once, of everybody.</summary>
    public int MaxHandshakes { get; init; } = 64;

    /// <summary>Connections being set up at once from one address, cid or uid: known before anybody is authenticated.</summary>
    public int MaxHandshakesPerOrigin { get; init; } = 32;

    /// <summary>Connections of everybody; each has a thread.</summary>
    public int MaxConnections { get; init; } = 1024;

    /// <summary>Connections of one peer where its policy does not say.</summary>
    public int MaxConnectionsPerPeer { get; init; } = 256;

    /// <summary>Mode of unix socket files. The uid is checked whatever it is.</summary>
    public UnixFileMode UnixSocketMode { get; init; } = UnixFileMode.UserRead | UnixFileMode.UserWrite;

    /// <summary>How long <see cref="LinkListener.Stop"/> waits for services to return.</summary>
    public TimeSpan StopLimit { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>The clock.</summary>
    public TimeProvider Time { get; init; } = TimeProvider.System;

    /// <summary>Where events go.</summary>
    public ILogger Logger { get; init; } = NullLogger.Instance;
}
